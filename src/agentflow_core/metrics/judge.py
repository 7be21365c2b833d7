"""Let a model decide whether a prediction says what a reference says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import AuthenticationError, ModelError, ReplayMissError
from agentflow_core.metrics.references import reference_texts, undecided
from agentflow_core.prompts import Prompt, defused, load_prompt
from agentflow_core.records import JudgeInputs, Message, ModelRequest, Sampling, Score, user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.interfaces import ChatModel, MetricContext, ScoredSample

__all__ = ["Judgement", "LLMJudgement", "ask_judge", "judge_messages"]

#: The JSON that a judge answers with.
VERDICT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"correct": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["correct", "reason"],
    "additionalProperties": False,
}
_TAGS = ("question", "reference", "references", "prediction")


def judge_messages(inputs: JudgeInputs, prompt: Prompt) -> tuple[Message, ...]:
    """What a judge is asked. Text that looks like the prompt's own tags is defused."""
    rendered = prompt.render(
        question=defused(inputs.question, *_TAGS),
        references="\n".join(f"- {defused(reference, *_TAGS)}" for reference in inputs.references),
        prediction=defused(inputs.prediction, *_TAGS),
    )
    return (user(rendered),)


@frozen
class Judgement:
    """What a judge says, and why in one line."""

    correct: bool
    reason: str


async def ask_judge(judge: ChatModel, inputs: JudgeInputs, prompt: Prompt, *, sample: int = 0) -> Judgement:
    """Whether the judge takes the prediction for correct.

    Raises:
        ModelError: it could not be asked, or twice answered what cannot be read.
        LimitReached: a budget is spent.
    """
    from agentflow_core.models import ask  # models load providers; only where a judge is asked

    request = ModelRequest(
        messages=judge_messages(inputs, prompt),
        response_schema=VERDICT_SCHEMA,
        sampling=Sampling(temperature=0.0),
        sample=sample,
        purpose="judge",
        role="judge",
        inputs=inputs,
    )
    return (await ask(judge, request, _parse, attempts=2)).value


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
        prompt = self.prompt if context.prompts is None else context.prompts("metrics.judge")
        judge = f"{context.judge.name}, prompt {prompt.version}"
        try:
            verdict = await ask_judge(context.judge, inputs, prompt, sample=sample.sample)
        except (AuthenticationError, ReplayMissError):
            raise
        except ModelError as error:
            return Score(value=0.0, graded=False, reason=f"the judge ({judge}) failed: {error.kind}: {error.message}")
        return Score(value=float(verdict.correct), reason=f"{verdict.reason} ({judge})")


def _parse(value: Any) -> Judgement:
    if not isinstance(value, dict) or not isinstance(value.get("correct"), bool):
        raise ValueError('the answer must be {"correct": true or false, "reason": "…"}')
    return Judgement(value["correct"], " ".join(str(value.get("reason") or "no reason given").split()))
