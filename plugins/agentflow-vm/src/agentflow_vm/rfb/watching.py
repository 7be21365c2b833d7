"""Wait for the screen, or a part of it, to change or to come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio import current_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_vm.rfb.errors import DisplayError
    from agentflow_vm.rfb.framebuffer import Box

__all__ = ["Watch"]


class Watch:
    """What has happened to a part of the screen since it was begun; made by `Display.watch`."""

    def __init__(self, box: Box | None) -> None:
        self.box = box
        self.changes = 0  #: updates that drew into it
        self.last = current_time()  #: when it last changed; at first, when it was begun
        self._failure: DisplayError | None = None
        self._happened = anyio.Event()

    def saw(self, drawn: Sequence[Box]) -> None:
        """An update has come."""
        if not drawn or (self.box is not None and not any(self.box.meets(box) for box in drawn)):
            return
        self.changes += 1
        self.last = current_time()
        self._wake()

    def fail(self, failure: DisplayError) -> None:
        """The display is gone: whoever waits gets this."""
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        self._happened.set()
        self._happened = anyio.Event()

    async def change(self) -> None:
        """Wait until it has changed since it was begun; raises `DisplayError`."""
        while not self.changes:
            await self._next()

    async def stable(self, quiet_s: float, *, least_s: float = 0.0) -> None:
        """Wait until nothing has changed for so long, ``least_s`` from now at least; raises `DisplayError`."""
        until = current_time() + least_s
        while (left := max(self.last + quiet_s, until) - current_time()) > 0:
            with anyio.move_on_after(left):
                await self._next()
        if self._failure is not None:
            raise self._failure

    async def _next(self) -> None:
        if self._failure is not None:
            raise self._failure
        await self._happened.wait()
        if self._failure is not None:
            raise self._failure
