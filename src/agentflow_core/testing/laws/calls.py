"""Laws on what tools tell, accept and answer."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from agentflow_core.names import WIRE, wire_name
from agentflow_core.records import ToolResult
from agentflow_core.records.codec import dumps, loads
from agentflow_core.records.results import SHOWN_LIMIT_BYTES
from agentflow_core.testing.laws.trials import (
    called,
    needs,
    needs_sessions,
    opened,
    seen,
    session,
    succeeded,
)
from agentflow_core.testing.subjects import Broken, Canary, Missing, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agentflow_core.sandbox.worker import WorkerView


async def tools_tell_what_they_take(subject: Subject) -> None:
    """Tools tell a model what they take."""
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


async def wrong_arguments_name_the_field(subject: Subject) -> None:
    """Wrong arguments are answered with the name of the field, and hostile ones never with internal."""
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


async def results_are_clean(subject: Subject) -> None:
    """Results are JSON in the envelope, with their usage, and nothing is printed."""
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


async def long_texts_are_artifacts(subject: Subject) -> None:
    """A long text is cut for the model, and whole as an artifact."""
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


async def a_call_id_is_answered_once(subject: Subject) -> None:
    """A call that is repeated with its call_id is answered as before, and another call with it is refused."""
    call = needs(tuple(subject.calls), "calls")[0]
    async with opened(subject) as sandbox:
        first = await called(sandbox, subject, call, call_id="law-1")
        again = await called(sandbox, subject, call, call_id="law-1")
        if first != again:
            raise Broken(f"it said {first.text[:150]!r}, then {again.text[:150]!r}")
        other = await sandbox.execute(f"{subject.name}:no_such_tool", {}, call_id="law-1")
        if other.code != "conflict":
            raise Broken(f"another call with its call_id is answered {other.code}")


async def a_retried_call_has_one_effect(subject: Subject) -> None:
    """A call that is repeated with its call_id, later or while it runs, has its effect once."""
    needs_sessions(subject)
    needs(subject.canaries, "canaries")
    async with opened(subject) as sandbox:

        async def planted(worker: WorkerView, canary: Canary, *ids: Sequence[str]) -> int:
            """How often the look shows what was planted under these ids: one after the other, in each at once."""
            await session(worker, subject)
            for at_once in ids:
                async with anyio.create_task_group() as tasks:
                    for name in at_once:
                        tasks.start_soon(plant, worker, canary, name)
            count = (await seen(worker, subject, canary)).count("canary-once")
            await worker.aclose()
            return count

        async def plant(worker: WorkerView, canary: Canary, name: str) -> None:
            for number, call in enumerate(canary.plant("canary-once")):
                await called(worker, subject, call, call_id=f"{name}-{number}")

        tried = []
        for kind, canary in subject.canaries.items():
            if await planted(sandbox.worker(f"law-{kind}-twice"), canary, ["one"], ["two"]) != 2:
                continue  # it shows no difference between once and twice
            tried.append(kind)
            count = await planted(sandbox.worker(f"law-{kind}"), canary, ["one", "one"], ["one"])
            if count != 1:
                raise Broken(f"{kind}: planted once and retried twice, it is there {count} times")
        if not tried:
            raise Missing("no canary shows twice what was planted twice")
