"""Let a model decide whether a prediction says what a reference says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import AuthenticationError, ModelError, ReplayMissError
from agentflow_core.metrics.references import reference_texts, undecided
from agentflow_core.prompts import Prompt, load_prompt
from agentflow_core.records import JudgeInputs, Message, ModelRequest, Sampling, Score, user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.interfaces import MetricContext, ScoredSample

__all__ = ["LLMJudgement", "judge_messages"]

#: The JSON that a judge answers with.
VERDICT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"correct": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["correct", "reason"],
    "additionalProperties": False,
}
_TAG = re.compile(r"<(?=\s*/?\s*(?:question|references?|prediction)\b)", re.IGNORECASE)


def judge_messages(inputs: JudgeInputs, prompt: Prompt) -> tuple[Message, ...]:
    """What a judge is asked. Text that looks like the prompt's own tags is defused."""
    rendered = prompt.render(
        question=_defused(inputs.question),
        references="\n".join(f"- {_defused(reference)}" for reference in inputs.references),
        prediction=_defused(inputs.prediction),
    )
    return (user(rendered),)


def _defused(text: str) -> str:
    return _TAG.sub("‹", text)


@frozen
class _Verdict:
    correct: bool
    reason: str


class LLMJudgement:
    """1 if the judge says that the prediction is correct, else 0; ungraded where it cannot say.

    The judge sees question, references and prediction, and answers as JSON. An empty prediction is 0 without asking.
    A judge that fails (after the retries of its model) or whose answer cannot be read leaves the sample ungraded.
    """

    def __init__(self) -> None:
        self.prompt = load_prompt("agentflow_core.metrics", "judge")

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class.

        Raises:
            AuthenticationError, ReplayMissError, LimitReached: no sample can be judged.
        """
        from agentflow_core.models import ask  # models load providers; only where a judge is asked

        if (score := undecided(sample)) is not None:
            return score
        prediction = (sample.prediction or "").strip()
        if not prediction:
            return Score(value=0.0, reason="the prediction is empty")
        if context.judge is None:
            return Score(value=0.0, graded=False, reason="there is no judge model")
        inputs = JudgeInputs(
            question=sample.task.question, references=reference_texts(sample.references), prediction=prediction
        )
        request = ModelRequest(
            messages=judge_messages(inputs, self.prompt),
            response_schema=VERDICT_SCHEMA,
            sampling=Sampling(temperature=0.0),
            sample=sample.sample,
            purpose="judge",
            role="judge",
            inputs=inputs,
        )
        judge = f"{context.judge.name}, prompt {self.prompt.version}"
        try:
            verdict = (await ask(context.judge, request, _parse, attempts=2)).value
        except (AuthenticationError, ReplayMissError):
            raise
        except ModelError as error:
            return Score(value=0.0, graded=False, reason=f"the judge ({judge}) failed: {error.kind}: {error.message}")
        return Score(value=float(verdict.correct), reason=f"{verdict.reason} ({judge})")


def _parse(value: Any) -> _Verdict:
    if not isinstance(value, dict) or not isinstance(value.get("correct"), bool):
        raise ValueError('the answer must be {"correct": true or false, "reason": "…"}')
    return _Verdict(value["correct"], " ".join(str(value.get("reason") or "no reason given").split()))
