"""Normalize text, cut it into words, and hash runs of words into sets that can be compared."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b
from struct import unpack_from
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

__all__ = ["contains", "hash64", "normalize", "novelty", "overlap", "shingles", "shingles_of", "tokens"]

#: ASCII bytes in lower case; what is no letter, digit or underscore is a space.
_ASCII_WORDS = bytes(
    ord(chr(code).lower()) if code < 128 and (chr(code).isalnum() or chr(code) == "_") else 32 for code in range(256)
)
#: Scripts that are written without spaces: every character is a word of its own there.
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD_ANY = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_LONGEST_RUN = 50


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
        # five times as fast as the expression below
        return text.encode("ascii").translate(_ASCII_WORDS).decode("ascii").split()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WORD_ANY.findall(folded)


def hash64(text: str) -> int:
    """A 64-bit hash that is the same in every process and version."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class _Lanes(dict[str, bytes]):
    """Hashes of the words seen lately, each in a lane of bytes; it starts anew when it has grown large.

    The hashes have few enough bits that the weighted sum of a run does not reach the next lane.
    """

    LIMIT = 1 << 17

    def __init__(self, width: int, hash_bits: int) -> None:
        super().__init__()
        self.width = width
        self._drop = 64 - hash_bits

    def __missing__(self, word: str) -> bytes:
        if len(self) >= self.LIMIT:
            self.clear()
        value = self[word] = (hash64(word) >> self._drop).to_bytes(self.width, "little")
        return value


_SHORT_RUN = 5
_SHORT = _Lanes(8, 55)  # sums of five words stay below 2**60, up to where Python's integers are small and fast
_LONG = _Lanes(16, 64)


def shingles(text: str, n: int = 5) -> set[int]:
    """Hashes of all runs of ``n`` words of ``text``; of the whole text if it has fewer words; none if it has none."""
    return shingles_of(tokens(text), n)


def shingles_of(words: Sequence[str], n: int = 5) -> set[int]:
    """`shingles` of words that are cut already.

    Raises:
        ValueError: ``n`` is not between 1 and 50.
    """
    if not 1 <= n <= _LONGEST_RUN:
        raise ValueError(f"a shingle has 1 to {_LONGEST_RUN} words, not {n}")
    if not words:
        return set()
    width = min(n, len(words))
    count = len(words) - width + 1
    # The hash of a run is the sum of its words' hashes weighted by powers of two: distinct runs have distinct sums,
    # short of a chance of 2**-50. All runs are summed at once, in the lanes of one long integer.
    kept = _SHORT if width <= _SHORT_RUN else _LONG
    lanes = int.from_bytes(b"".join(map(kept.__getitem__, words)), "little")
    sums = lanes
    for offset in range(1, width):
        sums = (sums << 1) + (lanes >> (8 * kept.width * offset))
    summed = sums.to_bytes(kept.width * (len(words) + 1), "little")
    if kept is _SHORT:
        return set(unpack_from(f"<{count}Q", summed))
    return set(unpack_from(f"<{2 * count}Q", summed)[::2])


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
