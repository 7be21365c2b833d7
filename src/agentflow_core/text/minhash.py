"""Estimate how similar sets are from short signatures, and find near-duplicates among many.

The signature is a one-permutation MinHash (Li, Owen, Zhang 2012): one pass over the set, and the signature of a
union is the element-wise minimum of the signatures.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Set
from functools import reduce
from typing import Generic, TypeVar

from agentflow_core.text.words import overlap

__all__ = ["EMPTY", "SIZE", "NearDuplicates", "jaccard", "merge", "minhash"]

#: Bins of a signature.
SIZE = 128
#: The value of a bin that nothing fell into; greater than any hash.
EMPTY = 1 << 64

Signature = tuple[int, ...]
Key = TypeVar("Key", bound=Hashable)
_MULTIPLIER = 0xD6E8FEB86659FD93
_MASK = (1 << 64) - 1
#: Sets up to this size are looked up exactly: a signature says too little about them.
_SMALL = 64


def minhash(shingles: Iterable[int], size: int = SIZE) -> Signature:
    """The signature of a set of 64-bit hashes: the least value of each of ``size`` bins, `EMPTY` where there is none."""
    bins = [EMPTY] * size
    for shingle in shingles:
        # the high bits of the product choose the bin, so that shingles with a common factor spread
        mixed = shingle * _MULTIPLIER & _MASK
        index = (mixed >> 40) % size
        if mixed < bins[index]:
            bins[index] = mixed
    return tuple(bins)


def merge(signatures: Iterable[Signature]) -> Signature:
    """The signature of the union of the sets behind ``signatures``."""
    return reduce(lambda left, right: tuple(map(min, left, right)), signatures, (EMPTY,) * SIZE)


def jaccard(left: Signature, right: Signature) -> float:
    """The estimated Jaccard similarity of the sets behind two signatures, 0 to 1; of empty sets 0.

    The standard error is about ``sqrt(j (1 - j) / bins used)``: 0.04 for sets of some hundred elements.

    Raises:
        ValueError: the signatures have different sizes.
    """
    if len(left) != len(right):
        raise ValueError(f"signatures of {len(left)} and {len(right)} bins cannot be compared")
    equal = used = 0
    for one, other in zip(left, right, strict=True):
        if one != EMPTY or other != EMPTY:
            used += 1
            equal += one == other
    return equal / used if used else 0.0


class NearDuplicates(Generic[Key]):
    """An index of sets that finds those whose Jaccard similarity to a new one is at least ``threshold``.

    Candidates come from locality-sensitive hashing (large sets; one miss in a thousand at the threshold) or from
    rare elements (small sets; no miss), and are then compared exactly. The index holds the sets.
    """

    def __init__(self, threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"a similarity threshold lies above 0 and not above 1, not at {threshold}")
        self.threshold = threshold
        self._rows = next(rows for rows in (16, 8, 4, 2, 1) if rows == 1 or _found(threshold, rows) >= 0.999)
        self._small = int(_SMALL / threshold) + 1
        self._sets: dict[Key, frozenset[int]] = {}
        self._order: dict[Key, int] = {}
        self._buckets: dict[tuple[int, int] | int, list[Key]] = {}

    def __len__(self) -> int:
        return len(self._sets)

    def add(self, key: Key, shingles: Set[int]) -> None:
        """Put a set in under ``key``. An empty set is near nothing.

        Raises:
            ValueError: there is a set under this key.
        """
        if key in self._sets:
            raise ValueError(f"there is a set under {key!r} already")
        self._sets[key] = frozenset(shingles)
        self._order[key] = len(self._order)
        for place in self._places(shingles):
            self._buckets.setdefault(place, []).append(key)

    def query(self, shingles: Set[int]) -> list[tuple[Key, float]]:
        """Keys and similarities of the sets near to ``shingles``, most similar first, then in order of addition."""
        candidates = {key for place in self._places(shingles) for key in self._buckets.get(place, ())}
        near = ((key, overlap(shingles, self._sets[key])) for key in candidates)
        return sorted(
            ((key, similarity) for key, similarity in near if similarity >= self.threshold),
            key=lambda found: (-found[1], self._order[found[0]]),
        )

    def _places(self, shingles: Set[int]) -> Iterator[tuple[int, int] | int]:
        """The buckets of a set. Sets of like size share a kind of bucket; those at the border stand in both kinds."""
        if not shingles:
            return
        if len(shingles) <= self._small:
            # two sets this similar share one of their first elements in any order that both follow
            ordered = sorted(shingles)
            yield from ordered[: len(ordered) - int(self.threshold * len(ordered) - 1e-9)]
        if len(shingles) >= _SMALL:
            signature = _densified(minhash(shingles))
            for band in range(0, SIZE, self._rows):
                yield band, hash(signature[band : band + self._rows])


def _found(similarity: float, rows: int) -> float:
    """The chance that two sets of this similarity share a band."""
    return float(1 - (1 - similarity**rows) ** (SIZE // rows))


def _densified(signature: Signature) -> Signature:
    """Empty bins filled from the next full one to the right (Shrivastava, Li 2014), so that bands stay comparable."""
    filled = list(signature)
    distance, value = 0, EMPTY
    for index in range(2 * len(filled) - 1, -1, -1):
        at = index % len(filled)
        if signature[at] != EMPTY:
            distance, value = 0, signature[at]
        else:
            distance += 1
            filled[at] = value + distance * EMPTY if value != EMPTY else EMPTY
    return tuple(filled)
