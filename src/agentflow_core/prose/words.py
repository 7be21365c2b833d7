"""Reduce a text to the words that say what it is about, so that a question and an answer can be compared."""

from __future__ import annotations

import re
from functools import lru_cache

from agentflow_core.text import is_function_word, tokens

__all__ = ["content_words", "stem"]

_ENDING = re.compile(r"(?:ies|ing|ed|es|s|e)$")
_SHORTEST_WITH_ENDING = 4
#: Words that say the same in another form: irregular pasts, and the nouns for what is measured.
_SAME = {
    "built": "build", "held": "hold", "kept": "keep", "made": "make", "ran": "run", "took": "take",
    "deep": "depth", "high": "height", "long": "length", "old": "age", "wide": "width",
}  # fmt: skip


@lru_cache(maxsize=16384)
def content_words(text: str) -> tuple[str, ...]:
    """The stems of the words of a text that say what it is about, in order: no function words, no single letters."""
    return tuple(stem(word) for word in tokens(text) if not is_function_word(word) and len(word) > 1)


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    """A case-folded word without its ending: ``crosses`` and ``crossing`` are one, as are ``made`` and ``makes``."""
    word = _SAME.get(word, word)
    if len(word) < _SHORTEST_WITH_ENDING or not word.isalpha():
        return word
    return _ENDING.sub("", word)
