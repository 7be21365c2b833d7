"""The image of a small Debian desktop: what it is, and how it is built."""
