"""The tools of the backend ``browser``, by what they are for."""
