"""Turn the names of tables and columns into words, and back: ``InvoiceLine`` is an invoice line, of several invoice lines."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["article", "is_plural", "plural", "singular", "stem", "words_of"]

_PIECE: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_IRREGULAR: Final = {"person": "people", "child": "children", "man": "men", "woman": "women", "index": "indexes"}
_SINGULAR: Final = {many: one for one, many in _IRREGULAR.items()} | {"series": "series", "species": "species"}
_AS_THEY_ARE: Final = frozenset(
    {"staff", "news", "equipment", "series", "species", "data", "status", "address", "class", "bus"}
)


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: ``unit_price``, ``UnitPrice`` and ``unit price`` are ``unit`` and ``price``."""
    return [piece.lower() for piece in _PIECE.findall(name)]


def singular(phrase: str) -> str:
    """One of what the phrase names several of; a phrase in the singular stays as it is."""
    head, _, last = phrase.rpartition(" ")
    return f"{head} {_one(last)}".strip()


def plural(phrase: str) -> str:
    """Several of what the phrase names one of."""
    head, _, last = phrase.rpartition(" ")
    return f"{head} {_many(last)}".strip()


def _one(word: str) -> str:
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word in _AS_THEY_ARE or word.endswith("ss") or not word.endswith("s") or len(word) < 4:
        return word
    if word.endswith("ies") and len(word) > 4 and word != "movies":
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1]


def _many(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in ("staff", "news", "equipment", "series", "species", "data"):
        return word
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    return f"{word}s"


def article(phrase: str) -> str:
    """The phrase with ``a`` or ``an`` before it."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' and not phrase.startswith(('uni', 'us', 'eu')) else 'a'} {phrase}"


def stem(word: str) -> str:
    """A word without the ending of its number, so that ``genres`` and ``genre`` are one."""
    return _one(word.lower())


def is_plural(phrase: str) -> bool:
    """Whether a phrase names several things that are counted, such as pages."""
    last = phrase.rpartition(" ")[2]
    return len(last) > 3 and last not in _AS_THEY_ARE and _one(last) != last
