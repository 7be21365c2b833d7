"""What the tests of runs share."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core.runs.directory import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONFIG = {"sampling": {"max_depth": 4}, "selection": {"selector": "coverage"}}
STAGES = {"sample": {"sampling": {"max_depth": 4}}, "select": {"selection": {"selector": "coverage"}}}


@pytest.fixture
def open_run(tmp_path: Path) -> Callable[..., Run]:
    """Open a run in the test's directory."""

    def opened(name: str = "run", **options: Any) -> Run:
        return Run.open(tmp_path / name, **{"kind": "synthesis", "config": CONFIG, "stages": STAGES, **options})

    return opened


@pytest.fixture
def full_after() -> Callable[[int], object]:
    """A limit on the size of any file, in bytes: what is written beyond it is refused by the system."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
