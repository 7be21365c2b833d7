"""Normalize answers as the SQuAD 1.1 evaluation script does."""

from __future__ import annotations

import re
import string

__all__ = ["answer_tokens", "normalize_answer"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower case, ASCII punctuation dropped (not replaced by a space), articles dropped, white space collapsed.

    Source: ``evaluate-v1.1.py`` of SQuAD, ``normalize_answer``.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_tokens(text: str) -> list[str]:
    """The tokens of the normalized answer; where nothing is left of it (``the``, ``A``, ``+``), what it was made of."""
    normalized = normalize_answer(text)
    if not normalized:
        normalized = text.lower().translate(_PUNCTUATION).strip() or text.lower()
    return normalized.split()
