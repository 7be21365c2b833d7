"""Rank passages by BM25. The statistics are those of the documents that are searched, summed over their stores.

An index of its own over all documents would have to be built anew whenever one is added or changes, and one for each
document would weigh words by that document alone. Here the words of each document are kept with it, and what BM25 needs
of all of them is added up for each query: one look-up a word and document.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_doc.words import terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_doc.store import Store

__all__ = ["Ranked", "Ranking", "rank"]

_K1: Final = 1.2
_B: Final = 0.75
#: Words of a query that are looked up at most; longer questions are cut.
_MOST_TERMS: Final = 128


@frozen
class Ranking:
    """A passage of a document and its score."""

    doc: str
    passage: int
    score: float


@frozen(kw_only=True)
class Ranked:
    """The best passages, and how many hold a word of the query."""

    best: tuple[Ranking, ...]
    total: int


def rank(stores: Mapping[str, Store], query: str, limit: int) -> Ranked:
    """The passages of the documents that fit the query best; of equal scores the one of the earlier document and place."""
    wanted = list(dict.fromkeys(terms(query)))[:_MOST_TERMS]
    passages = sum(store.head.passages for store in stores.values())
    if not wanted or not passages:
        return Ranked(best=(), total=0)
    average = max(1.0, sum(store.head.words for store in stores.values()) / passages)
    found = {doc: store.postings(wanted) for doc, store in stores.items()}
    scores: defaultdict[tuple[int, int], float] = defaultdict(float)
    docs = list(stores)
    for term in wanted:
        frequency = sum(len(postings.get(term, ())) for postings in found.values())
        if not frequency:
            continue
        weight = math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))
        for order, doc in enumerate(docs):
            for posting in found[doc].get(term, ()):
                norm = _K1 * (1 - _B + _B * posting.words / average)
                scores[order, posting.passage] += weight * posting.count * (_K1 + 1) / (posting.count + norm)
    best = sorted(scores.items(), key=lambda one: (-round(one[1], 9), one[0]))[:limit]
    return Ranked(
        best=tuple(Ranking(docs[order], at, round(score, 6)) for (order, at), score in best), total=len(scores)
    )
