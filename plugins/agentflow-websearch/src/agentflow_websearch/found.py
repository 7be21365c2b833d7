"""What providers find: results of a search and pages; JSON and back, for the cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, frozen

__all__ = ["Asked", "Link", "Page", "Result", "Results"]


@frozen(kw_only=True)
class Asked:
    """One search."""

    query: str
    num: int = 10
    page: int = 1
    gl: str | None = None  #: country of the searcher
    hl: str | None = None  #: language of the interface
    time_range: str | None = None  #: day, week, month or year
    type: str = "web"  #: web, news, scholar or images


@frozen(kw_only=True)
class Result:
    """One result of a search; texts are on one line."""

    title: str
    url: str
    snippet: str = ""
    date: str | None = None
    source: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)  #: what only some kinds of search have


@frozen(kw_only=True)
class Results:
    """What one provider found for one search, best first."""

    provider: str
    results: tuple[Result, ...]
    answer_box: Mapping[str, Any] | None = None  #: title, text and url of an answer that stands above the results
    cost_usd: float | None = 0.0  #: None: unknown
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return attrs.asdict(self)

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Results:
        """From what `as_data` gave."""
        known = {**data, "results": tuple(Result(**row) for row in data["results"]), "notes": tuple(data["notes"])}
        return cls(**known)


@frozen(kw_only=True)
class Link:
    """A link of a page."""

    text: str
    url: str


@frozen(kw_only=True)
class Page:
    """One page as a provider read it: its whole text."""

    provider: str
    url: str
    final_url: str
    title: str
    text: str
    status: int = 200
    date: str | None = None
    links: tuple[Link, ...] = ()
    is_cut: bool = False  #: there was more than the limits allow
    cost_usd: float | None = 0.0
    tokens: int | None = None  #: that the provider counts
    notes: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        return attrs.asdict(self)

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Page:
        """From what `as_data` gave."""
        known = {**data, "links": tuple(Link(**row) for row in data["links"]), "notes": tuple(data["notes"])}
        return cls(**known)
