"""Remember which rows hold which runs of words, in 12 bytes a run whatever the rows are."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RunIndex"]

_ROW_BITS = 32
_ROW_MASK = (1 << _ROW_BITS) - 1


class RunIndex:
    """The rows of 64-bit hashes, sorted in blocks; of several rows with one hash, the first of a block is kept.

    Args:
        block: hashes that are sorted at once; while rows are added, as many more are held at most.
    """

    def __init__(self, block: int = 500_000) -> None:
        self._block = block
        self._pending: list[int] = []
        self._blocks: list[tuple[array[int], array[int]]] = []

    def __len__(self) -> int:
        """How many hashes there are; one that stands in two blocks counts twice."""
        self._close()
        return sum(len(hashes) for hashes, _ in self._blocks)

    def add(self, hashes: Iterable[int], row: int) -> None:
        """Note that a row, counted from 0, holds them."""
        self._pending += [each << _ROW_BITS | row for each in hashes]
        if len(self._pending) >= self._block:
            self._close()

    def row_of(self, wanted: int) -> int | None:
        """The first row that holds the hash, or None."""
        self._close()
        for hashes, rows in self._blocks:
            place = bisect_left(hashes, wanted)
            if place < len(hashes) and hashes[place] == wanted:
                return rows[place]
        return None

    def _close(self) -> None:
        if not self._pending:
            return
        self._pending.sort()
        hashes, rows = array("Q"), array("I")
        last = -1
        for entry in self._pending:
            found = entry >> _ROW_BITS
            if found != last:
                hashes.append(found)
                rows.append(entry & _ROW_MASK)
                last = found
        self._blocks.append((hashes, rows))
        self._pending = []
