"""Backends for benchmarks whose sessions take 20 ms to open, to fork and to call; one of them forks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import anyio

from agentflow_core import Backend, BackendSpec, hookimpl, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.sandbox import Session

STEP_S = 0.02


class Slow(Backend):
    """Lines, some a session."""

    async def initialize(self, session: Session) -> list[str]:
        """No lines yet."""
        await anyio.sleep(STEP_S)
        return []

    @tool
    async def write(self, state: list[str], text: str) -> str:
        """Write a line.

        Args:
            text: the line.
        """
        await anyio.sleep(STEP_S)
        state.append(text)
        told = hashlib.sha256("".join(state).encode()).hexdigest()
        return " ".join(hashlib.sha256(f"{told}{n}".encode()).hexdigest()[:8] for n in range(40))


class Forking(Slow):
    """The same, with forks."""

    async def fork(self, state: list[str], session: Session) -> list[str]:
        """The same lines."""
        await anyio.sleep(STEP_S)
        return list(state)


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """Both of them."""
    yield BackendSpec("slow", target=f"{__name__}:Slow", summary="lines, some a session")
    yield BackendSpec("forking", target=f"{__name__}:Forking", summary="lines, some a session, that fork")
