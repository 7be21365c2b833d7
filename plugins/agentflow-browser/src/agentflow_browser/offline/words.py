"""Reduce words to stems, so that a label and the words of a task can be compared."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from agentflow_core.text import is_function_word, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["GREATEST", "LEAST", "MEANS", "SAYS", "content", "holds", "is_kind_name", "number_word", "stem", "stems"]

_ENDING: Final = re.compile(r"(?:ing|est|ed|er|e|y)$")
#: Words that ask, order or point, and say nothing of what is meant.
SAYS: Final = frozenset(
    re.findall(
        r"\w+",
        "what which who whose when where how many much name tell give find out please page site website does do did is are "
        "was were has have long there of on at in by time year that",
    )
)
GREATEST: Final = frozenset(
    {"highest", "greatest", "most", "largest", "biggest", "best", "longest", "latest", "maximum"}
)
LEAST: Final = frozenset(
    {"lowest", "least", "smallest", "fewest", "shortest", "worst", "minimum", "fastest", "earliest"}
)
#: What a word of a question says of an attribute, and where it asks for an extreme, of which.
MEANS: Final = {
    "cost": ("price", ""),
    "costs": ("price", ""),
    "cheapest": ("price", "least"),
    "dearest": ("price", "greatest"),
    "expensive": ("price", ""),
    "heaviest": ("weight", "greatest"),
    "lightest": ("weight", "least"),
    "heavier": ("weight", ""),
    "lighter": ("weight", ""),
    "heavy": ("weight", ""),
    "weigh": ("weight", ""),
    "weighs": ("weight", ""),
    "tallest": ("height", "greatest"),
    "tall": ("height", ""),
    "oldest": ("founded", "least"),
    "youngest": ("founded", "greatest"),
    "rated": ("rating", ""),
    "color": ("colour", ""),
    "makes": ("maker", ""),
    "made": ("maker", ""),
    "company": ("maker", ""),
    "phone": ("telephone", ""),
    "fastest": ("days", "least"),
    "open": ("opens", ""),
    "close": ("closes", ""),
}
_LONGEST_NUMBER: Final = 10
_NUMBERS: Final = re.findall(r"\w+", "zero one two three four five six seven eight nine ten eleven twelve")


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """A word without its ending: ``kettles`` and ``kettle`` are one, ``made`` and ``maker`` are not."""
    word = word.lower()
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _ENDING.sub("", word) if len(word) > 3 else word


def stems(text: str) -> list[str]:
    """The stems of all words of a text that are no articles, prepositions and the like."""
    return [stem(word) for word in tokens(text) if not is_function_word(word)]


def content(text: str) -> list[str]:
    """The words of a question or task that say what it is about, each once."""
    return list(dict.fromkeys(word for word in tokens(text) if not is_function_word(word) and word not in SAYS))


def holds(text: str, name: str) -> bool:
    """Whether a name stands in a text, by whole words; the last one may be in the plural."""
    words = tokens(name)
    if not words:
        return False
    return re.search(rf"(?<!\w){' '.join(map(re.escape, words))}(?:e?s)?(?!\w)", " ".join(tokens(text))) is not None


def is_kind_name(name: str, kinds: Iterable[str]) -> bool:
    """Whether a name ends with the word for a kind of thing that has a label of its own, as in ``Alder Kettle``."""
    words = tokens(name)
    return len(words) > 1 and stem(words[-1]) in {stem(word) for kind in kinds if len(word := kind.strip().lower()) > 3}


def number_word(word: str) -> int | None:
    """The number that a word says: ``2`` and ``two``; None for other words."""
    if word.isdecimal() and len(word) < _LONGEST_NUMBER:
        return int(word)
    return _NUMBERS.index(word) if word in _NUMBERS else None
