"""The laws that every backend keeps; `agentflow_core.testing.conformance` tries them."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson

from agentflow_core.errors import AgentFlowError, SandboxError
from agentflow_core.names import WIRE, wire_name
from agentflow_core.records import ToolResult
from agentflow_core.records.codec import dumps, loads
from agentflow_core.records.results import SHOWN_LIMIT_BYTES
from agentflow_core.sandbox import Catalog, LimitsConfig, Sandbox, SandboxConfig, Session, observation_of
from agentflow_core.testing.conformance import Broken, Call, Law, Missing, Subject
from agentflow_core.testing.resources import held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from agentflow_core.sandbox import Backend
    from agentflow_core.sandbox.worker import WorkerView

__all__ = ["LAWS"]

#: Every law by its name, in the order in which they are tried.
LAWS: dict[str, Law] = {}
#: How soon something that was stopped must have come back, in seconds.
_PROMPT_S = 10.0
_OVERLOAD_S = 0.05


def law(says: str) -> Callable[[Callable[[Subject], Awaitable[None]]], Callable[[Subject], Awaitable[None]]]:
    """Register a law under its function's name."""

    def register(holds: Callable[[Subject], Awaitable[None]]) -> Callable[[Subject], Awaitable[None]]:
        LAWS[holds.__name__] = Law(name=holds.__name__, says=says, holds=holds)
        return holds

    return register


# ---- what laws are made of


@asynccontextmanager
async def opened(subject: Subject, **limits: Any) -> AsyncIterator[Sandbox]:
    """A sandbox with the subject's backend; what its cleanup logs as failed breaks the law."""
    with tempfile.TemporaryDirectory(prefix="agentflow-laws-") as folder, failures_raised():
        bounds: dict[str, Any] = {"max_sessions": subject.parallel + 4, "timeout_s": subject.timeout_s, **limits}
        config = SandboxConfig(limits={subject.name: LimitsConfig(**bounds)}, state_dir=Path(folder))
        async with Sandbox(catalog=Catalog.of(**{subject.name: subject.backend}), config=config) as sandbox:
            yield sandbox


@contextmanager
def failures_raised() -> Iterator[None]:
    """Raise what the engine only logs: a cleanup or shutdown that fails or does not end."""
    seen: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                error = record.exc_info[1] if record.exc_info else None
                seen.append(record.getMessage() + (f": {type(error).__name__}: {error}" if error else ""))

    log = logging.getLogger("agentflow_core.sandbox")
    listener = Listener()
    log.addHandler(listener)
    try:
        yield
    finally:
        log.removeHandler(listener)
    if seen:
        raise Broken("; ".join(seen))


async def called(worker: WorkerView, subject: Subject, call: Call, **options: Any) -> ToolResult:
    """Make one call of the subject."""
    tool, params = call
    return await worker.execute(f"{subject.name}:{tool}", params, **options)


async def succeeded(worker: WorkerView, subject: Subject, calls: Sequence[Call]) -> list[ToolResult]:
    """Make the calls in order; each must succeed."""
    results = []
    for call in calls:
        result = await called(worker, subject, call)
        if not result.ok:
            raise Broken(f"the call {call[0]} {dict(call[1])} failed: {result.text[:300]}")
        results.append(result)
    return results


async def session(worker: WorkerView, subject: Subject) -> str:
    """Open a session with the subject's settings."""
    infos = await worker.create_session({subject.name: subject.settings or None})
    return infos[subject.name].id


async def seen(worker: WorkerView, subject: Subject) -> str:
    """What the subject's ``look`` shows."""
    return "\n".join(result.text for result in await succeeded(worker, subject, subject.look))


def sharing_of(subject: Subject) -> str:
    """The backend's sharing."""
    return Catalog.of(**{subject.name: subject.backend}).backend(subject.name).sharing


def needs_sessions(subject: Subject) -> None:
    """Skip a law on sessions where there are none."""
    if sharing_of(subject) == "shared":
        raise Missing("the backend is shared: its sessions mean nothing")


def needs(value: Any, name: str) -> Any:
    """The value that the subject says, or skip."""
    if value is None or value == ():
        raise Missing(f"the subject says no {name}")
    return value


async def settled(before: Any) -> str:
    """What is held beyond ``before`` once things had a moment to end; nothing is best."""
    beyond = ""
    with anyio.move_on_after(_PROMPT_S):
        while True:
            gc.collect()
            beyond = held().beyond(before)
            if not beyond:
                return ""
            await anyio.sleep(0.05)  # a process that was killed is still to be reaped
    return beyond


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """What was taken inside is given back at the end."""
    await anyio.to_thread.run_sync(lambda: None)  # the loop's own descriptors are there before we count
    gc.collect()
    before = held()
    yield
    if left := await settled(before):
        raise Broken(f"left behind: {left}")


# ---- the backend's own life


@law("warmup is idempotent, and cleanup may come twice")
async def warmup_and_cleanup_may_come_twice(subject: Subject) -> None:
    async with opened(subject) as sandbox:
        await sandbox.warmup()
        await sandbox.warmup()
    async with alone(subject) as backend:
        await backend.warmup()
        state = await backend.initialize(Session(id="law-1", backend=subject.name, settings=subject.settings))
        await backend.cleanup(state)
        await backend.cleanup(state)


@asynccontextmanager
async def alone(subject: Subject) -> AsyncIterator[Backend]:
    """The backend without an engine: warm, then shut down."""
    from agentflow_core.sandbox import BackendContext

    with tempfile.TemporaryDirectory(prefix="agentflow-laws-") as folder:
        backend = subject.backend()
        backend.context = BackendContext(name=subject.name, folder=Path(folder), observe=lambda event: None)
        await backend.warmup()
        try:
            yield backend
        finally:
            await backend.shutdown()


@law("an initialize that fails leaves nothing and is reported as what it is")
async def failed_initialize_leaves_nothing(subject: Subject) -> None:
    needs_sessions(subject)
    settings = needs(subject.broken_settings, "broken_settings")
    async with opened(subject) as sandbox:
        await sandbox.warmup()
        async with nothing_left():
            for _ in range(3):
                try:
                    await sandbox.create_session({subject.name: settings})
                except AgentFlowError as error:
                    if not str(error).strip():
                        raise Broken(f"{type(error).__name__} without a message") from error
                else:
                    raise Broken("initialize succeeded with broken_settings")
        if sessions := await sandbox.list_sessions():
            raise Broken(f"sessions are still listed: {[info.id for info in sessions]}")


@law("the sandbox closes with sessions open")
async def shutdown_with_live_sessions(subject: Subject) -> None:
    async with nothing_left(), opened(subject) as sandbox:
        for number in range(min(subject.parallel, 4)):
            worker = sandbox.worker(f"law-{number}")
            await session(worker, subject)
            await succeeded(worker, subject, subject.calls)


@law("a session whose creation is cancelled leaves nothing, wherever that comes")
async def cancelled_creation_leaves_nothing(subject: Subject) -> None:
    needs_sessions(subject)
    async with opened(subject) as sandbox:
        await sandbox.warmup()
        started = perf_counter()
        await sandbox.close_session(await session(sandbox, subject))
        whole_s = perf_counter() - started
        moments: list[float | int] = [*range(12), *(whole_s * tenth / 10 for tenth in range(1, 10))]
        async with nothing_left():
            for moment in moments:
                await _cancelled_at(sandbox, subject, moment)
                if sessions := await sandbox.list_sessions():
                    raise Broken(f"cancelled at {moment}, {sessions[0].id} is left in state {sessions[0].state}")
        await succeeded(sandbox, subject, subject.calls)


async def _cancelled_at(sandbox: Sandbox, subject: Subject, moment: float) -> None:
    """Create a session and cancel that after so many steps of the loop, or seconds; close what got through."""

    async def create() -> None:
        await sandbox.close_session(await session(sandbox, subject))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        if isinstance(moment, int):
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
        else:
            await anyio.sleep(moment)
        tasks.cancel_scope.cancel()
    await sandbox.aclose()


@law("sessions come and go without the process growing")
async def sessions_come_and_go(subject: Subject) -> None:
    needs_sessions(subject)
    async with opened(subject) as sandbox:

        async def cycle() -> None:
            opened_id = await session(sandbox, subject)
            for call in subject.calls[:1]:
                await called(sandbox, subject, call, session=opened_id)
            await sandbox.close_session(opened_id)

        for _ in range(max(2, subject.cycles // 10)):
            await cycle()
        gc.collect()
        rss = held().rss_bytes
        async with nothing_left():
            for _ in range(subject.cycles):
                await cycle()
        gc.collect()
        grown_mb = (held().rss_bytes - rss) / 2**20
        if grown_mb > subject.growth_mb:
            raise Broken(f"the process grew by {grown_mb:.0f} MB in {subject.cycles} sessions")


# ---- sessions apart


@law("sessions do not see what another one holds")
async def sessions_share_nothing(subject: Subject) -> None:
    needs_sessions(subject)
    plant, _ = needs(subject.plant, "plant"), needs(subject.look, "look")
    canaries = {
        f"law-{number}": f"canary-{number:04d}-{number * 7919 % 9973:04d}" for number in range(subject.parallel)
    }

    async with opened(subject) as sandbox:

        async def plant_one(worker: WorkerView, canary: str) -> None:
            await session(worker, subject)
            await succeeded(worker, subject, plant(canary))

        async def look_one(worker: WorkerView, canary: str) -> None:
            text = await seen(worker, subject)
            if canary not in text:
                raise Broken(f"look does not show what was planted in its own session: {text[:200]!r}")
            for other in canaries.values():
                if other != canary and other in text:
                    raise Broken(f"{worker.worker_id} sees {other}, which another session planted")

        for step in (plant_one, look_one):
            await _each([partial(step, sandbox.worker(name), canary) for name, canary in canaries.items()])


async def _each(works: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run all at once; the first that fails, in order, is raised by itself and not in a group."""
    errors: dict[int, Exception] = {}

    async def run(index: int) -> None:
        try:
            await works[index]()
        except Exception as error:  # noqa: BLE001 - plugin boundary
            errors[index] = error

    async with anyio.create_task_group() as tasks:
        for index in range(len(works)):
            tasks.start_soon(run, index)
    if errors:
        raise errors[min(errors)]


@law("a fork has a copy of the state and shares nothing")
async def fork_shares_nothing(subject: Subject) -> None:
    needs_sessions(subject)
    async with opened(subject) as sandbox:
        if not Catalog.of(**{subject.name: subject.backend}).backend(subject.name).can_fork:
            raise Missing("the backend does not fork")
        plant, _ = needs(subject.plant, "plant"), needs(subject.look, "look")
        parent = await session(sandbox, subject)
        await _in(sandbox, subject, parent, plant("canary-before"))
        child = (await sandbox.fork(parent)).id
        await _in(sandbox, subject, child, plant("canary-child"))
        await _in(sandbox, subject, parent, plant("canary-parent"))
        in_child = await _in(sandbox, subject, child, subject.look)
        in_parent = await _in(sandbox, subject, parent, subject.look)
        if "canary-before" not in in_child:
            raise Broken("the fork does not have what its parent had")
        if "canary-parent" in in_child or "canary-child" in in_parent:
            raise Broken("parent and fork see what the other did after the fork")
        await sandbox.close_session(parent)
        if "canary-child" not in await _in(sandbox, subject, child, subject.look):
            raise Broken("the fork lost its state when its parent was closed")


async def _in(sandbox: Sandbox, subject: Subject, session_id: str, calls: Sequence[Call]) -> str:
    texts = []
    for call in calls:
        result = await called(sandbox, subject, call, session=session_id)
        if not result.ok:
            raise Broken(f"the call {call[0]} {dict(call[1])} failed: {result.text[:300]}")
        texts.append(result.text)
    return "\n".join(texts)


@law("a recorded path gives the same observations in a fresh session")
async def replay_is_equal(subject: Subject) -> None:
    calls = needs(tuple(subject.calls), "calls")
    async with opened(subject) as sandbox:
        opened_id = await session(sandbox, subject)
        recorded = []
        for tool, params in calls:
            options = {} if sharing_of(subject) == "shared" else {"session": opened_id}
            result = await called(sandbox, subject, (tool, params), **options)
            recorded.append((f"{subject.name}:{tool}", params, observation_of(result, None)))
        again = await sandbox.replay(opened_id, recorded)
        if not again.replay.equal:
            step = again.replay.step or 0
            raise Broken(
                f"call {step} ({calls[step][0]}) said {recorded[step][2].text[:150]!r}, "
                f"then {again.results[step].text[:150]!r}"
            )


# ---- calls


@law("tools tell a model what they take")
async def tools_tell_what_they_take(subject: Subject) -> None:
    async with opened(subject) as sandbox:
        tools = await sandbox.list_tools()
        if not tools:
            raise Broken("the backend has no tool")
        for one in tools:
            orjson.dumps(one.parameters)
            if not WIRE.fullmatch(wire_name(one.name)):
                raise Broken(f"{one.name} is no name that models accept")
            for name, schema in one.parameters["properties"].items():
                if not ({"type", "anyOf", "enum"} & schema.keys() or schema.keys() <= {"description", "default"}):
                    raise Broken(f"{one.name}: the schema of {name!r} has no type")
                if not schema.get("description"):
                    raise Broken(f"{one.name}: {name!r} has no description")
                if name not in one.parameters["required"] and "default" not in schema:
                    raise Broken(f"{one.name}: {name!r} has no default")


@law("wrong arguments are answered with the name of the field, and hostile ones never with internal")
async def wrong_arguments_name_the_field(subject: Subject) -> None:
    samples = dict(subject.calls)
    async with opened(subject) as sandbox:
        missing = await sandbox.execute(f"{subject.name}:no_such_tool", {})
        if missing.ok or missing.code != "unknown_tool":
            raise Broken(f"an unknown tool is answered {missing.code}")
        for one in await sandbox.list_tools():
            sample = samples.get(one.name.partition(":")[2], {})
            result = await sandbox.execute(one.name, {**sample, "no_such_argument": 1})
            if result.code != "invalid_argument" or "no_such_argument" not in result.message:
                raise Broken(f"{one.name}: an unknown argument is answered {result.code}: {result.message[:200]}")
            for name in one.parameters["properties"]:
                for what, value in _HOSTILE.items():
                    result = await sandbox.execute(one.name, {**sample, name: value}, timeout_s=5)
                    _check_hostile(result, f"{one.name} with {what} as {name!r}", name)
            for what, params in {"a list": [1], "a text": "x", "a number key": {1: 2}}.items():
                given: Any = params
                result = await sandbox.execute(one.name, given)
                if result.code != "invalid_argument":
                    raise Broken(f"{one.name}: {what} as arguments is answered {result.code}")


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    return deep


_HOSTILE: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "NaN": float("nan"),
    "an infinity": float("inf"),
    "a huge integer": 10**400,
    "a negative number": -(2**62),
    "a text of 10 MB": "x" * 10_000_000,
    "NUL and escapes": "\x00\x1b[31m日本語 😀",
    "a lone surrogate": "\ud83d",
    "an empty text": "",
    "an object": {"a": [{"b": float("nan")}]},
    "a deep list": _deep(),
    "bytes": b"\xff",
}


def _check_hostile(result: ToolResult, what: str, name: str) -> None:
    if result.code == "internal":
        raise Broken(f"{what} is answered internal: {result.message[:300]}")
    if result.code == "invalid_argument" and name not in result.message + result.hint:
        raise Broken(f"{what}: the answer does not name the field: {result.message[:300]}")
    _check_envelope(result, what)


def _check_envelope(result: ToolResult, what: str) -> None:
    line = dumps(result)
    again = loads(ToolResult, line)
    if again.text != result.text:
        raise Broken(f"{what}: the result is not the same after JSON")
    if "\x1b" in result.text:
        raise Broken(f"{what}: the text has terminal escapes")
    if len(result.shown.encode()) > SHOWN_LIMIT_BYTES + 200:
        raise Broken(f"{what}: a model is shown {len(result.shown.encode())} bytes")


@law("results are JSON in the envelope, with their usage, and nothing is printed")
async def results_are_clean(subject: Subject) -> None:
    calls = needs(tuple(subject.calls), "calls")
    with nothing_printed() as printed:
        async with opened(subject) as sandbox:
            await session(sandbox, subject)
            for call, result in zip(calls, await succeeded(sandbox, subject, calls), strict=True):
                _check_envelope(result, call[0])
                if result.tool != f"{subject.name}:{call[0]}" or result.usage.wall_ms <= 0:
                    raise Broken(f"{call[0]}: the envelope lacks tool or usage")
    if text := printed():
        raise Broken(f"on stdout: {text[:200]!r}")


@contextmanager
def nothing_printed() -> Iterator[Callable[[], str]]:
    """Catch what is written to ``sys.stdout``, and to descriptor 1 by children and C code."""
    python, texts = StringIO(), [""]
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        kept, sys.stdout = sys.stdout, python
        descriptor = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield lambda: texts[0]
        finally:
            os.dup2(descriptor, 1)
            os.close(descriptor)
            sys.stdout = kept
            file.seek(0)
            texts[0] = python.getvalue() + file.read().decode("utf-8", "replace")


@law("a long text is cut for the model, and whole as an artifact")
async def long_texts_are_artifacts(subject: Subject) -> None:
    loud = needs(subject.loud, "loud")
    async with opened(subject) as sandbox:
        await session(sandbox, subject)
        await succeeded(sandbox, subject, subject.calls)
        (result,) = await succeeded(sandbox, subject, [loud])
        if result.truncation is None:
            raise Broken(f"loud said only {len(result.text)} characters")
        _check_envelope(result, loud[0])
        whole = await sandbox.artifact(result.truncation.artifact)
        if len(whole) != result.truncation.bytes_total or len(whole) <= SHOWN_LIMIT_BYTES:
            raise Broken(f"the artifact has {len(whole)} bytes of {result.truncation.bytes_total}")


@law("a call that is repeated with its call_id runs once")
async def a_call_id_runs_once(subject: Subject) -> None:
    call = needs(tuple(subject.calls), "calls")[0]
    async with opened(subject) as sandbox:
        first = await called(sandbox, subject, call, call_id="law-1")
        again = await called(sandbox, subject, call, call_id="law-1")
        if first != again:
            raise Broken(f"it said {first.text[:150]!r}, then {again.text[:150]!r}")
        other = await sandbox.execute(f"{subject.name}:no_such_tool", {}, call_id="law-1")
        if other.code != "conflict":
            raise Broken(f"another call with its call_id is answered {other.code}")


@law("a call that times out is stopped, leaves nothing behind, and the next one works")
async def timeouts_stop_the_work(subject: Subject) -> None:
    slow = needs(subject.slow, "slow")
    async with opened(subject) as sandbox:
        await session(sandbox, subject)
        await succeeded(sandbox, subject, subject.calls)
        async with nothing_left():
            started = perf_counter()
            result = await called(sandbox, subject, slow, timeout_s=0.2)
            took = perf_counter() - started
            if result.code != "timeout":
                raise Broken(f"the slow call is answered {result.code} after {took:.1f} s")
            if took > _PROMPT_S:
                raise Broken(f"the answer came after {took:.1f} s")
        await succeeded(sandbox, subject, subject.calls)


@law("a call that is cancelled is stopped, leaves nothing behind, and the next one works")
async def cancelled_calls_stop_the_work(subject: Subject) -> None:
    slow = needs(subject.slow, "slow")
    async with opened(subject) as sandbox:
        await session(sandbox, subject)
        await succeeded(sandbox, subject, subject.calls)
        async with nothing_left():
            started = perf_counter()
            with anyio.move_on_after(0.2) as scope:
                await called(sandbox, subject, slow)
            took = perf_counter() - started
            if not scope.cancelled_caught:
                raise Broken("the slow call ended by itself, or swallowed its cancellation")
            if took > _PROMPT_S:
                raise Broken(f"it took {took:.1f} s to be cancelled")
        await succeeded(sandbox, subject, subject.calls)


@law("too many calls are answered overloaded, fast, and with when to come again")
async def overload_answers_fast(subject: Subject) -> None:
    slow = needs(subject.slow, "slow")
    async with opened(subject, max_concurrency=1, queue_length=0) as sandbox:
        first, second = sandbox.worker("law-1"), sandbox.worker("law-2")
        for worker in (first, second):
            await session(worker, subject)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(called, first, subject, slow)
            while not (await sandbox.status())["backends"][subject.name]["running"]:
                await anyio.lowlevel.checkpoint()
            started = perf_counter()
            result = await called(second, subject, slow)
            took = perf_counter() - started
            tasks.cancel_scope.cancel()
        if result.code != "overloaded" or not result.retry_after_s:
            raise Broken(f"it is answered {result.code}, retry_after_s {result.retry_after_s}")
        if took > _OVERLOAD_S:
            raise Broken(f"the answer took {took * 1000:.0f} ms")


@law("a session that is closed while a call runs stops the call")
async def closing_stops_the_work(subject: Subject) -> None:
    needs_sessions(subject)
    slow = needs(subject.slow, "slow")
    answers: list[ToolResult] = []
    async with opened(subject) as sandbox, nothing_left():
        opened_id = await session(sandbox, subject)

        async def call() -> None:
            answers.append(await called(sandbox, subject, slow, session=opened_id))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not (await sandbox.status())["backends"][subject.name]["running"]:
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(0.1)  # the work is under way, not only admitted
            started = perf_counter()
            await sandbox.close_session(opened_id)
            took = perf_counter() - started
        if answers[0].ok or took > _PROMPT_S:
            raise Broken(f"the call is answered {answers[0].code}; closing took {took:.1f} s")
        try:
            await sandbox.renew(opened_id)
        except SandboxError:
            return
        raise Broken("a closed session can be renewed")
