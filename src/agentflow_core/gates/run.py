"""Let a draft pass gates in order, and write their verdicts on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from agentflow_core.records import QA, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.contributions import GateSpec
    from agentflow_core.interfaces import Gate, GateContext

__all__ = ["in_order_of_cost", "judge_draft", "passed"]

_COST = {"nothing": 0, "sandbox": 1, "model": 2, "both": 3}


def in_order_of_cost(specs: Iterable[GateSpec]) -> list[GateSpec]:
    """Gates of one draft before gates of the run, cheap ones first, else in the order given."""
    return sorted(specs, key=lambda spec: (spec.scope == "run", _COST[spec.needs]))


async def judge_draft(draft: QA, gates: Sequence[tuple[str, Gate]], context: GateContext) -> QA:
    """The draft with a verdict of every gate up to the first that refuses it, and with what the gates found added.

    Args:
        draft: its verdicts so far are kept.
        gates: by name, in the order in which they are asked.
        context: the same for all gates.

    Raises:
        AgentFlowError: what a gate raises; a gate that cannot judge says nothing about the draft.
    """
    for name, gate in gates:
        outcome = await gate.check(draft, context)
        refined = outcome.draft if outcome.draft is not None and outcome.passed else draft
        verdict = Verdict(name=name, passed=outcome.passed, reason=outcome.reason)
        draft = evolve(refined, gates=(*draft.gates, verdict))
        if not outcome.passed:
            break
    return draft


def passed(draft: QA) -> bool:
    """Whether no gate has refused the draft."""
    return all(verdict.passed for verdict in draft.gates)
