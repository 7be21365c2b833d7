"""What every test of the workspace shares: the event loop, and data that stands beside the repository."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parent

#: Where all is required a change is judged by the same examples each time; anywhere else new ones are tried.
_IS_REQUIRED = os.environ.get("AGENTFLOW_REQUIRE") == "all"

# how long an example takes says how busy the machine is
settings.register_profile("agentflow", deadline=None, derandomize=_IS_REQUIRED)
settings.load_profile("agentflow")


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that async tests run on."""
    return "asyncio"


def _missing(what: str) -> NoReturn:
    """Skip the test, naming what it lacks; with ``AGENTFLOW_REQUIRE=all`` that is a failure."""
    if _IS_REQUIRED:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Skip, naming what is lacking; with ``AGENTFLOW_REQUIRE=all`` that is a failure."""
    return _missing


@pytest.fixture(scope="session")
def needed() -> Callable[[str], ModuleType]:
    """Import an optional module: ``needed("whoosh")``; without it the test is skipped, or fails where all is required."""

    def load(name: str) -> ModuleType:
        try:
            return import_module(name)
        except ImportError:
            _missing(f"no module {name!r}: pip install it, or the extra that brings it")

    return load


@pytest.fixture(scope="session")
def hotpotqa() -> Path:
    """The folder with the HotpotQA sample."""
    folder = Path(os.environ.get("AGENTFLOW_DATA") or ROOT.parent / "shared" / "data")
    if not (folder / "hotpotqa-corpus.jsonl").is_file():
        _missing(f"no hotpotqa-corpus.jsonl in {folder}: set AGENTFLOW_DATA (see examples/hotpotqa/README.md)")
    return folder
