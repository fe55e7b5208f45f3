"""Before anything imports lmbook: from then on each call checks the shapes and types in its signature."""

from jaxtyping import install_import_hook

install_import_hook("lmbook", "beartype.beartype")
