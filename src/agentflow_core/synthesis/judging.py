"""Stage 3, second half: the gates of a run, those over single drafts and those over all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve, frozen

from agentflow_core.gates.run import in_order_of_cost, passed
from agentflow_core.interfaces import Gate, RunGate
from agentflow_core.records import QA, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.config import PluginChoice
    from agentflow_core.contributions import GateSpec
    from agentflow_core.plugins import Registry

__all__ = ["Gates", "admit", "build_gates"]


@frozen(kw_only=True)
class Gates:
    """The gates of a run: those that judge a draft by itself, and those that look at the drafts before it."""

    of_draft: tuple[tuple[str, Gate], ...]
    of_run: tuple[tuple[str, Callable[[], RunGate]], ...]  #: made anew for each fold


def build_gates(registry: Registry, choices: Sequence[PluginChoice]) -> Gates:
    """The chosen gates, cheap ones first, else in the order of the configuration."""
    entries = {choice.name: registry.get("gate", choice.name) for choice in choices}
    settings = {choice.name: choice.settings for choice in choices}
    of_draft: list[tuple[str, Gate]] = []
    of_run: list[tuple[str, Callable[[], RunGate]]] = []
    for spec in in_order_of_cost(cast("GateSpec", entry.spec) for entry in entries.values()):
        build = partial(cast("Callable[..., Any]", entries[spec.name].build), settings[spec.name])
        if spec.scope == "run":
            of_run.append((spec.name, build))
        else:
            of_draft.append((spec.name, build()))
    return Gates(of_draft=tuple(of_draft), of_run=tuple(of_run))


def admit(draft: QA, gates: Sequence[tuple[str, RunGate]]) -> QA:
    """The draft with the verdicts of the gates over the whole run, up to the first that refuses it."""
    for name, gate in gates:
        if not passed(draft):
            break
        outcome = gate.admit(draft)
        verdict = Verdict(name=name, passed=outcome.passed, reason=outcome.reason)
        draft = evolve(outcome.draft or draft, gates=(*draft.gates, verdict))
    return draft
