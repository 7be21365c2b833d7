"""Rewrite questions so that they are harder to look up: dates become ranges, names become descriptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import BadOutputError, ConfigError, ContentFilterError, ContextOverflowError, Problem
from agentflow_core.gates.reading import hops
from agentflow_core.gates.showing import TAGS, show_evidence
from agentflow_core.models import ask
from agentflow_core.prompts import defused
from agentflow_core.records import QA, ModelRequest, Usage, Verdict, user
from agentflow_core.text import dates, mention_stands_in, strong_mentions, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.prompts import Prompts
    from agentflow_core.records import Node

__all__ = ["OBFUSCATE", "ObfuscateConfig", "Obfuscator", "Rewritten"]

#: The name of the verdict on whether a rewritten question hides what it should.
OBFUSCATE = "obfuscate"
_YEAR = re.compile(r"(?<![\w.,])(?:1\d|20)\d\d(?![\w]|[.,]\d)")
_RULES = {
    "dates": "- Dates and years become ranges: '23 April 1926' may become 'in the second half of the 1920s'.",
    "names": "- Names become descriptions by what the evidence says of them: 'Aram Avakian' may become 'the editor who "
    "directed that film'. The names of what everybody knows, such as countries, may stay.",
}


@frozen(kw_only=True)
class ObfuscateConfig:
    """What of a question is obfuscated; at least one of dates and names."""

    dates: Literal["range"] | None = option(None, help="'range': dates become ranges of time")
    names: Literal["description"] | None = option(None, help="'description': names become descriptions")
    tips: str = option("", help="advice for the synthesizer")

    def __attrs_post_init__(self) -> None:
        """Refuse an obfuscation of nothing."""
        if self.dates is None and self.names is None:
            raise ConfigError([Problem("obfuscates nothing: set dates: range, names: description, or both")])


@frozen(kw_only=True)
class Rewritten:
    """A rewritten version of a draft, which has yet to pass the gates; None where there is none, and what was used."""

    draft: QA | None = None
    usage: Usage = Usage()
    failed: bool = False  #: the synthesizer was asked and gave nothing usable


class Obfuscator:
    """Rewrites drafts with the synthesizer; keeps nothing between calls."""

    def __init__(self, *, model: ChatModel, config: ObfuscateConfig, prompts: Prompts) -> None:
        self.model = model
        self.config = config
        self.prompt = prompts("synthesis.obfuscate")

    async def rewrite(self, draft: QA, path: Sequence[Node]) -> Rewritten:
        """The draft with another question, linked by ``parent_qa_id``.

        Its first verdict says whether the question hides what it should: of its dates none is left, of its names one
        at least is gone. A draft without a date or name to obfuscate is not rewritten, and nobody is asked.

        Raises:
            ModelError: the model failed in a way that is not this draft's own.
            LimitReached: a budget is spent.
        """
        wanted = [kind for kind in self._wanted() if _has(kind, draft.question)]
        if not wanted:
            return Rewritten()
        text = self.prompt.render(
            question=defused(draft.question, *TAGS),
            answer=defused(draft.answer, *TAGS),
            evidence=show_evidence(hops(draft), path),
            rules="\n".join(_RULES[kind] for kind in wanted),
            tips=f"\n{self.config.tips}\n" if self.config.tips else "",
        )
        request = ModelRequest(messages=(user(text),), response_schema=_SCHEMA, purpose="draft", role="synthesizer")
        try:
            asked = await ask(self.model, request, _parse)
        except (BadOutputError, ContentFilterError, ContextOverflowError):
            return Rewritten(failed=True)
        if tokens(asked.value) == tokens(draft.question):
            return Rewritten(usage=asked.usage, failed=True)
        return Rewritten(draft=self._record(draft, asked.value, wanted, asked.usage), usage=asked.usage)

    def _wanted(self) -> list[str]:
        return [kind for kind in _RULES if getattr(self.config, kind) is not None]

    def _record(self, draft: QA, question: str, wanted: Sequence[str], usage: Usage) -> QA:
        problem = next((said for kind in wanted if (said := _left(kind, draft.question, question))), "")
        hidden = " and ".join(wanted)
        reason = problem or f"the {hidden} of the question are obfuscated"
        return QA(
            id=f"{draft.id}~{OBFUSCATE}",
            seed_id=draft.seed_id,
            path_id=draft.path_id,
            question=question,
            answer=draft.answer,
            aliases=draft.aliases,
            answer_type=draft.answer_type,
            reasoning_steps=draft.reasoning_steps,
            gates=(Verdict(name=OBFUSCATE, passed=not problem, reason=reason),),
            difficulty=str(
                draft.extra.get("drafted_difficulty", "" if "pass_rate" in draft.extra else draft.difficulty)
            ),
            model=self.model.name,
            extra={key: value for key, value in draft.extra.items() if key not in ("pass_rate", "drafted_difficulty")},
            parent_qa_id=draft.id,
            usage=usage,
            session=draft.session,
        )


def _has(kind: str, question: str) -> bool:
    if kind == "dates":
        return bool(dates(question) or _YEAR.search(question))
    return any(mention.kind == "name" for mention in strong_mentions(question))


def _left(kind: str, before: str, after: str) -> str:
    """What of the original still stands in the rewritten question though it should not; empty if all is well."""
    if kind == "dates":
        kept = set(dates(before)) & set(dates(after))
        years = set(_bare_years(before)) & set(_YEAR.findall(after))
        return "the rewritten question still has a date of the original" if kept or years else ""
    names = [mention for mention in strong_mentions(before) if mention.kind == "name"]
    if all(mention_stands_in(mention, after) for mention in names):
        return f"the rewritten question still has every name of the original, such as {names[0].text!r}"
    return ""


def _bare_years(text: str) -> list[str]:
    """The years that are no part of a date."""
    dated = {str(date.year) for date in dates(text)}
    return [year for year in _YEAR.findall(text) if year not in dated]


def _parse(value: Any) -> str:
    question = value.get("question") if isinstance(value, Mapping) else None
    if not isinstance(question, str) or not question.strip():
        raise ValueError('expected {"question": "…"}')
    return " ".join(question.split())


_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
    "additionalProperties": False,
}
