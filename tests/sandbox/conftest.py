"""What the tests of the sandbox share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core.blobs import BlobStore
from agentflow_core.sandbox import Catalog, LimitsConfig, SandboxEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine(tmp_path: Path, clock: FakeClock) -> Callable[..., Any]:
    """Open an engine on backends and tools: ``engine(counter=CounterBackend, limits={"max_sessions": 1})``."""

    @asynccontextmanager
    async def open_engine(
        *tools: Any, limits: dict[str, Any] | None = None, observe: Any = None, **backends: Any
    ) -> AsyncIterator[SandboxEngine]:
        catalog = Catalog.of(*tools, **backends)
        bounds = LimitsConfig(**(limits or {}))
        options = {"observe": observe} if observe is not None else {}
        async with SandboxEngine(
            catalog,
            state_dir=tmp_path / "state",
            blobs=BlobStore(tmp_path / "blobs"),
            limits=dict.fromkeys((*catalog.backends, *catalog.api_groups), bounds),
            clock=clock,
            **options,
        ) as opened:
            yield opened

    return open_engine
