"""Read drafts and observations as gates do: which hops there are, and whether a text states something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.records import QA, Evidence, Node
from agentflow_core.text import Date, Mention, answer_tokens, dates, mentions, normalize_answer, numbers, tokens

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = [
    "Hop",
    "answer_forms",
    "head_of_source",
    "hops",
    "is_bare_number",
    "is_executed_number",
    "is_yes_no",
    "list_items",
    "mention_stands_in",
    "only_number",
    "place_id",
    "source_id",
    "stands_in",
    "states",
    "strong_mentions",
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


@lru_cache(maxsize=1024)
def only_number(text: str) -> Decimal | None:
    """The value of the one number of a text; None if it has none or several."""
    found = numbers(text)
    return found[0].value if len(found) == 1 else None


def is_bare_number(text: str) -> bool:
    """Whether a text is one number and nothing else, such as ``$5 million``."""
    found = numbers(text)
    return len(found) == 1 and found[0].text == text.strip()


def is_executed_number(draft: QA) -> bool:
    """Whether the answer is a number that the draft's own query or program (``sql``, ``code``) returned."""
    runs = any(isinstance(text := draft.extra.get(name), str) and text.strip() for name in ("sql", "code"))
    return runs and (draft.answer_type == "number" or is_bare_number(draft.answer))


@lru_cache(maxsize=512)
def _words(text: str) -> str:
    return f" {' '.join(tokens(text))} "


@lru_cache(maxsize=512)
def _answer_words(text: str) -> str:
    return f" {normalize_answer(text)} "


@lru_cache(maxsize=512)
def _values(text: str) -> frozenset[Decimal]:
    return frozenset(number.value for number in numbers(text))


@lru_cache(maxsize=512)
def _dates(text: str) -> frozenset[Date]:
    return frozenset(dates(text))


def stands_in(form: str, text: str) -> bool:
    """Whether ``form`` stands in ``text`` word for word, apart from case, punctuation and articles."""
    words = " ".join(tokens(form))
    if words and f" {words} " in _words(text):
        return True
    return bool(answer_words := " ".join(answer_tokens(form))) and f" {answer_words} " in _answer_words(text)


def mention_stands_in(mention: Mention, text: str) -> bool:
    """Whether something that another text mentions stands in ``text``; a number counts by its value."""
    if f" {' '.join(mention.words)} " in _words(text):
        return True
    if mention.kind == "number":
        value = only_number(mention.text)
        return value is not None and value in _values(text)
    return False


def states(form: str, answer_type: str, text: str) -> bool:
    """Whether ``text`` states the answer ``form``: word for word, as an equal number, or as the same date."""
    if stands_in(form, text):
        return True
    if answer_type == "number" or is_bare_number(form):
        value = only_number(form)
        if value is not None and value in _values(text):
            return True
    wanted = _dates(form)
    return len(wanted) == 1 and wanted <= _dates(text)


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


def strong_mentions(text: str) -> list[Mention]:
    """What a text mentions that could tie it to another one."""
    return [mention for mention in mentions(text) if not mention.weak]
