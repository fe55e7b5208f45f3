"""nbval with kernels that are reached through files instead of ports.

pytest -p ipc_kernels --nbval chapters
"""

from collections.abc import Iterator
from functools import partial
from tempfile import TemporaryDirectory
from unittest.mock import patch

import nbval.kernel
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Iterator[None]:
    """Let each kernel that nbval starts in this process have its sockets in a temporary folder."""
    with TemporaryDirectory(prefix="kernel-") as sockets:
        manager = partial(nbval.kernel.KernelManager, transport="ipc", ip=f"{sockets}/kernel")
        with patch.object(nbval.kernel, "KernelManager", manager):
            return (yield)
