"""The built-in metrics, and what is computed over them."""
