"""Stage 3, second half: the gates of a run, those over single drafts and those over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve, frozen

from agentflow_core.errors import AuthenticationError, ModelError, ReplayMissError
from agentflow_core.gates.asking import MeteredModels
from agentflow_core.gates.run import in_order_of_cost, judge_draft, passed, unjudged
from agentflow_core.interfaces import Gate, GateContext, RunGate
from agentflow_core.records import QA, ModelRole, Usage, Verdict
from agentflow_core.synthesis.obfuscating import Obfuscator, Rewritten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.config import PluginChoice
    from agentflow_core.contributions import GateSpec
    from agentflow_core.gates.asking import GateBudgetConfig
    from agentflow_core.plugins import Registry

__all__ = ["Admission", "DraftJudge", "Gates", "Judged", "admit", "build_gates"]


@frozen(kw_only=True)
class Gates:
    """The gates of a run: those that judge a draft by itself, and those that look at the drafts before it."""

    of_draft: tuple[tuple[str, Gate], ...]
    of_run: tuple[tuple[str, Callable[[], RunGate]], ...]  #: made anew for each fold
    ask_models: bool = False  #: whether one of them needs a model

    @property
    def prompts(self) -> tuple[str, ...]:
        """The names of the prompts that they use."""
        return tuple(dict.fromkeys(name for _, gate in self.of_draft for name in getattr(gate, "prompts", ())))

    @property
    def identity(self) -> Mapping[str, Any]:
        """What verdicts depend on beside settings and prompts, by gate; see `Gate`."""
        found = {name: getattr(gate, "identity", None) for name, gate in self.of_draft}
        return {name: value for name, value in found.items() if value is not None}


def build_gates(registry: Registry, choices: Sequence[PluginChoice]) -> Gates:
    """The chosen gates, cheap ones first, else in the order of the configuration.

    Raises:
        UnknownNameError: there is no such gate.
        DataError: a gate cannot read its files.
    """
    entries = {choice.name: registry.get("gate", choice.name) for choice in choices}
    settings = {choice.name: choice.settings for choice in choices}
    specs = in_order_of_cost(cast("GateSpec", entry.spec) for entry in entries.values())
    of_draft: list[tuple[str, Gate]] = []
    of_run: list[tuple[str, Callable[[], RunGate]]] = []
    for spec in specs:
        build = partial(cast("Callable[..., Any]", entries[spec.name].build), settings[spec.name])
        if spec.scope == "run":
            of_run.append((spec.name, build))
        else:
            of_draft.append((spec.name, build()))
    return Gates(
        of_draft=tuple(of_draft),
        of_run=tuple(of_run),
        ask_models=any(spec.needs in ("model", "both") for spec in specs),
    )


@frozen(kw_only=True)
class Judged:
    """A draft with its verdicts, and the obfuscated version of it if there is one, with its own."""

    drafts: tuple[QA, ...]
    spent: Mapping[ModelRole, Usage]  #: by gates and obfuscation, by role
    failures: tuple[str, ...]  #: ``error:<kind>: …`` or ``limit:<kind>: …`` of what could not be asked
    unchanged: bool = False  #: the synthesizer was asked for another version and gave nothing usable


class DraftJudge:
    """Judges the drafts of a run one by one."""

    def __init__(self, gates: Gates, obfuscator: Obfuscator | None, budget: GateBudgetConfig) -> None:
        self.gates = gates
        self.obfuscator = obfuscator
        self.budget = budget

    async def judge(self, draft: QA, context: GateContext) -> Judged:
        """The draft with its verdicts; where it passes and is to be obfuscated, the other version with its own too.

        What the gates used is added to the usage of the draft that they judged.

        Raises:
            AuthenticationError, ReplayMissError, LimitReached: no other draft could be judged either.
        """
        spent: dict[ModelRole, Usage] = {}
        judged = await self._judge(draft, context, spent)
        failures = [unjudged(judged)]
        drafts = [judged]
        unchanged = False
        if self.obfuscator is not None and passed(judged):
            try:
                rewritten = await self.obfuscator.rewrite(judged, context.path)
            except (AuthenticationError, ReplayMissError):
                raise
            except ModelError as error:
                rewritten = Rewritten()
                failures.append(f"error:{error.kind}: {error.message}")
            unchanged = rewritten.failed
            spent["synthesizer"] = spent.get("synthesizer", Usage()) + rewritten.usage
            if rewritten.draft is not None:
                other = rewritten.draft
                drafts.append(await self._judge(other, context, spent) if passed(other) else other)
                failures.append(unjudged(drafts[-1]))
        return Judged(drafts=tuple(drafts), spent=spent, failures=tuple(filter(None, failures)), unchanged=unchanged)

    async def _judge(self, draft: QA, context: GateContext, spent: dict[ModelRole, Usage]) -> QA:
        meter = MeteredModels(context.models, self.budget) if context.models is not None else None
        judged = await judge_draft(draft, self.gates.of_draft, evolve(context, models=meter))
        if meter is None or not meter.usage:
            return judged
        for role, usage in meter.usage.items():
            spent[role] = spent.get(role, Usage()) + usage
        return evolve(judged, usage=judged.usage + meter.total)


def admit(draft: QA, gates: Sequence[tuple[str, RunGate]]) -> QA:
    """The draft with the verdicts of the gates over the whole run, up to the first that refuses it."""
    for name, gate in gates:
        if not passed(draft):
            break
        outcome = gate.admit(draft)
        verdict = Verdict(name=name, passed=outcome.passed, reason=outcome.reason)
        draft = evolve(outcome.draft or draft, gates=(*draft.gates, verdict))
    return draft


class Admission:
    """Decides which drafts of a run count: a fold over all of them in seed order, each before its obfuscated version.

    Once ``target`` questions are accepted, what follows is neither accepted nor rejected. An obfuscated version stands
    or falls with the question that it was made from, and is not counted beside it.
    """

    def __init__(self, gates: Gates, target: int | None = None) -> None:
        self.accepted: list[QA] = []
        self.rejected: list[QA] = []
        self.beyond = 0  #: drafts that came after the target was reached
        self._gates = [(name, make()) for name, make in gates.of_run]
        self._target = target
        self._questions: set[str] = set()  #: ids of the accepted ones that are no other version
        self._refused: dict[str, Verdict] = {}

    @property
    def is_full(self) -> bool:
        """Whether the target is reached."""
        return self._target is not None and len(self._questions) >= self._target

    def add(self, draft: QA) -> None:
        """Decide on the next draft."""
        parent = draft.parent_qa_id
        if self.is_full and (parent is None or parent not in self._questions):
            self.beyond += 1
            return
        if parent is not None and parent in self._refused and passed(draft):
            verdict = evolve(self._refused[parent], reason=f"{parent}, which it was made from, was refused")
            draft = evolve(draft, gates=(*draft.gates, verdict))
        judged = admit(draft, self._gates)
        if not passed(judged):
            self.rejected.append(judged)
            self._refused[judged.id] = judged.gates[-1]
            return
        self.accepted.append(judged)
        if parent is None:
            self._questions.add(judged.id)
