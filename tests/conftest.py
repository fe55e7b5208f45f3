"""Before anything imports lmbook: from then on each call checks the shapes and types in its signature."""

import hypothesis
import jaxtyping
import pytest
from jaxtyping import install_import_hook

install_import_hook("lmbook", "watched_types.watched")
hypothesis.settings.register_profile("book", deadline=None)  # no limit on time: machines are shared
hypothesis.settings.load_profile("book")


@pytest.fixture
def as_readers_run_it(monkeypatch):
    """Signatures go unchecked, as outside the tests, so a wrong kind of argument reaches the function."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
