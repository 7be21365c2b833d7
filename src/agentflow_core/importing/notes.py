"""What an import leaves out, each thing once with how often it came."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Notes"]


class Notes:
    """Keys that were ignored, and remarks, in the order in which they first came."""

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()

    def rest(self, value: Mapping[str, Any], known: frozenset[str], under: str = "") -> None:
        """Note the keys of an object that are not known and hold something."""
        for key, item in value.items():
            if key not in known and item not in (None, "", [], {}):
                self.ignored[f"{under}{key}"] += 1

    def remark(self, text: str) -> None:
        """Note something that was made of the input, or not."""
        self.remarks[text] += 1

    def lines(self) -> Iterator[str]:
        """What to tell, a line each."""
        for key, count in self.ignored.items():
            yield f"ignored: {key} ({count}x)"
        for text, count in self.remarks.items():
            yield f"{text} ({count}x)"
