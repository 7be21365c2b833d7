"""Names in texts: what a title names, when two spellings are one name, and whether a text has a name."""

from __future__ import annotations

import html
import re
from functools import lru_cache

from agentflow_core.text import normalize

__all__ = [
    "base_title",
    "is_named_in",
    "mentions_name",
    "name_key",
    "name_pattern",
    "with_article",
    "without_qualifier",
]

_QUALIFIER = re.compile(r"\s*\([^()]*\)\s*$")


@lru_cache(maxsize=4096)
def base_title(title: str) -> str:
    """The name that a title gives: without ``(film)`` and the like, HTML's entities decoded."""
    return without_qualifier(html.unescape(title).strip())


def without_qualifier(name: str) -> str:
    """A name without what stands in brackets behind it; a name that is nothing else stays as it is."""
    return _QUALIFIER.sub("", name).strip() or name


@lru_cache(maxsize=4096)
def name_key(name: str) -> str:
    """What two spellings of one name share: case, punctuation and a leading article do not count."""
    words = re.sub(r"[^\w]+", " ", normalize(html.unescape(name))).split()
    if len(words) > 1 and words[0] in ("the", "a", "an"):
        words = words[1:]
    return " ".join(words)


@lru_cache(maxsize=4096)
def name_pattern(name: str) -> re.Pattern[str]:
    """A pattern for the name as whole words, any white space between them, case as it is.

    A word that a hyphen joins to another one is a part of a word: ``Esk`` does not stand in ``Esk-Wend``.
    """
    words = r"\s+".join(re.escape(word) for word in name.split())
    return re.compile(rf"(?<![\w-]){words}(?!\w|-\w)")


def mentions_name(name: str, text: str) -> bool:
    """Whether the name stands in the text as it is written, as whole words."""
    return bool(name) and name in text and name_pattern(name).search(text) is not None


def is_named_in(name: str, text: str) -> bool:
    """Whether the name stands in the text in some spelling: as it is written, or apart from case and punctuation."""
    return mentions_name(name, text) or f" {name_key(name)} " in f" {name_key(text)} "


def with_article(name: str, text: str) -> str:
    """The name as it stands within a sentence: with ``the`` where the text says so, ``the Inn``."""
    if name.startswith("The "):
        return name
    # a link of Markdown may begin behind the article; ``the Esk Valley`` says nothing of the Esk
    said = re.search(rf"(?<!\w)[Tt]he \[?{re.escape(name)}(?!\w| [A-Z])", text)
    return name if said is None else f"the {name}"
