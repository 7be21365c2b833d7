"""Normalize text, cut it into words, and hash runs of words into sets that can be compared."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from itertools import islice
from operator import add
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

__all__ = ["contains", "hash64", "normalize", "novelty", "overlap", "shingles", "shingles_of", "tokens"]

_WORD = re.compile(r"\w+")
#: Scripts that are written without spaces: every character is a word of its own there.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD_ANY = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_MASK = (1 << 64) - 1


def normalize(text: str) -> str:
    """``text`` in NFKC, case-folded, white space collapsed to single spaces and stripped."""
    if not text.isascii():
        # folding can undo the normal form (and does for a few letters), so the normal form is taken around it
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        return " ".join(text.split())
    return " ".join(text.lower().split())


def tokens(text: str) -> list[str]:
    """The words of ``text`` in order: NFKC, case-folded runs of letters and digits; CJK characters one by one."""
    if text.isascii():
        return _WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WORD_ANY.findall(folded)


def hash64(text: str) -> int:
    """A 64-bit hash that is the same in every process and version."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class _WordHashes(dict[str, int]):
    """Hashes of the words seen lately; it starts anew when it has grown large."""

    LIMIT = 1 << 17

    def __missing__(self, word: str) -> int:
        if len(self) >= self.LIMIT:
            self.clear()
        value = self[word] = hash64(word)
        return value


_hash_of_word = _WordHashes().__getitem__


def shingles(text: str, n: int = 5) -> set[int]:
    """Hashes of all runs of ``n`` words of ``text``; of the whole text if it has fewer words; none if it has none."""
    return shingles_of(tokens(text), n)


def shingles_of(words: Sequence[str], n: int = 5) -> set[int]:
    """`shingles` of words that are cut already."""
    hashes = list(map(_hash_of_word, words))
    if not hashes:
        return set()
    width = min(n, len(hashes))
    # Word hashes weighted by powers of two: distinct runs of words have distinct sums, short of a chance of 2**-60.
    runs = hashes[: len(hashes) - width + 1]
    for offset in range(1, width):
        runs = list(map(add, map(add, runs, runs), islice(hashes, offset, None)))
    return {run & _MASK for run in runs}


def novelty(new: Set[int], seen: Set[int]) -> float:
    """The share of ``new`` that is not in ``seen``, 0 to 1; an empty ``new`` has none."""
    if not new:
        return 0.0
    return len(new - seen) / len(new)


def overlap(left: Set[int], right: Set[int]) -> float:
    """The exact Jaccard similarity of two sets, 0 to 1; two empty sets have none in common."""
    if not left or not right:
        return 0.0
    common = len(left & right)
    return common / (len(left) + len(right) - common)


def contains(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether ``part`` stands in ``words`` as an unbroken run; an empty ``part`` stands nowhere."""
    width = len(part)
    if not width or width > len(words):
        return False
    if width == 1:
        return part[0] in words
    first, wanted = part[0], list(part)
    return any(
        word == first and list(words[index : index + width]) == wanted
        for index, word in enumerate(words[: len(words) - width + 1])
    )
