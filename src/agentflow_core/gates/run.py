"""Let a draft pass gates in order, and write their verdicts on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from agentflow_core.errors import AuthenticationError, ModelError, ReplayMissError, SandboxError
from agentflow_core.gates.asking import GateBudgetSpent
from agentflow_core.records import QA, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.contributions import GateSpec
    from agentflow_core.interfaces import Gate, GateContext

__all__ = ["in_order_of_cost", "judge_draft", "passed", "unjudged"]

_COST = {"nothing": 0, "sandbox": 1, "model": 2, "both": 3}


def in_order_of_cost(specs: Iterable[GateSpec]) -> list[GateSpec]:
    """Gates of one draft before gates of the run, cheap ones first (by need, then by calls), else in the order given."""
    return sorted(specs, key=lambda spec: (spec.scope == "run", _COST[spec.needs], spec.calls))


async def judge_draft(draft: QA, gates: Sequence[tuple[str, Gate]], context: GateContext) -> QA:
    """The draft with a verdict of every gate up to the first that refuses it, and with what the gates found added.

    A gate that could not be asked says nothing about the draft: its verdict is neither, and ends the judgement too.

    Args:
        draft: its verdicts so far are kept.
        gates: by name, in the order in which they are asked.
        context: the same for all gates.

    Raises:
        AuthenticationError, ReplayMissError, LimitReached: no other draft could be judged either.
        AgentFlowError: what else a gate raises, but for failures of the model or the sandbox.
    """
    for name, gate in gates:
        try:
            outcome = await gate.check(draft, context)
        except (AuthenticationError, ReplayMissError):
            raise
        except GateBudgetSpent as spent:
            return _unasked(draft, name, f"limit:{spent.kind}: {spent.message}")
        except ModelError as error:
            return _unasked(draft, name, f"error:{error.kind}: {error.message}")
        except SandboxError as error:
            return _unasked(draft, name, f"error:{error.code}: {error.message}")
        refined = outcome.draft if outcome.draft is not None and outcome.passed else draft
        verdict = Verdict(name=name, passed=outcome.passed, reason=outcome.reason)
        draft = evolve(refined, gates=(*draft.gates, verdict))
        if not outcome.passed:
            break
    return draft


def _unasked(draft: QA, name: str, reason: str) -> QA:
    return evolve(draft, gates=(*draft.gates, Verdict(name=name, passed=None, reason=reason)))


def passed(draft: QA) -> bool:
    """Whether every gate that was asked has passed the draft."""
    return all(verdict.passed for verdict in draft.gates)


def unjudged(draft: QA) -> str:
    """Why the draft could not be judged, as ``error:<kind>: …`` or ``limit:<kind>: …``; empty if it was."""
    return next((verdict.reason for verdict in draft.gates if verdict.passed is None), "")
