"""Write what was found as text for a model and as data for programs.

``data.sources`` says which characters of the text come from which URL: gates locate quotes by it. Of a range that is
text of a page it also says ``offset`` (where it begins in the page's text) and ``at`` (where it begins in this text),
so that a quote at ``start`` of this text stands at ``offset + start - at`` of the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from agentflow_core.records import TextContent, ToolResult
from agentflow_websearch.failures import WebFailure
from agentflow_websearch.found import Page, Results
from agentflow_websearch.goals import GoalAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_websearch.finding import Found

__all__ = ["Searched", "Visited", "around_bytes", "find_result", "search_result", "visit_result"]

_RULE = "---"
#: The lines between, and the one that says how to read on.
_AROUND_BYTES = 120


@frozen(kw_only=True)
class Searched:
    """One query, and its results or why there are none."""

    query: str
    results: Results | None = None
    cached: bool = False
    failure: WebFailure | None = None
    blocked: int = 0  #: results that were kept out
    first_rank: int = 1


@frozen(kw_only=True)
class Visited:
    """One URL, and its page or why there is none."""

    url: str
    page: Page | None = None
    cached: bool = False
    failure: WebFailure | None = None
    start: int = 0
    end: int = 0
    goal: GoalAnswer | None = None
    goal_failure: WebFailure | None = None


@frozen
class _Text:
    """A text that grows, and which URL each part is of."""

    parts: list[str] = field(factory=list)
    sources: list[dict[str, Any]] = field(factory=list)

    def add(self, text: str, url: str | None = None, *, offset: int | None = None) -> None:
        """Add a part; one with a URL has a source, one with an offset is text of the page at that URL."""
        start = sum(map(len, self.parts))
        if url is not None:
            source: dict[str, Any] = {"url": url, "start": start, "end": start + len(text)}
            if offset is not None:
                source |= {"offset": offset, "at": start}
            self.sources.append(source)
        self.parts.append(text)

    def gap(self, text: str = "\n\n") -> None:
        if self.parts:
            self.parts.append(text)

    def __str__(self) -> str:
        return "".join(self.parts)


def search_result(searched: Sequence[Searched]) -> ToolResult:
    """The results of one query, or of several one after the other; they are numbered through."""
    failed = [_failed("query", each.query, each.failure) for each in searched if each.failure is not None]
    if len(failed) == len(searched):
        first = searched[0].failure
        assert first is not None
        return first.as_result({"failed": failed, "sources": []})
    text = _Text()
    rows: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    several = len(searched) > 1
    for each in searched:
        text.gap()
        if several:
            text.add(f"Query: {each.query}")
            text.gap()
        if each.results is None:
            assert each.failure is not None
            text.add(_told(each.failure))
            continue
        query = {"query": each.query} if several else {}
        if each.results.answer_box is not None:
            box = each.results.answer_box
            boxes.append({**box, **query})
            lines = filter(None, (f"Answer: {box['title']}".rstrip(": "), box["url"], box["text"]))
            text.add("\n".join(lines), box["url"] or None)
            text.gap()
        if not each.results.results:
            text.add("no results")
        for rank, result in enumerate(each.results.results, each.first_rank):
            number = len(rows) + (each.first_rank if not several else 1)
            if rank > each.first_rank:
                text.gap()
            shown = " · ".join(filter(None, (result.date, result.snippet)))
            text.add("\n".join(filter(None, (f"[{number}] {result.title}", result.url, shown))), result.url)
            row = {
                "rank": rank,
                "title": result.title,
                "url": result.url,
                "snippet": result.snippet,
                "date": result.date,
                "source": result.source,
                **result.extra,
                **query,
            }
            rows.append(row)
    answered = [each for each in searched if each.results is not None]
    found = [each.results for each in answered if each.results is not None]
    data: dict[str, Any] = {
        "results": rows,
        "provider": ", ".join(dict.fromkeys(results.provider for results in found)),
        "cached": all(each.cached for each in answered),
        "cost_usd": _sum(0.0 if each.cached else each.results.cost_usd for each in answered if each.results),
        "untrusted": True,
        "failed": failed,
        "sources": text.sources,
    }
    if boxes:
        data["answer_box" if not several else "answer_boxes"] = boxes[0] if not several else boxes
    if blocked := sum(each.blocked for each in searched):
        data["blocked"] = blocked
    if notes := list(dict.fromkeys(note for results in found for note in results.notes)):
        data["notes"] = notes
    return _result(data, str(text))


def visit_result(visited: Sequence[Visited], *, shown_links: int, goal: str | None) -> ToolResult:
    """The pages, one after the other, each as ``Title``, URL, empty line and its text."""
    failed = [_failed("url", each.url, each.failure) for each in visited if each.failure is not None]
    if len(failed) == len(visited):
        first = visited[0].failure
        assert first is not None
        return first.as_result({"failed": failed, "sources": []})
    text = _Text()
    rows: list[dict[str, Any]] = []
    for each in visited:
        text.gap(f"\n\n{_RULE}\n\n")
        if each.page is None:
            assert each.failure is not None
            text.add(f"{each.url}\n\n{_told(each.failure)}")
            continue
        rows.append(_visit(text, each, each.page, shown_links))
    data: dict[str, Any] = {
        "pages": rows,
        "cost_usd": _sum(row["cost_usd"] for row in rows),
        "untrusted": True,
        "failed": failed,
        "sources": text.sources,
    }
    if goal is not None:
        data["goal"] = goal
    return _result(data, str(text))


def _visit(text: _Text, visited: Visited, page: Page, shown_links: int) -> dict[str, Any]:
    text.add(f"{page.title}\n{page.final_url}", page.final_url)
    text.gap()
    text.add(page.text[visited.start : visited.end], page.final_url, offset=visited.start)
    total = len(page.text)
    following = visited.end if visited.end < total else None
    if following is not None:
        text.add(f"\n\n[{total - visited.end} more characters; go on with cursor={visited.end}]")
    elif page.is_cut:
        text.add("\n\n[the page is longer than what is read of it]")
    row: dict[str, Any] = {
        "url": visited.url,
        "final_url": page.final_url,
        "title": page.title,
        "status": page.status,
        "date": page.date,
        "start": visited.start,
        "end": visited.end,
        "total_chars": total,
        "next_cursor": following,
        "is_cut": page.is_cut,
        "links": [{"text": link.text, "url": link.url} for link in page.links],
        "provider": page.provider,
        "cached": visited.cached,
        "cost_usd": 0.0 if visited.cached else page.cost_usd,
    }
    if page.tokens is not None:
        row["tokens"] = page.tokens
    if page.notes:
        row["notes"] = list(page.notes)
    _goal(text, row, visited, page)
    if visited.start == 0 and page.links and shown_links:
        text.add(_links(page, shown_links))
    return row


def around_bytes(page: Page, shown_links: int) -> int:
    """How much a page takes beside its text, in bytes."""
    return _AROUND_BYTES + len(f"{page.title}{page.final_url}{_links(page, shown_links)}".encode())


def _links(page: Page, most: int) -> str:
    lines = [f"- {link.text}: {link.url}" for link in page.links[:most]]
    return "\n\nLinks:\n" + "\n".join(lines) if lines else ""


def _goal(text: _Text, row: dict[str, Any], visited: Visited, page: Page) -> None:
    if visited.goal_failure is not None:
        row["goal_failed"] = visited.goal_failure.as_data()
        text.add(f"\n\nSummary: {_told(visited.goal_failure)}")
    if visited.goal is None:
        return
    goal = visited.goal
    row["summary"] = goal.summary
    row["evidence"] = [{"quote": quote.text, "start": quote.start, "end": quote.end} for quote in goal.quotes]
    row["goal_model"] = goal.model
    row["goal_usage"] = goal.usage
    if goal.dropped:
        row["quotes_not_found"] = goal.dropped
    row["cost_usd"] = _sum((row["cost_usd"], goal.usage["cost_usd"]))
    text.add(f"\n\nSummary: {goal.summary}")
    if goal.quotes:
        text.add("\nEvidence:")
    for quote in goal.quotes:
        text.add("\n- ")
        text.add(quote.text, page.final_url, offset=quote.start)


def find_result(page: Page, pattern: str, found: Found, *, cached: bool) -> ToolResult:
    """The places where a pattern stands, each with the text around it."""
    text = _Text()
    rows = []
    for number, passage in enumerate(found.passages, 1):
        text.gap()
        text.add(f"[{number}] {page.title} at {passage.start}\n{page.final_url}\n")
        text.add(page.text[passage.context_start : passage.context_end], page.final_url, offset=passage.context_start)
        rows.append(
            {
                "start": passage.start,
                "end": passage.end,
                "context": page.text[passage.context_start : passage.context_end],
                "span": [passage.context_start, passage.context_end],
            }
        )
    if not rows:
        text.add(f"not found in the {len(page.text)} characters of {page.final_url}")
    elif found.left_out:
        text.gap()
        text.add(f"[{found.left_out} more]")
    data = {
        "url": page.url,
        "final_url": page.final_url,
        "title": page.title,
        "pattern": pattern,
        "passages": rows,
        "left_out": found.left_out,
        "provider": page.provider,
        "cached": cached,
        "cost_usd": 0.0 if cached else page.cost_usd,
        "untrusted": True,
        "sources": text.sources,
    }
    return _result(data, str(text))


def _failed(kind: str, name: str, failure: WebFailure | None) -> dict[str, Any]:
    assert failure is not None
    return {kind: name, **failure.as_data()}


def _told(failure: WebFailure) -> str:
    return f"error [{failure.code}]: {failure.message}"


def _sum(costs: Any) -> float | None:
    """The sum of prices; unknown if one is."""
    known: list[Any] = list(costs)
    return None if None in known else round(sum(known), 9)


def _result(data: Mapping[str, Any], text: str) -> ToolResult:
    """A success as it is: all texts were cleaned where they came in."""
    return ToolResult(data=data, content=(TextContent(text),))
