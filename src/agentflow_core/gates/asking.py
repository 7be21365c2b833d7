"""Ask the solver and the judge for a gate: what they use is counted, what one draft may use is bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from agentflow_core.agent.answers import tagged_answer
from agentflow_core.config import option
from agentflow_core.errors import LimitReached, UsageError
from agentflow_core.gates.reading import answer_forms, is_yes_no
from agentflow_core.metrics.judge import ask_judge
from agentflow_core.records import JudgeInputs, ModelRequest, SolveInputs, Usage, user
from agentflow_core.text import dates, is_bare_number, normalize_answer, only_number, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import ChatModel, GateContext, Models
    from agentflow_core.records import QA, Completion, ModelRole, SolveStep, ToolDefinition

__all__ = [
    "GateBudgetConfig",
    "GateBudgetSpent",
    "Grade",
    "Grading",
    "MeteredModels",
    "abstains",
    "all_answers",
    "ask_solver",
    "grade",
    "model_of",
    "same_answer",
]

#: How a gate compares what a solver said with the answer: by the judge where it is not plainly equal, or not at all.
Grading = Literal["judge", "match"]

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_ABSTAINS = frozenset(
    ("unknown", "none", "unanswerable", "not known", "no answer", "i do not know", "i dont know", "i don t know")
)
_SAID_CHARACTERS = 2_000


@frozen(kw_only=True)
class GateBudgetConfig:
    """What all gates together may ask of models for one draft; None is without limit."""

    calls: int | None = option(None, help="model calls for one draft at most", at_least=0)
    tokens: int | None = option(None, help="tokens for one draft at most, input and output together", at_least=0)


class GateBudgetSpent(LimitReached):
    """What the gates may ask of models for one draft is used up; other drafts go on."""


class MeteredModels:
    """The models of a run as the gates of one draft see them: ``usage`` is what was used of each role.

    Calls are counted when they begin, tokens when an answer is there; answers from a cache count too, so that a draft
    ends at the same point whenever it is judged.
    """

    def __init__(self, models: Models, budget: GateBudgetConfig | None = None) -> None:
        self.usage: dict[ModelRole, Usage] = {}
        self._models = models
        self._budget = budget or GateBudgetConfig()
        self._calls = 0

    def __call__(self, role: ModelRole) -> ChatModel:
        """The model that plays the role."""
        return _MeteredModel(self, role, self._models(role))

    @property
    def total(self) -> Usage:
        """What was used of all roles."""
        return sum(self.usage.values(), Usage())

    def begin(self) -> None:
        """Count a call that begins. Raises `GateBudgetSpent` if it may not."""
        calls, tokens = self._budget.calls, self._budget.tokens
        if calls is not None and self._calls >= calls:
            raise GateBudgetSpent("calls", f"the gates' budget of {calls} model calls for one draft is used up")
        if tokens is not None and self.total.total_tokens >= tokens:
            raise GateBudgetSpent("tokens", f"the gates' budget of {tokens} tokens for one draft is used up")
        self._calls += 1

    def add(self, role: ModelRole, usage: Usage) -> None:
        """Count what an answer used."""
        self.usage[role] = self.usage.get(role, Usage()) + usage


class _MeteredModel:
    def __init__(self, meter: MeteredModels, role: ModelRole, model: ChatModel) -> None:
        self._meter = meter
        self._role = role
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(self, request: ModelRequest) -> Completion:
        self._meter.begin()
        completion = await self._model.complete(request)
        self._meter.add(self._role, completion.usage)
        return completion

    async def aclose(self) -> None:
        """Nothing: who opened the model closes it."""


def model_of(context: GateContext, role: ModelRole) -> ChatModel:
    """The model that plays the role. Raises `UsageError` if the context has none."""
    if context.models is None:
        raise UsageError(f"this gate asks a model (role {role!r}), and there is none")
    return context.models(role)


async def ask_solver(
    context: GateContext,
    text: str,
    question: str,
    *,
    sample: int = 0,
    steps: Sequence[SolveStep] = (),
    tools: Sequence[ToolDefinition] = (),
) -> str:
    """What the solver says to ``text``, without tools.

    ``question``, ``steps`` and ``tools`` are what the text was written from; only the offline model reads them.

    Raises:
        ModelError: the solver could not be asked.
        LimitReached: a budget is spent.
    """
    inputs = SolveInputs(question=question, steps=tuple(steps), tools=tuple(tools), turn=0, max_turns=1)
    request = ModelRequest(messages=(user(text),), sample=sample, purpose="solve", role="solver", inputs=inputs)
    completion = await model_of(context, "solver").complete(request)
    return _THINKING.sub("", completion.text)


def all_answers(said: str) -> tuple[str, ...]:
    """What stands in the ``<answer>`` tags of a text, each once; abstentions are none."""
    found = (answer.strip() for answer in _ANSWER.findall(said))
    return tuple(dict.fromkeys(answer for answer in found if not abstains(answer)))


def abstains(answer: str) -> bool:
    """Whether an answer says that there is none."""
    return not answer.strip() or normalize_answer(answer) in _ABSTAINS


def same_answer(draft: QA, said: str) -> bool:
    """Whether ``said`` is the answer or an alias: apart from case, punctuation and articles, or as number or date."""
    normalized = normalize_answer(said)
    if not normalized:  # nothing but articles and punctuation
        return said.strip() in answer_forms(draft)
    if is_yes_no(draft):
        words = tokens(said)
        return bool(words) and words[0] == normalize_answer(draft.answer)
    said_dates = dates(said)
    for form in answer_forms(draft):
        if normalize_answer(form) == normalized:
            return True
        if draft.answer_type == "number" or is_bare_number(form):
            value = only_number(form)
            if value is not None and value == only_number(said):
                return True
        if len(said_dates) == 1 and list(dates(form)) == list(said_dates):
            return True
    return False


@frozen(kw_only=True)
class Grade:
    """Whether an answer is right, and what it was."""

    right: bool
    answer: str  #: shortened, for reasons


async def grade(draft: QA, said: str, context: GateContext, grading: Grading, *, sample: int = 0) -> Grade:
    """Compare what a solver said with the answer of a draft.

    Raises:
        ModelError: the judge could not be asked.
        LimitReached: a budget is spent.
    """
    answer = tagged_answer(said)[:_SAID_CHARACTERS]
    shown = " ".join(answer.split())
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    if abstains(answer):
        return Grade(right=False, answer=shown or "nothing")
    right = same_answer(draft, answer)
    if not right and grading == "judge":
        inputs = JudgeInputs(question=draft.question, references=answer_forms(draft), prediction=answer)
        prompt = context.prompts("metrics.judge")
        right = (await ask_judge(model_of(context, "judge"), inputs, prompt, sample=sample)).correct
    return Grade(right=right, answer=shown)
