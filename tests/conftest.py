"""Before anything imports lmbook: check the shapes and types in its signatures whenever a function is called."""

from jaxtyping import install_import_hook

install_import_hook("lmbook", "beartype.beartype")
