"""Read a page for a goal: a model summarizes it and quotes it, and the quotes are looked up in the page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from agentflow_core.errors import LimitReached, ModelError
from agentflow_core.models import ask
from agentflow_core.prompts import defused, load_prompt
from agentflow_core.records import ModelRequest, user
from agentflow_core.text import find_quote
from agentflow_websearch.failures import WebFailure
from agentflow_websearch.texts import clean_page

if TYPE_CHECKING:
    from agentflow_core.interfaces import ChatModel
    from agentflow_websearch.found import Page
    from agentflow_websearch.kept import Answers

__all__ = ["GoalAnswer", "GoalReader", "Quote"]

_SHORTEST_QUOTE = 8
_MOST_GOAL_CHARS = 2000
_SCHEMA = {
    "type": "object",
    "properties": {
        "summary": {"type": "string"},
        "quotes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["summary", "quotes"],
    "additionalProperties": False,
}


@frozen(kw_only=True)
class Quote:
    """A passage of a page, where it stands: ``page.text[start:end] == text``."""

    text: str
    start: int
    end: int


@frozen(kw_only=True)
class GoalAnswer:
    """What a page says about a goal."""

    summary: str
    quotes: tuple[Quote, ...]
    dropped: int  #: quotes of the model that do not stand in the page
    model: str
    usage: Mapping[str, Any]


class GoalReader:
    """See the module.

    Args:
        model: who reads.
        answers: where what it said is kept.
        max_chars: how much of a page it reads.
        quotes: how many quotes it gives.
    """

    def __init__(self, model: ChatModel, answers: Answers, *, max_chars: int, quotes: int) -> None:
        self._model = model
        self._answers = answers
        self._max_chars = max_chars
        self._quotes = quotes
        self._prompt = load_prompt("agentflow_websearch", "goal")

    async def read(self, page: Page, goal: str) -> GoalAnswer:
        """What the page says about the goal.

        Raises:
            WebFailure: the model does not answer, or not as asked.
        """
        request = {
            "kind": "goal",
            "model": self._model.name,
            "prompt": self._prompt.version,
            "page": hashlib.sha256(page.text[: self._max_chars].encode()).hexdigest(),
            "title": page.title,
            "goal": goal,
            "quotes": self._quotes,
        }
        answer = await self._answers.get(request, lambda: self._asked(page, goal))
        value = answer.value
        quotes: dict[tuple[int, int], Quote] = {}
        dropped = 0
        for said in value["quotes"]:
            span = next(iter(find_quote(said, page.text)), None) if len(said.strip()) >= _SHORTEST_QUOTE else None
            if span is None:
                dropped += 1
            else:
                quote = Quote(text=page.text[span.start : span.end], start=span.start, end=span.end)
                quotes.setdefault((span.start, span.end), quote)
        usage = dict(value["usage"])
        if answer.cached:
            usage["cost_usd"] = 0.0
        return GoalAnswer(
            summary=value["summary"], quotes=tuple(quotes.values()), dropped=dropped, model=value["model"], usage=usage
        )

    async def _asked(self, page: Page, goal: str) -> dict[str, Any]:
        text = self._prompt.render(
            goal=defused(goal[:_MOST_GOAL_CHARS], "goal", "page"),
            title=defused(page.title, "goal", "page").replace('"', "'"),
            text=defused(page.text[: self._max_chars], "goal", "page"),
            quotes=self._quotes,
        )
        request = ModelRequest(messages=(user(text),), response_schema=_SCHEMA)
        try:
            asked = await ask(self._model, request, self._parsed)
        except (ModelError, LimitReached) as error:
            raise WebFailure(
                "upstream_error", f"the model {self._model.name} did not read it: {error.message[:300]}"
            ) from error
        summary, quotes = asked.value
        return {
            "summary": summary,
            "quotes": quotes,
            "model": self._model.name,
            "usage": attrs.asdict(asked.usage),
        }

    def _parsed(self, value: Any) -> tuple[str, list[str]]:
        summary, quotes = value["summary"], value["quotes"]
        if not isinstance(summary, str) or not isinstance(quotes, list):
            raise ValueError("summary is a text, quotes a list of texts")
        said = [clean_page(quote) for quote in quotes if isinstance(quote, str)]
        return clean_page(summary), said[: self._quotes]
