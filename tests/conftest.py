"""What the core's tests share: the command line, run in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from agentflow_core.cli import main
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
