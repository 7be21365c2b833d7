"""What a search engine is: it builds an index from units, and ranks units for a query."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_rag.store import Unit

__all__ = ["STOP_WORDS", "Engine", "Index", "Mode", "Query", "Ranked", "Ranking", "filter_terms", "fold", "quoted"]

Mode = Literal["auto", "bm25", "phrase"]

#: Words that rank nothing; they are indexed all the same, for phrases and for names made of them only.
STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "all",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "both",
        "but",
        "by",
        "can",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "more",
        "most",
        "no",
        "not",
        "of",
        "on",
        "one",
        "or",
        "other",
        "s",
        "she",
        "so",
        "some",
        "such",
        "t",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
    ]
)


@frozen(kw_only=True)
class Query:
    """What is asked. ``text`` is words, never query syntax; in mode auto, quoted parts count as phrases as well."""

    text: str
    mode: Mode = "auto"
    filters: Mapping[str, tuple[str, ...]] = field(factory=dict)  #: each field has one of its values


@frozen
class Ranking:
    """A unit and its score."""

    unit: int
    score: float


@frozen(kw_only=True)
class Ranked:
    """The best units: highest score first, equal scores by unit; and how many match at all."""

    hits: tuple[Ranking, ...]
    total: int


class Index(Protocol):
    """An open index; calls come from several threads at once."""

    modes: tuple[Mode, ...]

    def search(self, query: Query, *, limit: int, offset: int = 0) -> Ranked:
        """The hits from ``offset`` on, ``limit`` at most."""
        ...

    def close(self) -> None:
        """Release files; the index is not used after it."""
        ...


class Engine(Protocol):
    """A kind of index."""

    name: str

    @property
    def version(self) -> str:
        """Part of the saved index's key: a change of it means to build anew."""
        ...

    def build(self, directory: Path, units: Iterable[Unit], tick: Callable[[int], None]) -> int:
        """Write an index of the units; ``tick`` is told how many are done, often, and may raise to stop.

        Returns how many there were.
        """
        ...

    def open(self, directory: Path) -> Index:
        """Open what `build` wrote, memory-mapped where the engine can."""
        ...


def fold(text: str) -> str:
    """The form in which filter values are compared."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def filter_terms(unit: Unit) -> list[str]:
    """The filter terms of a unit: each of its filterable values with the name of its field."""
    terms = [f"doc_id={fold(unit.doc_id)}", f"title={fold(unit.title)}"]
    terms += [f"{name}={fold(value)}" for name, values in unit.filters.items() for value in values]
    return terms


def quoted(text: str) -> list[str]:
    """The parts of a query that stand in double quotes, straight or typographic."""
    parts = text.replace("“", '"').replace("”", '"').split('"')
    return [part for part in parts[1:-1:2] if part.strip()]
