"""The names of a text that may have documents of their own."""

from __future__ import annotations

from agentflow_core.prose import name_key, name_pattern
from agentflow_core.text import is_function_word, proper_names, quoted

__all__ = ["salient_names"]

#: Names that stand in so many texts that their own document is seldom meant.
_COMMON = frozenset(
    [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "english",
        "british",
        "american",
        "french",
        "german",
        "italian",
        "spanish",
        "japanese",
        "chinese",
        "canadian",
        "australian",
        "indian",
        "irish",
        "scottish",
        "welsh",
        "russian",
        "european",
        "african",
        "asian",
        "latin",
        "greek",
        "dutch",
        "swedish",
        "he",
        "she",
        "it",
        "they",
        "his",
        "her",
        "its",
        "their",
        "this",
        "that",
        "these",
        "those",
        "after",
        "before",
        "during",
        "when",
        "while",
        "however",
        "although",
        "since",
    ]
)


def salient_names(text: str, *, limit: int = 30) -> list[str]:
    """The names of a text that may have a document of their own: quoted titles and proper names, each once, in order."""
    found: dict[str, str] = {}
    for name in (*quoted(text), *proper_names(text)):
        key = name_key(name)
        if not 3 <= len(key) <= 80 or key in _COMMON or key.isdigit() or len(key.split()) > 8 or ". " in name:
            continue
        if all(is_function_word(word) or word in _COMMON for word in key.split()) or name.islower():
            continue
        if " " not in key and _only_begins_sentences(name, text):
            continue
        found.setdefault(key, name)
    padded = [f" {key} " for key in found]
    found = {
        key: name
        for key, name in found.items()
        if not any(f" {key} " in other and f" {key} " != other for other in padded)
    }
    order = sorted(found.values(), key=lambda name: (text.find(name), name))
    return order[:limit]


def _only_begins_sentences(word: str, text: str) -> bool:
    """Whether a single word is capitalised for its place alone: ``Despite``, ``Originally``."""
    places = [match.start() for match in name_pattern(word).finditer(text)]
    begins = all(not text[:place].rstrip() or text[:place].rstrip()[-1] in '.!?"”' for place in places)
    return begins and (
        word.islower() or name_pattern(word.lower()).search(text) is not None or word.endswith(("ed", "ly", "ing"))
    )
