"""What the core's tests share: the command line, run in this process, and a Docker engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from attrs import frozen

from agentflow_core.cli import main
from agentflow_core.testing.docker_engine import docker_engine, machine_image
from agentflow_core.testing.plugins import loaded_files_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
