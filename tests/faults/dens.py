"""Backends that tests of faults load into servers: sessions that take much of the machine, and some that end badly."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import anyio
from attrs import frozen

from agentflow_core import Backend, BackendSpec, Session, hookimpl, register_api_tool, tool
from agentflow_core.sandbox import Range
from agentflow_core.sandbox.launchers import Confined, LaunchSpec

#: Leaves two children in sessions of their own that are deaf to gentle signals, is deaf itself, and repeats its input.
BROOD = """
trap '' TERM HUP INT
for child in 1 2; do
  setsid bash -c 'trap "" TERM HUP INT; echo up; while :; do sleep 1000; done' &
done
exec cat
"""


@frozen
class Den:
    """The state of a session."""

    folder: Path
    stack: AsyncExitStack
    confined: Confined | None = None


class Dens(Backend):
    """A workspace and a confined tree of processes a session."""

    async def initialize(self, session: Session) -> Den:
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.context.workspace(session.id))
            spec = LaunchSpec(
                argv=("/bin/bash", "-c", BROOD),
                env={"DEN": os.environ["DENS"]},
                workspace=folder,
                label=os.environ["DENS"],
            )
            confined = await stack.enter_async_context(await self.context.launch(spec))
            told = b""
            while told.count(b"up\n") < 2:
                told += await confined.stdout.receive()
            (folder / "note").write_text("mine")
            return Den(folder, stack.pop_all(), confined)

    async def cleanup(self, state: Den) -> None:
        await state.stack.aclose()

    @tool
    async def echo(self, state: Den, text: str = "hi") -> str:
        """Let the process say it.

        Args:
            text: what.
        """
        assert state.confined is not None
        await state.confined.stdin.send(text.encode() + b"\n")
        return (await state.confined.stdout.receive()).decode().strip()


class Huts(Backend):
    """A workspace a session, with a file that counts; no process."""

    async def initialize(self, session: Session) -> Den:
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self.context.workspace(session.id))
            await anyio.sleep(float(session.settings.get("slow_s", 0)))
            return Den(folder, stack.pop_all())

    async def cleanup(self, state: Den) -> None:
        await state.stack.aclose()

    @tool
    async def count(self, state: Den, port: Annotated[int, Range(0, 65535)] = 0) -> int:
        """Count one more in the file; say so to a listener and wait for its word, if there is one.

        Args:
            port: where the listener is; 0: there is none.
        """
        file = state.folder / "count"
        number = int(file.read_text()) + 1 if file.exists() else 1
        file.write_text(str(number))
        if port:
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.receive()
        return number

    @tool
    async def counted(self, state: Den) -> int:
        """Read the file."""
        return int((state.folder / "count").read_text())


class Warming(Huts):
    """The same, but that the backend takes a while to start."""

    async def warmup(self) -> None:
        await anyio.sleep(float(os.environ.get("WARMUP_S", "0.3")))


class Clumsy(Backend):
    """Ends as the session's settings say, and writes down which sessions it was asked to clean up."""

    async def initialize(self, session: Session) -> str:
        return str(session.settings.get("ending", "well"))

    async def cleanup(self, state: str) -> None:
        with Path(os.environ["CLEANED"]).open("a") as file:  # noqa: ASYNC230 - a few bytes
            file.write(f"{state}\n")
        if state == "raise":
            raise RuntimeError("the cleanup fails")
        if state == "exit":
            raise SystemExit(3)
        if state == "hang":
            await anyio.sleep_forever()
        if state == "deaf":
            with anyio.CancelScope(shield=True):
                await anyio.sleep_forever()
        if state == "block":
            import time

            time.sleep(1000)  # noqa: ASYNC251 - what a careless plugin does

    @tool
    async def look(self, state: str) -> str:
        """Look."""
        return state


@register_api_tool(name="probe:echo", read_only=True)
async def echo(text: str = "hi") -> str:
    """Answer the text.

    Args:
        text: anything.
    """
    return text


@register_api_tool(name="probe:label")
async def label(text: Annotated[str, Range(0, 20_000_000)], times: int = 1) -> int:
    """Measure a text.

    Args:
        text: anything.
        times: how often.
    """
    return len(text) * times


@register_api_tool(name="probe:big", read_only=True)
async def big(size: Annotated[int, Range(1, 100_000_000)]) -> str:
    """Print much.

    Args:
        size: how many bytes.
    """
    return "x" * size


@register_api_tool(name="probe:meet")
async def meet(port: Annotated[int, Range(1, 65535)]) -> str:
    """Tell a listener that the call runs, and wait for its word.

    Args:
        port: where the listener is.
    """
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        return (await stream.receive()).decode()


@hookimpl
def agentflow_backends() -> list[BackendSpec]:
    """The backends."""
    return [
        BackendSpec(name=name, target=f"{__name__}:{made.__qualname__}", summary=(made.__doc__ or "").strip())
        for name, made in {"den": Dens, "hut": Huts, "warming": Warming, "clumsy": Clumsy}.items()
    ]
