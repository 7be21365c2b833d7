"""Signs of life in both directions: sessions are kept while their client lives, calls are given up when a server died."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.remote.transport import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentflow_core.sandbox.remote.fleet import Fleet, Server

__all__ = ["Heartbeat"]

_log = logging.getLogger("agentflow_core.sandbox")


class Heartbeat:
    """One heartbeat a client, for all of its workers.

    Args:
        fleet: the servers; one that was down and answers is brought up again.
        workers_on: the workers that have sessions on a server.
        every_s: between two beats.
        lost_s: without an answer, after how long the calls under way on a server are given up.
    """

    def __init__(
        self, fleet: Fleet, workers_on: Callable[[Server], Sequence[str]], *, every_s: float, lost_s: float
    ) -> None:
        self._fleet = fleet
        self._workers_on = workers_on
        self.every_s = every_s
        self._lost_s = lost_s

    async def run(self) -> None:
        """Beat until cancelled."""
        for server in self._fleet:
            server.seen_at = anyio.current_time()
        while True:
            await anyio.sleep(self.every_s)
            async with anyio.create_task_group() as tasks:
                for server in self._fleet:
                    tasks.start_soon(self.beat, server)

    async def beat(self, server: Server) -> None:
        """One sign of life to a server, and what follows from its answer."""
        workers = self._workers_on(server)
        try:
            with anyio.fail_after(self.every_s):
                if workers and not server.is_down:
                    await server.routes.heartbeat(workers)
                elif not await server.routes.is_up():
                    return
        except (Unreachable, TimeoutError) as error:
            if anyio.current_time() - server.seen_at >= self._lost_s:
                server.transport.hang_up()
            _log.debug("no heartbeat to %s: %s", server.url, error)
        except SandboxError as error:
            _log.warning("%s refuses a heartbeat: %s", server.url, error)
        else:
            server.seen_at = anyio.current_time()
            self._fleet.bring_up(server)
