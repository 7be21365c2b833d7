"""Stages: units run in order, bounded, and kept; failures, limits and stops."""

from __future__ import annotations

import errno
import json

import anyio
import anyio.lowlevel
import pytest

from agentflow_core.errors import AuthenticationError, LimitReached, RateLimitError, SandboxError, StorageError
from agentflow_core.executors.local import LocalExecutor
from agentflow_core.records import Seed
from agentflow_core.records.codec import dumps
from agentflow_core.records.events import Notice, StageFinished, StageStarted, UnitFinished
from agentflow_core.runs.stages import StopSignal, run_stage

LOCAL = LocalExecutor()


def units_of(run, count, stage="sample"):
    return [run.unit(stage, f"seed-{i}", {"seed": i}) for i in range(count)]


async def echo(unit, journal):
    journal.add("node", {"seed": unit.input["seed"]})
    return "ok"


async def stage(run, units, work, *, stop=None, max_workers=4, events=None, **options):
    observe = (lambda _: None) if events is None else events.append
    return await run_stage(
        run,
        "sample",
        units,
        work,
        executor=LOCAL,
        max_workers=max_workers,
        stop=stop or StopSignal(),
        observe=observe,
        **options,
    )


async def test_records_come_back_in_plan_order_whatever_the_order_of_finishing(open_run):
    async def backwards(unit, journal):
        for _ in range(8 - unit.input["seed"]):
            await anyio.lowlevel.checkpoint()
        return await echo(unit, journal)

    with open_run() as run:
        report = await stage(run, units_of(run, 8), backwards, max_workers=8)
        assert report.counts == {"ok": 8}
        assert [found.of("node") for found in run.records("sample")] == [[{"seed": i}] for i in range(8)]
        assert [found.unit.input for found in run.records("sample")] == [{"seed": i} for i in range(8)]


async def test_records_of_one_type_are_lines_in_plan_order_as_the_codec_writes_them(open_run):
    found = {"seed-0": {"text": "ü"}, "seed-1": {"big": 1 << 80, "text": "\ud800"}, "seed-2": {"text": ""}}

    async def say(unit, journal):
        journal.add("other", {"seed": unit.id})
        journal.add("node", found[unit.id])
        return "ok"

    with open_run() as run:
        units = units_of(run, 3)
        await stage(run, units, say)
        assert list(run.lines("sample", "node", {unit.key for unit in units})) == [*map(dumps, found.values())]
        assert list(run.lines("sample", "node", {units[2].key})) == [b'{"text":""}\n']


async def test_resume_runs_only_what_is_left(open_run):
    ran = []

    async def note(unit, journal):
        ran.append(unit.id)
        return await echo(unit, journal)

    with open_run() as run:
        await stage(run, units_of(run, 3), note)
    ran.clear()
    with open_run() as run:
        assert run.resumed
        events = []
        report = await stage(run, units_of(run, 5), note, events=events)
        assert ran == ["seed-3", "seed-4"]
        assert (report.total, report.ran, report.counts) == (5, 2, {"ok": 5})
        assert events[0] == StageStarted(stage="sample", total=5, done=3)
        assert events[-1] == StageFinished(stage="sample", counts={"ok": 5})


async def test_at_most_max_workers_units_run_at_once(open_run):
    running = most = 0

    async def count(unit, journal):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1
        return "ok"

    with open_run() as run:
        await stage(run, units_of(run, 20), count, max_workers=3)
    assert most == 3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RateLimitError("too many"), "error:rate_limit"),
        (SandboxError("gone", code="session_lost"), "error:session_lost"),
        (ZeroDivisionError("a bug"), "error:internal"),
        (ExceptionGroup("tasks", [KeyError("x"), RateLimitError("too many")]), "error:rate_limit"),
    ],
)
async def test_a_unit_that_raises_is_kept_as_failed_and_the_stage_goes_on(open_run, error, outcome):
    async def second_fails(unit, journal):
        journal.add("node", unit.id)
        if unit.id == "seed-1":
            raise error
        return "ok"

    with open_run() as run:
        report = await stage(run, units_of(run, 3), second_fails)
        assert report.counts == {"ok": 2, outcome: 1}
        assert report.failed == 1
        failed = list(run.records("sample"))[1]
        assert failed.outcome == outcome
        assert failed.error == report.first_failure
        assert failed.of("node") == ["seed-1"]
        assert f"error:{failed.error.kind}" == outcome


async def test_the_attempts_of_a_model_call_are_kept_with_the_failed_unit(open_run):
    error = RateLimitError("too many", hint="wait")
    error.attempts = ("429 after 1 s", "429 after 2 s")

    async def fail(unit, journal):
        raise error

    with open_run() as run:
        report = await stage(run, units_of(run, 1), fail)
    assert report.first_failure.attempts == error.attempts
    assert report.first_failure.hint == "wait"


async def test_failed_units_are_retried_on_resume_unless_told_not_to(open_run):
    async def fail(unit, journal):
        raise ValueError("not today")

    with open_run() as run:
        await stage(run, units_of(run, 2), fail)
    with open_run() as run:
        report = await stage(run, units_of(run, 2), echo, retry_failed=False)
        assert report.counts == {"error:internal": 2}
        assert report.ran == 0
    with open_run() as run:
        report = await stage(run, units_of(run, 2), echo)
        assert report.counts == {"ok": 2}
        assert [found.attempt for found in run.records("sample")] == [2, 2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AuthenticationError("bad key"), AuthenticationError),
        (LimitReached("usd", "5 USD are spent"), LimitReached),
        (ExceptionGroup("tasks", [AuthenticationError("bad key")]), AuthenticationError),
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
    ],
)
async def test_what_ends_the_run_lets_units_in_flight_finish_and_takes_no_more(open_run, error, expected):
    aborted = anyio.Event()

    async def third_aborts(unit, journal):
        number = unit.input["seed"]
        if number == 2:
            aborted.set()
            raise error
        if number < 2:
            await aborted.wait()
            await anyio.lowlevel.checkpoint()
        return await echo(unit, journal)

    with open_run() as run:
        with pytest.raises(expected):
            await stage(run, units_of(run, 50), third_aborts, max_workers=3)
        assert run.outcomes("sample") == {"ok": 2}
    with open_run() as run:
        assert (await stage(run, units_of(run, 50), echo)).counts == {"ok": 50}


async def test_a_limit_that_ends_a_unit_is_an_outcome_and_not_run_again(open_run):
    async def limited(unit, journal):
        return "limit:turns"

    with open_run() as run:
        await stage(run, units_of(run, 2), limited)
    with open_run() as run:
        assert (await stage(run, units_of(run, 2), echo)).counts == {"limit:turns": 2}


async def test_one_request_to_stop_finishes_what_is_in_flight(open_run):
    stop = StopSignal()

    async def ask(unit, journal):
        stop.request()
        await anyio.lowlevel.checkpoint()
        return await echo(unit, journal)

    events = []
    with open_run() as run:
        report = await stage(run, units_of(run, 9), ask, stop=stop, max_workers=1, events=events)
        assert report.stopped
        assert (report.ran, report.left) == (1, 8)
        assert not [event for event in events if isinstance(event, StageFinished)]


async def test_a_second_request_cancels_and_leaves_nothing_half_counted(open_run):
    stop = StopSignal()

    async def ask_twice(unit, journal):
        journal.add("node", unit.id)
        if unit.id == "seed-1":
            stop.request()
            stop.request()
        await anyio.sleep_forever()

    with open_run() as run:
        report = await stage(run, units_of(run, 4), ask_twice, stop=stop, max_workers=2)
        assert report.stopped
        assert report.counts == {}
    with open_run() as run:
        assert (await stage(run, units_of(run, 4), echo)).counts == {"ok": 4}


async def test_a_cancelled_caller_leaves_nothing_half_counted(open_run):
    async def slow(unit, journal):
        journal.add("node", unit.id)
        await anyio.sleep_forever()

    with open_run() as run:
        with anyio.move_on_after(0.01):
            await stage(run, units_of(run, 4), slow)
        assert run.outcomes("sample") == {}


async def test_data_is_kept_as_it_was_when_it_was_added(open_run):
    async def mutate(unit, journal):
        data = {"hits": [1]}
        journal.add("node", data)
        data["hits"].append(2)
        return "ok"

    with open_run() as run:
        await stage(run, units_of(run, 1), mutate)
        assert next(run.records("sample")).of("node") == [{"hits": [1]}]


async def test_records_can_be_added_as_they_are(open_run):
    async def add(unit, journal):
        journal.add("seed", {"seed": Seed(id="s", content="c")})
        return "ok"

    with open_run() as run:
        await stage(run, units_of(run, 1), add)
        assert next(run.records("sample")).of("seed")[0]["seed"]["content"] == "c"


async def test_clocks_stand_in_timings_and_nowhere_else(open_run):
    async def timed(unit, journal):
        journal.timing(event="model", wall_s=0.5, cached=True)
        return "ok"

    with open_run() as run:
        await stage(run, units_of(run, 1), timed)
        lines = [json.loads(line) for line in (run.dir / "timings.jsonl").read_text().splitlines()]
    assert lines[0] == {"unit": "seed-0", "stage": "sample", "event": "model", "wall_s": 0.5, "cached": True}
    assert lines[1]["outcome"] == "ok"
    assert lines[1]["attempt"] == 1


async def test_an_event_is_told_only_once_the_unit_is_durable(open_run):
    with open_run() as run:

        def check(event):
            if isinstance(event, UnitFinished):
                assert run.outcomes("sample")["ok"] >= 1

        await run_stage(
            run, "sample", units_of(run, 3), echo, executor=LOCAL, max_workers=2, stop=StopSignal(), observe=check
        )


async def test_a_damaged_unit_is_reported_and_done_again(open_run):
    with open_run() as run:
        await stage(run, units_of(run, 5), echo)
        middle = run.entry(units_of(run, 5)[2].key)
    path = run.dir / "journal" / "0001.jsonl"
    raw = bytearray(path.read_bytes())
    raw[middle.offset + middle.length // 2] ^= 1
    path.write_bytes(raw)
    ran, events = [], []

    async def note(unit, journal):
        ran.append(unit.id)
        return await echo(unit, journal)

    with open_run() as run:
        report = await stage(run, units_of(run, 5), note, events=events)
        assert ran == ["seed-2"]
        assert report.counts == {"ok": 5}
        assert "checksum" in next(event.message for event in events if isinstance(event, Notice))
        assert [found.of("node") for found in run.records("sample")] == [[{"seed": i}] for i in range(5)]


async def test_units_are_taken_in_order_and_none_ahead_of_its_turn():
    class Units(list):
        taken = 0

        def __iter__(self):
            for item in super().__iter__():
                self.taken += 1
                yield item

    units = Units(range(100_000))

    async def work(unit):
        await anyio.lowlevel.checkpoint()

    await LOCAL.run(units, work, max_workers=8, should_stop=lambda: units.taken >= 20)
    assert units.taken < 30


async def test_an_executor_without_workers_is_refused():
    with pytest.raises(ValueError, match="max_workers"):
        await LOCAL.run([], anyio.sleep, max_workers=0, should_stop=bool)


async def test_a_disk_that_fills_up_ends_the_stage_and_what_was_finished_is_kept(open_run, full_after):
    async def bulky(unit, journal):
        journal.add("node", {"text": "x" * 1000, "seed": unit.input["seed"]})
        return "ok"

    with pytest.raises(StorageError, match="cannot write"), open_run() as run, full_after(20_000):
        await stage(run, units_of(run, 50), bulky, max_workers=2)
    with open_run() as run:
        kept = run.done("sample")
        assert 10 < len(kept) < 20
        report = await stage(run, units_of(run, 50), bulky)
        assert report.ran == 50 - len(kept)
        assert [found.of("node")[0]["seed"] for found in run.records("sample")] == list(range(50))
