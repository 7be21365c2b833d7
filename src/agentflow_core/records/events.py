"""Run events, a closed union: what `agentflow_observe` hooks, progress displays and ``--json`` get.

Events tell what happened; they are never part of the derived files of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from agentflow_core.records.usage import Usage

__all__ = [
    "DraftJudged",
    "Event",
    "LimitHit",
    "ModelCalled",
    "NodeAdded",
    "Notice",
    "RunFinished",
    "RunStarted",
    "StageFinished",
    "StageStarted",
    "ToolCalled",
    "UnitFinished",
    "UnitStarted",
    "ignore_event",
]


@frozen(kw_only=True)
class RunStarted:
    """A run was opened."""

    run_dir: str
    kind: Literal["synthesis", "rollout"]
    resumed: bool = False


@frozen(kw_only=True)
class StageStarted:
    """A stage has a plan: ``total`` units, of which ``done`` are in the journal already."""

    stage: str
    total: int
    done: int = 0


@frozen(kw_only=True)
class UnitStarted:
    """A unit of work was taken."""

    stage: str
    unit: str


@frozen(kw_only=True)
class UnitFinished:
    """A unit ended; ``outcome`` is ``ok``, ``limit:<kind>`` or ``error:<kind>``."""

    stage: str
    unit: str
    outcome: str
    wall_s: float = 0.0
    message: str = ""


@frozen(kw_only=True)
class StageFinished:
    """No unit of the stage is left to do."""

    stage: str
    counts: Mapping[str, int] = field(factory=dict)


@frozen(kw_only=True)
class ModelCalled:
    """A model call ended; ``attempts`` counts the requests that were sent for it (0: from the cache)."""

    model: str
    role: str
    purpose: str
    outcome: str = "ok"
    wall_s: float = 0.0
    attempts: int = 1
    cached: bool = False
    usage: Usage = Usage()
    limit: int = 0  #: the concurrency limit at that moment


@frozen(kw_only=True)
class ToolCalled:
    """A tool call ended."""

    tool: str
    code: str
    wall_s: float = 0.0
    worker: str = ""


@frozen(kw_only=True)
class NodeAdded:
    """A node was added to a trajectory tree."""

    node: str
    tool: str
    novelty: float = 0.0
    stale: bool = False
    error: str | None = None


@frozen(kw_only=True)
class DraftJudged:
    """A QA draft was accepted, or rejected by the named gate."""

    qa: str
    accepted: bool
    gate: str = ""


@frozen(kw_only=True)
class LimitHit:
    """A limit or budget ended a unit or the run."""

    kind: str
    message: str = ""


@frozen(kw_only=True)
class Notice:
    """Something a person should know: a warning or a note, once."""

    message: str
    level: Literal["info", "warning"] = "warning"


@frozen(kw_only=True)
class RunFinished:
    """A run ended; ``status`` is ``complete``, ``limited``, ``interrupted`` or ``failed``."""

    run_dir: str
    status: str
    summary: Mapping[str, Any] = field(factory=dict)


Event = (
    RunStarted
    | StageStarted
    | UnitStarted
    | UnitFinished
    | StageFinished
    | ModelCalled
    | ToolCalled
    | NodeAdded
    | DraftJudged
    | LimitHit
    | Notice
    | RunFinished
)


def ignore_event(_: Event) -> None:
    """Observe nothing."""
