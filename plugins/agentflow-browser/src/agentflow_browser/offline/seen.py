"""What a path or an agent's steps have seen so far: pages, the facts of them, and what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agentflow_browser.offline.pages import Page, Row, Table, read_page
from agentflow_core.text import canonical_url, tokens

if TYPE_CHECKING:
    from agentflow_browser.offline.elements import Element
    from agentflow_browser.offline.pages import Fact
    from agentflow_core.records import Node, Observation, SolveStep

__all__ = ["Seen", "Whole", "entity", "page_of", "seen_in_steps", "seen_on_path"]

_GROUP: Final = "browser:"
#: Tools that show something else than the page as a tree, or a part of the tree.
_PARTIAL: Final = frozenset(
    f"{_GROUP}{name}" for name in ("find", "read", "screenshot", "console", "requests", "downloads", "evaluate")
)


def entity(name: str) -> str:
    """What is equal for two ways to write a name."""
    return " ".join(tokens(name))


@frozen(kw_only=True, eq=False)
class Whole:
    """The parts of one table that were seen, together."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    parts: tuple[Table, ...]
    is_whole: bool  #: whether no part is missing


@define(eq=False)
class Seen:
    """All that was seen, in order."""

    pages: list[Page] = field(factory=list)
    done: list[tuple[str, Mapping[str, Any]]] = field(factory=list)  #: tools and parameters

    @property
    def now(self) -> Page | None:
        """The page that was shown last."""
        return self.pages[-1] if self.pages else None

    @cached_property
    def visited(self) -> set[str]:
        """The URLs of the pages."""
        return {canonical_url(page.url) for page in self.pages}

    @cached_property
    def facts(self) -> list[Fact]:
        """The facts of all pages, each once, those of a page's own subject before those of rows."""
        found: dict[tuple[str, str, str, bool], Fact] = {}
        for page in self.pages:
            for fact in page.facts:
                key = (entity(fact.subject), entity(fact.name), fact.value, fact.table is None)
                found.setdefault(key, fact)
        return sorted(found.values(), key=lambda fact: fact.table is not None)

    @cached_property
    def about(self) -> dict[str, list[Fact]]:
        """The facts by their subject."""
        found: dict[str, list[Fact]] = {}
        for fact in self.facts:
            found.setdefault(entity(fact.subject), []).append(fact)
        return found

    @cached_property
    def tables(self) -> list[Whole]:
        """The tables, their parts put together."""
        parts: dict[tuple[str, str], list[Table]] = {}
        for page in self.pages:
            for table in page.tables:
                parts.setdefault(table.key, []).append(table)
        return [_whole(tables) for tables in parts.values()]

    @cached_property
    def links(self) -> dict[str, tuple[Page, Element]]:
        """The links to pages by their whole URL, where they were seen last."""
        return {canonical_url(page.address(link)): (page, link) for page in self.pages for link in page.links}

    @cached_property
    def names(self) -> dict[str, str]:
        """What facts, pages and rows are about, by its key."""
        found = [fact.subject for fact in self.facts]
        found += [page.heading for page in self.pages]
        found += [row.name for table in self.tables for row in table.rows]
        return {entity(name): name for name in found if entity(name)}

    @cached_property
    def site(self) -> str:
        """What the titles of different pages end with, after a dash or a bar; empty where they have nothing in common."""
        titles = {page.title for page in self.pages}
        for mark in (" – ", " | ", " — ", " - ", " · "):
            ends = {title.rpartition(mark)[2] for title in titles if mark in title}
            if len(ends) == 1 and len(titles) > 1 and all(mark in title for title in titles):
                return ends.pop().strip()
        return ""


def _whole(tables: list[Table]) -> Whole:
    rows: dict[str, Row] = {}
    numbers: set[int] = set()
    total = 0
    for table in tables:
        part = table.part
        if part is not None:
            numbers.add(part[0])
            total = max(total, part[1])
        for row in table.rows:
            rows.setdefault(row.name, row)
    return Whole(
        caption=tables[0].caption,
        columns=tables[0].columns,
        rows=tuple(rows.values()),
        parts=tuple(tables),
        is_whole=total > 0 and numbers >= set(range(1, total + 1)),
    )


def seen_on_path(path: Iterable[Node]) -> Seen:
    """What the nodes of a path saw; failed calls saw nothing."""
    seen = Seen()
    for node in path:
        if node.tool is not None and node.tool.startswith(_GROUP):
            seen.done.append((node.tool, node.params))
            if node.result is not None and node.error is None:
                _look(seen, node.tool, node.params, node.result, node.id)
    return seen


def seen_in_steps(steps: Iterable[SolveStep]) -> Seen:
    """What an agent's calls saw."""
    seen = Seen()
    for number, step in enumerate(steps):
        if step.tool.startswith(_GROUP):
            seen.done.append((step.tool, step.params))
            _look(seen, step.tool, step.params, step.result, str(number))
    return seen


def _look(seen: Seen, tool: str, params: Mapping[str, Any], result: Observation, where: str) -> None:
    page = page_of(tool, params, result, where)
    if page is None:
        return
    if (before := seen.now) is not None:
        target = before.element(str(params.get("ref")))
        presses = tool == f"{_GROUP}click" and target is not None and target.role == "button"
        page.disturbed = before.disturbed or (
            presses and "?" not in page.url
        )  # a query shows a list, and changes nothing
    seen.pages.append(page)


def page_of(tool: str, params: Mapping[str, Any], result: Observation, where: str) -> Page | None:
    """The page that an observation shows, if it shows one whole: not a part of it, nor what has changed of it."""
    if not result.ok or tool in _PARTIAL:
        return None
    if tool == "browser:snapshot" and (
        set(params) & {"ref", "depth", "cursor"} or params.get("mode", "full") != "full"
    ):
        return None
    head, _, body = result.text.partition("\n\n")
    lines = head.splitlines()
    url = next((line.strip() for line in lines if "://" in line and " " not in line.strip()), "")
    if isinstance(result.data, Mapping) and isinstance(result.data.get("url"), str):
        url = result.data["url"]
    title = lines[0].strip() if lines and "://" not in lines[0] else ""
    if isinstance(result.data, Mapping) and isinstance(result.data.get("title"), str):
        title = result.data["title"]
    page = read_page(result.text, url, title, where)
    return page if url and page.elements and body.startswith("- ") else None
