"""What laws are made of: a sandbox with the subject's backend, its calls, and a look at what is left behind."""

from __future__ import annotations

import gc
import logging
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentflow_core.sandbox import (
    Catalog,
    LimitsConfig,
    Sandbox,
    SandboxConfig,
)
from agentflow_core.testing.resources import Held, held
from agentflow_core.testing.subjects import Broken, Call, Canary, Missing, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from agentflow_core.records import ToolResult
    from agentflow_core.sandbox.worker import WorkerView

#: How soon something that was stopped must have come back, and must have left nothing, in seconds.
PROMPT_S = 10.0
SETTLE_S = 10.0


@asynccontextmanager
async def opened(subject: Subject, **limits: Any) -> AsyncIterator[Sandbox]:
    """A sandbox with the subject's backend; what its cleanup logs as failed breaks the law."""
    with tempfile.TemporaryDirectory(prefix="agentflow-laws-") as folder, failures_raised():
        bounds: dict[str, Any] = {"max_sessions": subject.parallel + 4, "timeout_s": subject.timeout_s, **limits}
        config = SandboxConfig(
            limits={subject.name: LimitsConfig(**bounds)}, launcher=subject.launcher, state_dir=Path(folder)
        )
        async with Sandbox(catalog=Catalog.of(**{subject.name: subject.backend}), config=config) as sandbox:
            yield sandbox


@contextmanager
def failures_raised() -> Iterator[None]:
    """Raise what the engine only logs: a cleanup or shutdown that fails or does not end.

    What is logged below that name is of the machine, such as limits that it cannot hold.
    """
    seen: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING and record.name == log.name:
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


async def succeeded(worker: WorkerView, subject: Subject, calls: Sequence[Call], **options: Any) -> list[ToolResult]:
    """Make the calls in order; each must succeed."""
    results = []
    for call in calls:
        result = await called(worker, subject, call, **options)
        if not result.ok:
            raise Broken(f"the call {call[0]} {dict(call[1])} failed: {result.text[:300]}")
        results.append(result)
    return results


async def session(worker: WorkerView, subject: Subject) -> str:
    """Open a session with the subject's settings."""
    infos = await worker.create_session({subject.name: subject.settings or None})
    return infos[subject.name].id


async def seen(worker: WorkerView, subject: Subject, canary: Canary, **options: Any) -> str:
    """What the look of a canary shows."""
    return "\n".join(result.text for result in await succeeded(worker, subject, canary.look, **options))


def sharing_of(subject: Subject) -> str:
    """The backend's sharing."""
    return Catalog.of(**{subject.name: subject.backend}).backend(subject.name).sharing


def needs_sessions(subject: Subject) -> None:
    """Skip a law on sessions where there are none."""
    if sharing_of(subject) == "shared":
        raise Missing("the backend is shared: its sessions mean nothing")


def needs(value: Any, name: str) -> Any:
    """The value that the subject says, or skip."""
    if not value:
        raise Missing(f"the subject says no {name}")
    return value


async def settled(before: Held) -> str:
    """What is held beyond ``before`` once things had a moment to end; nothing is best."""
    beyond = ""
    with anyio.move_on_after(SETTLE_S):
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
