"""The words by which passages are found: case and accents folded, plurals taken off, function words left out."""

from __future__ import annotations

import unicodedata
from typing import Final

from agentflow_core.text import tokens

__all__ = ["terms"]

_STOP: Final = frozenset(
    """
    a an and are as at be by did do does for from had has have he her his how i in into is it its many much of on or
    our she that the their them there these they this those to was we were what when where which who whom whose why
    will with you your
    """.split()  # noqa: SIM905 - a list would be a page long
)


def terms(text: str) -> list[str]:
    """The words of a text as they are indexed and looked up, in order; of function words alone, these."""
    every = tokens(text if text.isascii() else _bare(text))
    return [_singular(word) for word in every if word not in _STOP] or every


def _bare(text: str) -> str:
    """Without accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _singular(word: str) -> str:
    """Without the ending of an English plural. Source: the S-stemmer of Harman, "How effective is suffixing?" (1991)."""
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    if word.endswith(("us", "ss")):
        return word
    return word[:-1]
