"""The servers of a client: which worker is on which one, and which of them are down."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentflow_core.errors import UsageError
from agentflow_core.sandbox.remote.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentflow_core.sandbox.remote.transport import Transport

__all__ = ["Fleet", "Server"]

_log = logging.getLogger("agentflow_core.sandbox")


class Server:
    """One server, as the client sees it."""

    def __init__(self, transport: Transport, order: int) -> None:
        self.transport = transport
        self.routes = Routes(transport)
        self.url = transport.url
        self.order = order
        self.is_down = False
        self.others = 0  # sessions that it had when this client came
        self.workers: set[str] = set()
        self.seen_at = 0.0  # when it last gave a sign of life

    @property
    def load(self) -> tuple[int, int]:
        """What decides where the next worker goes: the least."""
        return self.others + len(self.workers) + self.transport.load, self.order


class Fleet:
    """Servers that offer the same. A worker stays where it is, with its sessions, until that server goes down.

    Args:
        transports: one a server.
        first: the one that is taken first where all have the same to do; clients differ in it.
    """

    def __init__(self, transports: Sequence[Transport], *, first: int = 0) -> None:
        count = len(transports)
        self._servers = tuple(Server(one, (index - first) % count) for index, one in enumerate(transports))
        if len({server.url for server in self._servers}) < count:
            raise UsageError("a URL is given twice", hint="name each sandbox server once")
        self._places: dict[str, Server] = {}

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers)

    def __len__(self) -> int:
        return len(self._servers)

    def up(self) -> list[Server]:
        """Those that are not down, the one with the least to do first."""
        return sorted((server for server in self._servers if not server.is_down), key=lambda server: server.load)

    def place(self, worker_id: str) -> Server:
        """The worker's server; a new worker gets the one with the least to do."""
        server = self._places.get(worker_id)
        if server is None:
            server = self._places[worker_id] = self.up()[0]
            server.workers.add(worker_id)
        return server

    def placed(self, worker_id: str) -> Server | None:
        """The worker's server, if it has one."""
        return self._places.get(worker_id)

    def forget(self, worker_id: str) -> None:
        """The worker has no sessions any more."""
        server = self._places.pop(worker_id, None)
        if server is not None:
            server.workers.discard(worker_id)

    def put_down(self, server: Server) -> bool:
        """Give a server up, and its workers their freedom; False, and nothing done, if there is no other one."""
        if not any(other is not server for other in self.up()):
            return False
        if not server.is_down:
            server.is_down = True
            _log.warning("%s does not answer; its sessions are lost, and new ones open elsewhere", server.url)
        for worker_id in tuple(server.workers):
            self.forget(worker_id)
        return True

    def bring_up(self, server: Server) -> None:
        """It answers again: new workers may go there."""
        if server.is_down:
            server.is_down = False
            server.others = 0
            _log.warning("%s answers again", server.url)
