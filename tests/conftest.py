"""Before anything imports lmbook: from then on each call checks the shapes and types in its signature."""

import jaxtyping
import pytest
from jaxtyping import install_import_hook

install_import_hook("lmbook", "watched_types.watched")


@pytest.fixture
def as_readers_run_it(monkeypatch):
    """Signatures go unchecked, as outside the tests, so a wrong kind of argument reaches the function."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
