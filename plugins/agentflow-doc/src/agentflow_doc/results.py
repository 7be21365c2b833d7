"""Write what the tools found as text for a model and as data for programs.

``data.sources`` says which characters of the text stand on which page, and where on it: gates locate quotes by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentflow_core.records import ImageContent, ToolResult
from agentflow_doc.asking import said_pages
from agentflow_doc.passages import join_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_doc.library import Opened, Problem
    from agentflow_doc.passages import Passage
    from agentflow_doc.reading.failures import Unreadable
    from agentflow_doc.records import Block, Box, Page, Part
    from agentflow_doc.workers import Answer

__all__ = [
    "failure",
    "image_result",
    "list_result",
    "outline_result",
    "read_result",
    "search_result",
    "table_result",
]

#: Sections that an outline of all documents shows of each.
_FEW_SECTIONS: Final = 12
_NAMED_PROBLEMS: Final = 5


class _Text:
    """A text that grows, and where each part of it stands in a document."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.sources: list[dict[str, Any]] = []
        self.length = 0

    def add(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)

    def place(self, doc: str, page: int, parts: Sequence[Part], at: int | None = None) -> None:
        """Say where the parts of the text that begins here, or at ``at``, stand."""
        start = self.length if at is None else at
        self.sources += [_source(start + part.start, start + part.end, doc, page, part.box) for part in parts]

    def __str__(self) -> str:
        return "".join(self._parts)


def _source(start: int, end: int, doc: str, page: int, box: Box | None) -> dict[str, Any]:
    """One entry of ``data.sources``; a page without a shape has no box."""
    entry: dict[str, Any] = {"start": start, "end": end, "doc": doc, "page": page}
    if box is not None:
        entry["box"] = list(box)
    return entry


def failure(error: Unreadable, doc: str | None = None) -> ToolResult:
    """A document that cannot be read, or a call that names nothing."""
    where = f"{doc}: " if doc is not None else ""
    data = {"doc": doc, "reason": error.reason} if doc is not None else {"reason": error.reason}
    return ToolResult.failure(error.code, f"{where}{error.message}", hint=error.hint, data=data)


def _problems(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [
        {
            "doc": problem.document.name,
            "file": str(problem.document.path.name),
            "code": problem.error.code,
            "reason": problem.error.reason,
            "message": problem.error.message,
        }
        for problem in problems
    ]


def list_result(opened: Sequence[Opened], problems: Sequence[Problem]) -> ToolResult:
    """All documents; those that cannot be read with the reason."""
    rows: list[dict[str, Any]] = []
    lines = []
    for one in opened:
        head = one.head
        row = {"doc": one.document.name, "title": head.title, "format": head.format, "pages": head.pages}
        rows.append({**row, "sections": len(head.sections), "version": one.version, "notes": list(head.notes)})
        notes = "".join(f"; {note}" for note in head.notes)
        lines.append(f"{one.document.name}: {head.title}, {head.format}, {_count(head.pages, 'page')}{notes}")
    lines += [f"{one.document.name}: cannot be read: {one.error.message}" for one in problems]
    return ToolResult.success({"documents": rows, "problems": _problems(problems)}, text="\n".join(lines))


def outline_result(opened: Sequence[Opened], problems: Sequence[Problem], *, is_whole: bool) -> ToolResult:
    """The sections of a document with their pages; of several, the upper ones."""
    rows: list[dict[str, Any]] = []
    texts = []
    for one in opened:
        head = one.head
        shown = list(head.sections)
        if not is_whole:
            top = min((section.level for section in shown), default=1)
            shown = [section for section in shown if section.level <= top + 1][:_FEW_SECTIONS]
        lines = [f"{head.title} (doc: {one.document.name}), {_count(head.pages, 'page')}"]
        lines += [f"{'  ' * section.level}{section.title}, {_pages(section.page, section.end)}" for section in shown]
        if len(shown) < len(head.sections):
            lines.append(f"  [{len(head.sections) - len(shown)} more sections; give doc to see them]")
        lines += [f"  [{note}]" for note in head.notes]
        texts.append("\n".join(lines))
        rows.append(
            {
                "doc": one.document.name,
                "title": head.title,
                "pages": head.pages,
                "sections": [
                    {"title": each.title, "level": each.level, "pages": [each.page, each.end]} for each in shown
                ],
            }
        )
    if problems:
        texts.append(_unread(problems))
    data = rows[0] if is_whole and rows else {"documents": rows, "problems": _problems(problems)}
    return ToolResult.success(data, text="\n\n".join(texts))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _pages(first: int, last: int) -> str:
    return f"p. {first}" if first == last else f"p. {first}-{last}"


def _unread(problems: Sequence[Problem]) -> str:
    said = "; ".join(f"{one.document.name}: {one.error.message}" for one in problems[:_NAMED_PROBLEMS])
    more = f"; and {len(problems) - _NAMED_PROBLEMS} more" if len(problems) > _NAMED_PROBLEMS else ""
    return f"[not read: {said}{more}]"


def search_result(
    hits: Sequence[tuple[Opened, Passage, float]], total: int, problems: Sequence[Problem], notes: Sequence[str]
) -> ToolResult:
    """The passages, best first, numbered."""
    text = _Text()
    rows: list[dict[str, Any]] = []
    for number, (opened, passage, score) in enumerate(hits, 1):
        doc = opened.document.name
        if number > 1:
            text.add("\n\n")
        start = text.length
        text.add(f"[{number}] {opened.head.title}, p. {passage.page} (doc: {doc})\n")
        text.place(doc, passage.page, passage.parts)
        text.add(passage.text)
        # what runs over several blocks, or quotes the head, is on the page at least
        text.sources.append(_source(start, text.length, doc, passage.page, passage.box))
        rows.append(
            {
                "doc": doc,
                "title": opened.head.title,
                "page": passage.page,
                "section": passage.section,
                "score": score,
                "text": passage.text,
                "box": None if passage.box is None else list(passage.box),
            }
        )
    if not hits:
        text.add("no hits")
    for note in notes:
        text.add(f"\n\n[{note}]")
    if problems:
        text.add(f"\n\n{_unread(problems)}")
    data = {"hits": rows, "total": total, "problems": _problems(problems), "sources": text.sources}
    return ToolResult.success(data, text=str(text))


def read_result(
    opened: Opened,
    parts: Sequence[tuple[Page, tuple[Block, ...]]],
    numbers: Sequence[int],
    *,
    section: str | None,
    plain: bool,
    start: int,
    length: int,
    more: str | None,
) -> ToolResult:
    """Pages, or a section, as text; ``start`` and ``length`` are characters of it."""
    doc, head = opened.document.name, opened.head
    body = _Text()
    for at, (page, blocks) in enumerate(parts):
        if at:
            body.add("\n\n")
        if len(parts) > 1:
            body.add(f"[page {page.number}]\n\n")
        made, places = join_blocks(blocks, plain=plain)
        if page.is_scan and page.lacks and not any(block.kind != "figure" for block in blocks):
            made = f"{made}\n\n[{page.lacks}]" if made else f"[page {page.number} is an image; {page.lacks}]"
        body.place(doc, page.number, places)
        body.add(made)
    whole = str(body)
    named = f"section {section!r}, {said_pages(numbers)}" if section is not None else said_pages(numbers)
    text = f"{head.title} (doc: {doc}), {named}\n\n"
    end = min(len(whole), start + length)
    sources = []
    for one in body.sources:
        low, high = max(one["start"], start), min(one["end"], end)
        if low < high:
            sources.append({**one, "start": low - start + len(text), "end": high - start + len(text)})
    text += whole[start:end] or "[nothing]"
    if end < len(whole):
        text += f"\n\n[{len(whole) - end} more characters; go on with start={end}]"
    elif more is not None:
        text += f'\n\n[more follows; go on with pages="{more}"]'
    data = {
        "doc": doc,
        "title": head.title,
        "pages": list(numbers),
        "section": section,
        "start": start,
        "end": end,
        "total_chars": len(whole),
        "next": end if end < len(whole) else None,
        "next_pages": more if end == len(whole) else None,
        "tables": _named(parts, "table"),
        "figures": _named(parts, "figure"),
        "version": opened.version,
        "sources": sources,
    }
    return ToolResult.success(data, text=text)


def _named(parts: Sequence[tuple[Page, tuple[Block, ...]]], kind: str) -> list[dict[str, Any]]:
    return [
        {"page": page.number, "index": block.index, "caption": block.caption, "box": _listed(block.box)}
        for page, blocks in parts
        for block in blocks
        if block.kind == kind
    ]


def _listed(box: Box | None) -> list[float] | None:
    return None if box is None else list(box)


def table_result(opened: Opened, page: Page, block: Block, count: int) -> ToolResult:
    """One table, as Markdown and as columns and rows."""
    doc = opened.document.name
    text = _Text()
    caption = f": {block.caption}" if block.caption else ""
    text.add(f"{opened.head.title} (doc: {doc}), table {block.index} of {count} on page {page.number}{caption}\n\n")
    _, places = join_blocks([block])
    text.place(doc, page.number, places)
    text.add(block.markdown)
    data = {
        "doc": doc,
        "title": opened.head.title,
        "page": page.number,
        "index": block.index,
        "count": count,
        "caption": block.caption,
        "columns": list(block.columns),
        "rows": [list(row) for row in block.rows],
        "box": _listed(block.box),
        "version": opened.version,
        "sources": text.sources,
    }
    return ToolResult.success(data, text=str(text))


def image_result(
    opened: Opened, page: Page, blocks: Sequence[Block], answer: Answer, *, named: str, extra: Mapping[str, Any]
) -> ToolResult:
    """An image, and beside it the text that stands on it, for models that see none."""
    told = answer.told
    doc = opened.document.name
    text = _Text()
    dpi = f" at {told['dpi']:g} dpi" if told["dpi"] else ""
    text.add(f"{opened.head.title} (doc: {doc}), {named}: image of {told['width']} × {told['height']} pixels{dpi}")
    made, places = join_blocks(blocks)
    if made:
        text.add("\n\nText on it:\n\n")
        text.place(doc, page.number, places)
        text.add(made)
    elif page.is_scan and page.lacks:
        text.add(f"\n\n[{page.lacks}]")
    data = {
        "doc": doc,
        "title": opened.head.title,
        "page": page.number,
        "width": told["width"],
        "height": told["height"],
        "dpi": told["dpi"] or None,
        "region": told["region"],
        **extra,
        "version": opened.version,
        "sources": text.sources,
    }
    return ToolResult.success(data, text=str(text), content=[ImageContent(mime=told["mime"], data=answer.data)])
