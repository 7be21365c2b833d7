"""Word questions by the labels of pages: ``Founded`` asks in which year, ``Opens`` at what time, ``Weight`` what."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentflow_browser.offline.words import is_kind_name
from agentflow_core.text import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["among", "asks", "is_noun", "is_plural", "kind_of", "said", "unit_of", "with_article"]

_YEAR: Final = re.compile(r"[12]\d{3}")
_TIME: Final = re.compile(r"\d{1,2}:\d{2}")
_MONEY: Final = {"$": "dollars", "€": "euros", "£": "pounds"}
_UNITS: Final = {"l": "litres", "g": "grams", "m": "metres", "h": "hours"}
_VALUE: Final = re.compile(r"(?P<money>[$€£])?\s?-?\d[\d,]*(?:\.\d+)?\s?(?P<unit>%|[A-Za-z²³°]{1,8})?")
_HAPPENS: Final = ("opens", "closes", "starts", "ends", "begins")
_PREPOSITION: Final = re.compile(r"\b(?:by|from|to|at|in|on|of|for|until|since)$")


def said(label: str) -> str:
    """A label inside a sentence: in lower case, unless it is an abbreviation or a number."""
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in label.split())


def with_article(name: str, kinds: Iterable[str]) -> str:
    """A name in a sentence: ``the Alder Kettle``, for a kettle; ``Brackwater Works``."""
    return f"the {name}" if is_kind_name(name, kinds) and not name.lower().startswith("the ") else name


def is_noun(label: str) -> bool:
    """Whether a label can be asked for as ``the label of …``."""
    word = said(label)
    return bool(tokens(word)) and len(word.split()) <= 3 and not _PREPOSITION.search(word) and not _is_verb(word)


def _is_verb(word: str) -> bool:
    return _is_participle(word) or word in (*_HAPPENS, "made in", "born")


def _is_participle(word: str) -> bool:
    return word.endswith("ed") and not word.endswith("eed") and len(word) > 4


def asks(label: str, value: str, of: str) -> str | None:
    """The question for a fact, without its first capital; None where the label is not one that can be asked for.

    Args:
        label: the name of the fact.
        value: what the answer is, which decides how it is asked for.
        of: what it is about, in words.
    """
    word = said(label)
    if _is_participle(word) and " " not in word and _YEAR.fullmatch(value):
        return f"in which year was {of} {word}?"
    if word in _HAPPENS and _TIME.fullmatch(value):
        return f"at what time does {of} {word[:-1]}?"
    if is_plural(label) and value.replace(",", "").isdecimal():
        return f"how many {word} does {of} have?"
    return f"what is the {word} of {of}?" if is_noun(label) else None


def is_plural(label: str) -> bool:
    """Whether a label names several things that are counted."""
    return label.endswith("s") and not label.endswith("ss") and is_noun(label)


def unit_of(value: str) -> tuple[str, str] | None:
    """What a value that is one number is measured in, as written (``kg``, ``$``) and in words; None for other values."""
    found = _VALUE.fullmatch(value.strip())
    if found is None or (found["money"] and found["unit"]):
        return None
    if found["money"]:
        return found["money"], _MONEY[found["money"]]
    unit = (found["unit"] or "").removesuffix("s") if len(found["unit"] or "") > 3 else found["unit"] or ""
    return unit, _UNITS.get(unit, f"{unit}s" if len(unit) > 3 else unit)


def kind_of(column: str) -> str:
    """What a row is, by the heading over its names."""
    return said(column)


def among(caption: str) -> str:
    """Which rows are meant, by the caption of their table."""
    words = said(caption)
    return f"among the {words}" if words.endswith("s") and len(words.split()) <= 2 else f'in the list "{caption}"'
