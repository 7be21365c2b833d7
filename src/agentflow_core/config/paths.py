"""Make the paths of a configuration absolute."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["absolute"]


def absolute(text: str, folder: Path | None, *, pattern: bool = False) -> str:
    """The path as text: ``~`` expanded, relative to the folder, or to the working directory where it is None.

    ``-`` (standard input) stays, and so does a ``pattern`` that is a URL.

    Raises:
        ValueError: it is no path.
    """
    if not text:
        raise ValueError("expected a path, got empty text")
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL")
    if text == "-" or (pattern and "://" in text):
        return text
    return str((folder or Path.cwd()) / os.path.expanduser(text))
