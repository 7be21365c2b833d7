"""What the core's tests share: the command line, a Docker engine, and a place where calls meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.abc
import pytest
from attrs import define, field, frozen

from agentflow_core.cli import main
from agentflow_core.testing.docker_engine import docker_engine, machine_image
from agentflow_core.testing.plugins import loaded_files_forgotten

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@frozen(kw_only=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """Run ``agentflow`` with the arguments, in this process: ``cli("plugins", "list")``."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code=code, out=captured.out, err=captured.err)

    with loaded_files_forgotten():
        yield run


@frozen(kw_only=True)
class DockerEngine:
    """An engine that answers at ``DOCKER_HOST``, by its client, and an image that it has."""

    client: Any
    image: str


@pytest.fixture(scope="session", name="docker_engine")
def docker_engine_with_image(missing: Callable[[str], NoReturn]) -> Iterator[DockerEngine]:
    """The engine that runs already, or one of our own, with an image that is made of programs of this machine."""
    with docker_engine(missing) as client, machine_image(client, "agentflow-test", programs=_PROGRAMS) as image:
        yield DockerEngine(client=client, image=image)


_PROGRAMS = (
    *("bash", "sh", "cat", "dirname", "env", "grep", "head", "hostname", "id", "ln", "ls", "mkdir", "mkfifo", "rm"),
    *("setsid", "sleep", "stat", "tail", "tr", "truncate", "wc", "yes"),
)


@define
class Meeting:
    """Where a call in another process tells that it runs, and waits to be let go."""

    port: int
    _arrivals: Any
    _streams: list[Any] = field(factory=list)

    async def wait_for(self, count: int) -> None:
        """Wait until so many calls run that had not been waited for."""
        with anyio.fail_after(30):
            for _ in range(count):
                self._streams.append(await self._arrivals.receive())

    async def let_go(self) -> None:
        """Let them end."""
        for stream in self._streams:
            await stream.send(b"met")
        self._streams.clear()


@pytest.fixture
async def meeting() -> AsyncIterator[Meeting]:
    """Where calls meet; tools of tests that are given its ``port`` connect to it, and end when it answers."""
    send, receive = anyio.create_memory_object_stream[Any](1000)

    async def arrived(stream: Any) -> None:
        async with stream:
            await send.send(stream)
            while True:
                try:
                    await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with send, receive, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, arrived)
        yield Meeting(port=listener.extra(anyio.abc.SocketAttribute.local_port), arrivals=receive)
        tasks.cancel_scope.cancel()
