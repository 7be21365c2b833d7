"""The English nouns that the rules know: for people, for places, and for works, with how a work is made."""

from __future__ import annotations

from typing import Final

from agentflow_core.prose.vocabulary import NOT_PERSONS, PERSONS, PLACES

__all__ = ["CREATION", "WORKS", "is_person_noun", "is_place_noun"]

_PERSON_ENDINGS: Final = ("ist", "or", "er", "ian", "eer", "woman", "man", "grapher", "ologist")
#: What somebody did by whom a thing is: ``a novel by X`` was written by X.
CREATION: Final = {
    "novel": "wrote", "novella": "wrote", "book": "wrote", "poem": "wrote", "play": "wrote", "story": "wrote",
    "trilogy": "wrote", "comedy": "wrote", "tragedy": "wrote", "epic": "wrote", "essay": "wrote", "memoir": "wrote",
    "opera": "wrote", "symphony": "wrote", "oratorio": "wrote", "ballet": "wrote", "concerto": "wrote",
    "quintet": "wrote", "waltz": "wrote", "suite": "wrote", "cantata": "wrote", "overture": "wrote",
    "painting": "painted", "portrait": "painted", "fresco": "painted", "sculpture": "made", "statue": "made",
    "song": "recorded", "single": "recorded", "album": "recorded", "film": "made", "documentary": "made",
    "series": "created", "manga": "created", "comic": "created", "soundtrack": "recorded", "ballad": "recorded",
    "track": "recorded", "score": "composed", "aria": "composed", "EP": "recorded",
}  # fmt: skip
#: Sorts of works: a noun of one does not name a thing of another.
WORKS: Final = (
    frozenset({"song", "single", "track", "ballad", "aria", "hit"}),
    frozenset({"album", "ep", "soundtrack", "compilation", "lp"}),
    frozenset(
        {"film", "movie", "drama", "featurette", "documentary", "series", "comedy", "thriller", "episode", "show"}
    ),
    frozenset({"novel", "novella", "book", "poem", "trilogy", "memoir", "biography"}),
)


def is_person_noun(noun: str) -> bool:
    """Whether the noun names a person by what they do."""
    word = noun.casefold()
    if word in PERSONS:
        return True
    return len(word) > 4 and word.endswith(_PERSON_ENDINGS) and word not in NOT_PERSONS


def is_place_noun(noun: str) -> bool:
    """Whether the noun names a place one can be born, live or lie in."""
    return noun.casefold() in PLACES
