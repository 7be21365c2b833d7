"""Which sessions a client holds on which server, so that one that is gone with its server is never mistaken for another."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from agentflow_core.sandbox.remote.fleet import Server

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["GONE", "Held", "Ledger", "Reason"]

Reason = Literal["closed", "expired", "lost"]
#: What became of a session that is held here, by the code with which its server says so: one that it does not know
#: was lost when the server began anew.
GONE: dict[str, Reason] = {"not_found": "lost", "session_expired": "expired", "session_lost": "lost"}
_REMEMBERED = 1000


@frozen(kw_only=True, eq=False)
class Held:
    """A session that is open as far as the client knows."""

    id: str
    backend: str
    worker_id: str
    server: Server = field(repr=False)
    settings: Mapping[str, Any] = field(factory=dict)


class Ledger:
    """Open sessions by worker, in order of opening; and what became of the last 1,000 that ended."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Held]] = {}
        self._ended: OrderedDict[tuple[str, str], Reason] = OrderedDict()
        self._untold: OrderedDict[tuple[str, str], Held] = OrderedDict()

    def add(self, held: Held) -> None:
        """Take a session that was opened."""
        self._held.setdefault(held.worker_id, {})[held.id] = held

    def find(self, worker_id: str, session_id: str) -> Held | None:
        """The worker's session, if it is open."""
        return self._held.get(worker_id, {}).get(session_id)

    def default(self, worker_id: str, backend: str) -> Held | None:
        """The worker's oldest session of the backend."""
        return next((held for held in self.of_worker(worker_id) if held.backend == backend), None)

    def of_worker(self, worker_id: str) -> Iterable[Held]:
        """The worker's sessions, in order of opening."""
        return tuple(self._held.get(worker_id, {}).values())

    def end(self, held: Held, reason: Reason) -> None:
        """A session is over."""
        mine = self._held.get(held.worker_id, {})
        if mine.get(held.id) is held:
            del mine[held.id]
            if not mine:
                del self._held[held.worker_id]
            _remember(self._ended, (held.worker_id, held.id), reason)

    def end_of(self, worker_id: str, session_id: str) -> Reason | None:
        """What became of the worker's session, if it is over."""
        return self._ended.get((worker_id, session_id))

    def lose(self, server: Server) -> None:
        """All sessions of the server are gone with their state, and their workers are yet to be told."""
        for held in [held for mine in self._held.values() for held in mine.values() if held.server is server]:
            self.end(held, "lost")
            _remember(self._untold, (held.worker_id, held.backend), held)

    def tell(self, worker_id: str, backend: str) -> Held | None:
        """The worker's session of the backend that was lost, the first time that it is asked for."""
        return self._untold.pop((worker_id, backend), None)

    def forget_worker(self, worker_id: str) -> None:
        """The worker closed all of its sessions, and there is nothing left to tell it."""
        for held in self.of_worker(worker_id):
            self.end(held, "closed")
        for key in [key for key in self._untold if key[0] == worker_id]:
            del self._untold[key]


def _remember(store: OrderedDict[tuple[str, str], Any], key: tuple[str, str], value: object) -> None:
    store[key] = value
    store.move_to_end(key)
    if len(store) > _REMEMBERED:
        store.popitem(last=False)
