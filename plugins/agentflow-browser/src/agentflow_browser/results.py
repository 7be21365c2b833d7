"""Turn what a page shows into results: title, address and body as text, and as data what programs ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.records import ToolResult, clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_browser.snapshots import Snapshot
    from agentflow_core.records import ImageContent

__all__ = ["blocked", "page_result", "snapshot_note"]


def page_result(
    *,
    title: str,
    url: str,
    body: str,
    notes: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    content: Sequence[ImageContent] = (),
) -> ToolResult:
    """The title, the address, notes in brackets, an empty line, and the body, which is the page's own text."""
    title, url, body = clean_text(" ".join(title.split())), clean_text(url), clean_text(body)
    head = "\n".join([title or "(no title)", url, *(f"[{clean_text(note)}]" for note in notes)])
    text = f"{head}\n\n{body}"
    told = {
        "url": url,
        "title": title,
        **(data or {}),
        "sources": [{"start": 0, "end": len(text), "url": url}],
    }
    return ToolResult.success(told, text=text, content=content)


def snapshot_note(snapshot: Snapshot, chars: int) -> list[str]:
    """What is not shown, where something is not."""
    if snapshot.next is None:
        return []
    return [
        f"the page has {snapshot.elements} elements and is cut after {chars} characters; "
        f"go on with browser:snapshot cursor={snapshot.next}, or look for something with browser:find"
    ]


def blocked(dialog: Mapping[str, Any]) -> ToolResult:
    """A dialog is open, and nothing else can be done before it is answered."""
    return ToolResult.failure(
        "blocked_by_dialog",
        f"a dialog is open in tab {dialog['tab']}: {dialog['type']} {dialog['message']!r}",
        hint="answer it with browser:dialog, accept=true or false"
        + (" and text" if dialog["type"] == "prompt" else ""),
        data={"dialog": dict(dialog)},
    )
