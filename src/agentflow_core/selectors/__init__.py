"""Paths of trees, and the built-in selectors that choose among them."""
