"""What runs in pages: JavaScript, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["READING", "REGISTRY"]

_HERE: Final = Path(__file__).parent
#: Makes the object that gives out references.
REGISTRY: Final = (_HERE / "registry.js").read_text(encoding="utf-8")
#: Reads the main text.
READING: Final = (_HERE / "reading.js").read_text(encoding="utf-8")
