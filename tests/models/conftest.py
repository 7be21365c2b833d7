"""What the tests of the models share."""

from __future__ import annotations

import anyio
import pytest


class FakeClock:
    """A clock that stands still until somebody sleeps; ``slept`` is how long each sleep was."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
