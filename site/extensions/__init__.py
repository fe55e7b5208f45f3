"""The Sphinx extensions of the book's site."""
