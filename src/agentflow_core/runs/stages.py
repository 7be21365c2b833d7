"""Run the units of a stage that the journal does not hold yet, and keep each as it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from attrs import frozen

from agentflow_core.errors import AgentFlowError
from agentflow_core.records.codec import dump
from agentflow_core.records.events import Event, StageFinished, StageStarted, UnitFinished, UnitStarted, ignore_event
from agentflow_core.runs.commit import GroupCommit
from agentflow_core.runs.failures import UnitFailure, ending_of, failure_of
from agentflow_core.runs.journal import Batch
from agentflow_core.runs.lines import encode
from agentflow_core.runs.stop import StopSignal

if TYPE_CHECKING:
    from agentflow_core.interfaces import Executor, Unit
    from agentflow_core.runs.directory import Run

__all__ = ["StageReport", "StopSignal", "UnitJournal", "run_stage"]

_log = logging.getLogger(__name__)


class UnitJournal:
    """What one unit found, in memory until it ends."""

    def __init__(self, unit: Unit, attempt: int) -> None:
        self.unit = unit
        self.attempt = attempt  #: counted from 1
        self._records: list[tuple[str, bytes]] = []
        self._timings: list[bytes] = []

    def add(self, type: str, data: Any) -> None:
        """Keep a record: JSON, or records as `codec.dump` writes them. Later changes of ``data`` do not count."""
        if type.startswith("unit."):
            raise ValueError(f"record types that begin with 'unit.' are the journal's own: {type!r}")
        self._records.append((type, encode(data)))

    def timing(self, **values: Any) -> None:
        """Keep a line for ``timings.jsonl``: clocks, latencies, attempts, cache hits."""
        self._timings.append(encode({"unit": self.unit.id, "stage": self.unit.stage, **values}) + b"\n")

    def batch(self, outcome: str, failure: UnitFailure | None) -> Batch:
        """The unit as the journal takes it."""
        return Batch(
            key=self.unit.key,
            id=self.unit.id,
            stage=self.unit.stage,
            outcome=outcome,
            attempt=self.attempt,
            error=None if failure is None else dump(failure),
            records=self._records,
            timings=b"".join(self._timings),
        )


@frozen(kw_only=True)
class StageReport:
    """How a stage stands: of ``total`` planned units, ``counts`` by outcome; ``ran`` of them ended this time."""

    stage: str
    total: int
    ran: int
    counts: Mapping[str, int]
    stopped: bool  #: a request to stop left units undone
    first_failure: UnitFailure | None = None  #: of the first unit in plan order that failed

    @property
    def left(self) -> int:
        """How many units did not end."""
        return self.total - sum(self.counts.values())

    @property
    def failed(self) -> int:
        """How many units ended in an error."""
        return sum(count for outcome, count in self.counts.items() if outcome.startswith("error:"))


async def run_stage(
    run: Run,
    stage: str,
    units: Sequence[Unit],
    work: Callable[[Unit, UnitJournal], Awaitable[str]],
    *,
    executor: Executor,
    max_workers: int,
    stop: StopSignal,
    observe: Callable[[Event], None] = ignore_event,
    retry_failed: bool = True,
) -> StageReport:
    """Plan the units and do those that are not done, in order, at most ``max_workers`` at once.

    ``work`` returns the outcome ``ok``, ``limit:<kind>`` or ``error:<kind>``. What it raises is kept as a failed unit,
    whatever it is, and the stage goes on. A unit that is cancelled leaves nothing.

    Raises:
        AuthenticationError, ReplayMissError, StorageError, LimitReached: raised by a unit, they end the stage; the
            units in flight end first and are kept.
    """
    await anyio.to_thread.run_sync(run.plan, stage, units)
    notices = await anyio.to_thread.run_sync(run.drop_damaged, stage)
    for notice in notices:
        observe(notice)
    done = run.done(stage, retry_failed=retry_failed)
    left = [unit for unit in units if unit.key not in done]
    observe(StageStarted(stage=stage, total=len(units), done=len(units) - len(left)))
    async with GroupCommit(run.journal, at_most=max_workers) as commit:
        shift = _Shift(run, work, observe, commit)
        with stop.cancellable():
            await executor.run(
                left, shift.do, max_workers=max_workers, should_stop=lambda: stop.is_set or shift.ending is not None
            )
    if shift.ending is not None:
        raise shift.ending
    report = StageReport(
        stage=stage,
        total=len(units),
        ran=shift.ran,
        counts=run.outcomes(stage),
        stopped=stop.is_set and shift.ran < len(left),
        first_failure=run.first_failure(stage),
    )
    if not report.stopped:
        observe(StageFinished(stage=stage, counts=report.counts))
    return report


class _Shift:
    """One go at the units of a stage: does a unit, hands it over to be kept, and remembers what ends the stage."""

    def __init__(
        self,
        run: Run,
        work: Callable[[Unit, UnitJournal], Awaitable[str]],
        observe: Callable[[Event], None],
        commit: GroupCommit,
    ) -> None:
        self.ending: AgentFlowError | None = None
        self.ran = 0
        self._run = run
        self._work = work
        self._observe = observe
        self._commit = commit

    async def do(self, unit: Unit) -> None:
        """Do one unit; raises nothing but cancellation."""
        before = self._run.entry(unit.key)
        journal = UnitJournal(unit, attempt=1 if before is None else before.attempt + 1)
        self._observe(UnitStarted(stage=unit.stage, unit=unit.id))
        started, wall = time.time(), time.perf_counter()
        failure: UnitFailure | None = None
        try:
            outcome = await self._work(unit, journal)
        except Exception as error:  # noqa: BLE001 (whatever plugin code in a unit raises, the other units go on)
            ending = ending_of(error)
            if ending is not None:
                self.ending = self.ending or ending
                return
            failure = failure_of(error)
            outcome = f"error:{failure.kind}"
            _log.debug("unit %s failed", unit.id, exc_info=error)
        wall_s = round(time.perf_counter() - wall, 4)
        journal.timing(event="unit", outcome=outcome, attempt=journal.attempt, started=round(started, 3), wall_s=wall_s)
        message = "" if failure is None else failure.message
        finished = UnitFinished(stage=unit.stage, unit=unit.id, outcome=outcome, wall_s=wall_s, message=message)
        await self._commit.put(journal.batch(outcome, failure), partial(self._kept, finished))

    def _kept(self, finished: UnitFinished, error: Exception | None) -> None:
        """Tell of a unit once it is durable."""
        if error is None:
            self.ran += 1
            self._observe(finished)
        elif isinstance(error, AgentFlowError):
            self.ending = self.ending or error
        else:
            raise error
