"""Count the requests under way, and let no more in once the server stops."""

from __future__ import annotations

import anyio

from agentflow_core.records import ToolResult
from agentflow_core.sandbox.server.replies import Rejected

__all__ = ["Gate"]


class Gate:
    """Open until the server drains. Who enters, leaves."""

    def __init__(self) -> None:
        self.inside = 0
        self.is_ready = False
        self.draining = anyio.Event()
        self._empty = anyio.Event()

    @property
    def is_open(self) -> bool:
        """Is work admitted?"""
        return not self.draining.is_set()

    def enter(self) -> None:
        """Count a request in. Raises `Rejected` once the server drains."""
        if self.draining.is_set():
            failure = ToolResult.failure("not_ready", "the server is about to stop", hint="use another server")
            raise Rejected(failure, headers=((b"retry-after", b"1"), (b"connection", b"close")))
        self.inside += 1

    def leave(self) -> None:
        """Count it out."""
        self.inside -= 1
        if not self.inside:
            self._empty.set()

    def drain(self) -> None:
        """Let nothing more in. A drain that has begun goes on."""
        self.draining.set()

    async def wait_empty(self) -> None:
        """Wait until nothing is under way."""
        while self.inside:
            self._empty = anyio.Event()
            await self._empty.wait()
