"""What runs in the session's interpreter: the standard library and IPython only, since it may be another Python's."""
