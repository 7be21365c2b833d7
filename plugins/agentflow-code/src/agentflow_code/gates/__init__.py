"""Gates that run what a draft says it was computed with: SQL or Python, in fresh sessions."""
