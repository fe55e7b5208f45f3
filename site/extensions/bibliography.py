"""Finds the parts of pybtex once: it searches all installed packages each time that it needs one."""

from pybtex.plugin import find_plugin, register_plugin
from sphinx.application import Sphinx

PARTS = (  # those asked for at each entry or page
    ("pybtex.backends", "plaintext"),
    ("pybtex.style.formatting", "alpha"),
    ("pybtex.style.labels", "alpha"),
    ("pybtex.style.names", "plain"),
    ("pybtex.style.sorting", "author_year_title"),
)


def setup(app: Sphinx) -> dict:
    for group, name in PARTS:
        register_plugin(group, name, find_plugin(group, name), force=True)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
