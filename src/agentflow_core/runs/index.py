"""Find runs: the next free directory, and a row for each run there is, broken ones with a reason."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from attrs import field, frozen

from agentflow_core.errors import AgentFlowError, RunError
from agentflow_core.runs.ledger import read_ledger
from agentflow_core.runs.lock import read_holder
from agentflow_core.runs.manifest import MANIFEST, read_manifest

__all__ = ["RunRow", "default_run_dir", "describe_run", "list_runs"]

_NUMBERED = re.compile(r"-(\d+)$")
_PARTS = (MANIFEST, "journal", "plan.jsonl", "qa.jsonl", "results.jsonl")


def default_run_dir(base: Path, kind: str, stem: str) -> Path:
    """``base/<kind>-<stem>-NNN`` with the number after the highest there is; a stem that is the kind is not repeated."""
    safe = re.sub(r"[^\w.-]+", "-", stem).strip("-.") or kind
    name = kind if safe == kind else f"{kind}-{safe}"
    taken = 0
    if base.is_dir():
        for path in base.iterdir():
            number = _NUMBERED.search(path.name)
            if number and path.name[: number.start()] == name:
                taken = max(taken, int(number[1]))
    return base / f"{name}-{taken + 1:03}"


@frozen(kw_only=True)
class RunRow:
    """What a list of runs says of one; ``status`` is ``broken`` with a ``reason`` where it cannot be read."""

    dir: Path
    status: str  #: of `agentflow_core.runs.status`, or killed, or broken
    kind: str = ""
    created: str = ""
    reason: str = ""
    finished: int = 0  #: units that ended without an error
    failed: int = 0
    outcomes: dict[str, int] = field(factory=dict)  #: how many units ended how
    counts: dict[str, Any] = field(factory=dict)
    metrics: dict[str, float] = field(factory=dict)  #: the mean of each
    cost_usd: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The row for programs."""
        return {
            "dir": str(self.dir),
            "kind": self.kind,
            "status": self.status,
            "created": self.created,
            "finished": self.finished,
            "failed": self.failed,
            "outcomes": self.outcomes,
            "counts": self.counts,
            "metrics": self.metrics,
            "cost_usd": self.cost_usd,
            "reason": self.reason,
        }


def list_runs(base: Path) -> list[RunRow]:
    """A row for every run directory in ``base`` (or for ``base``, if it is one), sorted by name.

    Raises:
        RunError: there is no such directory.
    """
    if not base.is_dir():
        raise RunError(f"{base} is not a directory", hint="a run is made by: agentflow demo")
    if (base / MANIFEST).exists():
        return [describe_run(base)]
    return [describe_run(path) for path in sorted(base.iterdir()) if path.is_dir() and _looks_like_run(path)]


def _looks_like_run(path: Path) -> bool:
    return any((path / part).exists() for part in _PARTS)


def describe_run(directory: Path) -> RunRow:
    """The row of one run directory; it never raises for what is in it."""
    try:
        manifest = read_manifest(directory)
        summary = _summary(directory / "summary.json")
        entries = dict(read_ledger(directory / "journal" / "ledger").entries)
    except (AgentFlowError, OSError, ValueError, TypeError) as error:
        reason = error.message if isinstance(error, AgentFlowError) else str(error)
        return RunRow(dir=directory, status="broken", reason=reason)
    failed = sum(entry.failed for entry in entries.values())
    status = str(manifest.get("status", ""))
    if status == "running" and not _is_held(directory):
        status = "killed"
    usage = summary.get("usage")
    return RunRow(
        dir=directory,
        status=status,
        kind=str(manifest.get("kind", "")),
        created=str(manifest.get("created", "")),
        finished=len(entries) - failed,
        failed=failed,
        outcomes=dict(sorted(Counter(entry.outcome for entry in entries.values()).items())),
        counts=_mapping(summary.get("counts")),
        metrics={
            name: figures["mean"] for name, figures in _mapping(summary.get("metrics")).items() if _has_mean(figures)
        },
        cost_usd=_mapping(usage).get("cost_usd"),
    )


def _is_held(directory: Path) -> bool:
    holder = read_holder(directory)
    return holder is not None and holder.is_alive


def _summary(path: Path) -> dict[str, Any]:
    return _mapping(orjson.loads(path.read_bytes())) if path.exists() else {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _has_mean(figures: Any) -> bool:
    return isinstance(figures, dict) and isinstance(figures.get("mean"), int | float)
