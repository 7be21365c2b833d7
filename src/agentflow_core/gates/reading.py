"""Read drafts and observations as gates do: which hops there are, and what places their evidence comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain

from attrs import frozen

from agentflow_core.records import QA, Evidence, Node
from agentflow_core.text import is_bare_number, normalize_answer

__all__ = [
    "Hop",
    "answer_forms",
    "head_of_source",
    "hops",
    "is_executed_number",
    "is_yes_no",
    "list_items",
    "place_id",
    "source_id",
    "usable_text",
]

_YES_NO = frozenset({"yes", "no"})
_ITEMS = re.compile(r"\s*(?:[,;\n]|\band\b|&)\s*(?:and\s+)?")
_SOURCE_KEYS = ("doc_id", "url", "file", "path", "table", "doc")
#: Where data list what an observation shows, each with a title of its own.
_LISTS = ("hits", "results", "pages")


@frozen(kw_only=True)
class Hop:
    """A reasoning step that rests on evidence; ``number`` counts from 1 over all steps."""

    number: int
    step: str
    evidence: tuple[Evidence, ...]

    @property
    def quotes(self) -> str:
        """Its quotes, one a line."""
        return "\n".join(evidence.quote for evidence in self.evidence)


def hops(draft: QA) -> tuple[Hop, ...]:
    """The steps with evidence, in order."""
    return tuple(
        Hop(number=number, step=step.step, evidence=step.evidence)
        for number, step in enumerate(draft.reasoning_steps, 1)
        if step.evidence
    )


def usable_text(node: Node) -> str:
    """The whole text of the node's observation; empty if it has none or failed."""
    if node.result is None or not node.result.ok or node.error is not None:
        return ""
    return node.result.text


def is_yes_no(draft: QA) -> bool:
    """Whether the answer is yes or no."""
    return normalize_answer(draft.answer) in _YES_NO


def answer_forms(draft: QA) -> tuple[str, ...]:
    """The answer and its aliases, each once."""
    return tuple(dict.fromkeys((draft.answer, *draft.aliases)))


def list_items(answer: str) -> list[str]:
    """The items of an answer that lists: parted by commas, semicolons, lines or ``and``."""
    return [item for item in _ITEMS.split(answer.strip()) if item]


def is_executed_number(draft: QA) -> bool:
    """Whether the answer is a number that the draft's own query or program (``sql``, ``code``) returned."""
    runs = any(isinstance(text := draft.extra.get(name), str) and text.strip() for name in ("sql", "code"))
    return runs and (draft.answer_type == "number" or is_bare_number(draft.answer))


def source_id(evidence: Evidence) -> str | None:
    """What tells sources apart: the document, URL or file that a quote stands in; None where it is not given."""
    for key in _SOURCE_KEYS:
        if evidence.source.get(key) not in (None, ""):
            return f"{key}={evidence.source[key]}"
    return None


def place_id(evidence: Evidence) -> str | None:
    """What tells places apart from which one hop leads to the next: sources, and the pages of one that has pages."""
    source, page = source_id(evidence), evidence.source.get("page")
    return source if source is None or page is None else f"{source} page={page}"


def head_of_source(evidence: Evidence, node: Node) -> str:
    """The title of the document that a quote stands in, where the observation tells it; else nothing."""
    data = node.result.data if node.result is not None else None
    if not isinstance(data, Mapping):
        return ""
    wanted = source_id(evidence)
    lists = (found for key in _LISTS if isinstance(found := data.get(key), list | tuple))
    for entry in (data, *chain.from_iterable(lists)):
        if isinstance(entry, Mapping) and "title" in entry:
            key = next((f"{key}={entry[key]}" for key in _SOURCE_KEYS if entry.get(key) not in (None, "")), None)
            if key is not None and key == wanted:
                return str(entry["title"])
    return ""
