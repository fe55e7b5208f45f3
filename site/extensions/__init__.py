"""What the book's site adds to Sphinx, one thought a file."""
