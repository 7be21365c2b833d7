"""The built-in scorers of paths, each 0 to 1."""
