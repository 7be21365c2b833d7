"""Fold run events into the figures that a progress display shows."""

from __future__ import annotations

import unicodedata
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from attrs import Factory, define, frozen

from agentflow_core.records import Usage
from agentflow_core.records.events import (
    DraftJudged,
    Event,
    LimitHit,
    ModelCalled,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    ToolCalled,
    UnitFinished,
    UnitStarted,
)

__all__ = ["StageTally", "Tally", "ToolTiming", "plain_text"]

_WINDOW_S = 30.0  #: what calls a second are taken over


@define
class StageTally:
    """Where a stage stands."""

    total: int
    done: int
    before: int  #: units that were done when the stage began
    began: float
    errors: int = 0
    in_flight: int = 0
    is_finished: bool = False

    def seconds_left(self, now: float) -> float | None:
        """How long the rest takes at the pace so far; None before a unit has ended."""
        ended = self.done - self.before
        return None if ended <= 0 else (now - self.began) / ended * (self.total - self.done)


@frozen(kw_only=True)
class ToolTiming:
    """How long the calls of a tool took."""

    tool: str
    calls: int
    total_s: float
    slowest_s: float
    failed: int


@define
class _Tool:
    calls: int = 0
    failed: int = 0
    total_s: float = 0.0
    slowest_s: float = 0.0


@define
class Tally:
    """The figures so far. ``spent`` is what model calls cost that were not answered from a cache."""

    clock: Callable[[], float]
    stages: dict[str, StageTally] = Factory(dict)
    run_dir: str = ""
    kind: str = ""
    status: str = ""
    calls: int = 0
    cached: int = 0
    retries: int = 0
    rate_limited: int = 0
    limit: int = 0
    spent: Usage = Usage()
    tool_calls: int = 0
    accepted: int = 0
    rejected: Counter[str] = Factory(Counter)
    errors: Counter[str] = Factory(Counter)
    notices: list[str] = Factory(list)
    _recent: deque[float] = Factory(deque)
    _tools: dict[str, _Tool] = Factory(dict)

    def add(self, event: Event) -> None:
        """Count one event."""
        match event:
            case RunStarted():
                self.run_dir, self.kind = event.run_dir, event.kind
            case StageStarted():
                self.stages[event.stage] = StageTally(event.total, event.done, event.done, self.clock())
            case UnitStarted():
                self._stage(event.stage).in_flight += 1
            case UnitFinished():
                self._unit_finished(event)
            case StageFinished():
                self._stage(event.stage).is_finished = True
            case ModelCalled():
                self._model_called(event)
            case ToolCalled():
                self._tool_called(event)
            case DraftJudged():
                self._draft_judged(event)
            case LimitHit():
                self.notices.append(f"limit reached ({event.kind}): {event.message}")
            case Notice():
                self.notices.append(event.message if event.level == "info" else f"warning: {event.message}")
            case RunFinished():
                self.status = event.status
                for stage in self.stages.values():
                    stage.in_flight = 0  # what a failure or limit ended is not told unit by unit
            case _:
                pass  # a node is part of a unit

    def _stage(self, name: str) -> StageTally:
        return self.stages.setdefault(name, StageTally(0, 0, 0, self.clock()))

    def _unit_finished(self, event: UnitFinished) -> None:
        stage = self._stage(event.stage)
        stage.in_flight = max(0, stage.in_flight - 1)
        stage.done += 1
        if event.outcome.startswith("error:"):
            stage.errors += 1
            self.errors[event.outcome.removeprefix("error:")] += 1

    def _model_called(self, event: ModelCalled) -> None:
        self.calls += 1
        self.retries += max(0, event.attempts - 1)
        self.rate_limited += event.outcome in ("rate_limit", "error:rate_limit")
        self.limit = event.limit or self.limit
        self._recent.append(self.clock())
        self._forget_old()
        if event.cached:
            self.cached += 1
        else:
            self.spent += event.usage

    def _tool_called(self, event: ToolCalled) -> None:
        self.tool_calls += 1
        tool = self._tools.setdefault(event.tool, _Tool())
        tool.calls += 1
        tool.failed += event.code != "ok"
        tool.total_s += event.wall_s
        tool.slowest_s = max(tool.slowest_s, event.wall_s)

    def _draft_judged(self, event: DraftJudged) -> None:
        if event.accepted:
            self.accepted += 1
        else:
            self.rejected[event.gate or "other"] += 1

    def calls_per_second(self) -> float:
        """Model calls that ended in the last half minute, a second."""
        self._forget_old()
        now = self.clock()
        if not self._recent:
            return 0.0
        return len(self._recent) / max(1.0, min(_WINDOW_S, now - self._recent[0]))

    def _forget_old(self) -> None:
        oldest = self.clock() - _WINDOW_S
        while self._recent and self._recent[0] < oldest:
            self._recent.popleft()

    def expected_cost(self) -> float | None:
        """What the stages that have begun will have cost; None where a price is unknown or nothing has ended."""
        done = sum(stage.done - stage.before for stage in self.stages.values())
        total = sum(stage.total - stage.before for stage in self.stages.values())
        if self.spent.cost_usd is None or not done:
            return None
        return self.spent.cost_usd / done * max(total, done)

    def slowest_tools(self, count: int = 3) -> list[ToolTiming]:
        """The tools that took most time in all, slowest first."""
        ranked = sorted(self._tools.items(), key=lambda item: (-item[1].total_s, item[0]))[:count]
        return [
            ToolTiming(tool=name, calls=tool.calls, total_s=tool.total_s, slowest_s=tool.slowest_s, failed=tool.failed)
            for name, tool in ranked
        ]


def plain_text(value: Any, limit: int = 200) -> str:
    """``value`` on one line, without what a terminal would obey, at most ``limit`` characters."""
    text = "".join(" " if char in "\n\t\r" else char for char in str(value))
    text = "".join(char for char in text if not unicodedata.category(char).startswith("C"))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
