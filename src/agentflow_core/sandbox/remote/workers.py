"""The workers of one client: what servers call them, where they are, and the sessions that they hold there."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from agentflow_core.sandbox.remote.ledger import Held, Ledger
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import gone, no_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.sandbox.remote.fleet import Fleet, Server

__all__ = ["Workers"]

_LONGEST_LABEL = 200


class Workers:
    """What a client remembers of its workers.

    Args:
        fleet: the servers, on which each worker has its place.
        label: under which the servers know this client's workers, fit for a path.
        own: the worker that the label alone names.
    """

    def __init__(self, fleet: Fleet, *, label: str, own: str) -> None:
        self.ledger = Ledger()
        self._fleet = fleet
        self._label = label
        self._own = own
        self._with_sessions: set[str] = set()

    def wire_name(self, worker_id: str) -> str:
        """What the servers call a worker: kept apart from those of other clients, and fit for a path."""
        name = self._label if worker_id == self._own else f"{self._label}.{quote(worker_id, safe='#')}"
        return name if len(name) <= _LONGEST_LABEL else f"{name[:100]}.{sha256(name.encode()).hexdigest()[:32]}"

    @property
    def with_sessions(self) -> Sequence[str]:
        """Those that may have sessions."""
        return sorted(self._with_sessions)

    def expect_sessions(self, worker_id: str) -> None:
        """From now on the worker may have some."""
        self._with_sessions.add(worker_id)

    def home(self, worker_id: str) -> Server | None:
        """The server on which the worker may have sessions, if it may have any."""
        return self._fleet.placed(worker_id) if worker_id in self._with_sessions else None

    def living_on(self, server: Server) -> Sequence[str]:
        """Those that may have sessions on the server, by their names there."""
        return sorted(self.wire_name(worker_id) for worker_id in server.workers & self._with_sessions)

    def forget(self, worker_id: str) -> None:
        """The worker has no sessions any more, and no place."""
        self._with_sessions.discard(worker_id)
        self.ledger.forget_worker(worker_id)
        self._fleet.forget(worker_id)

    def give_up(self, server: Server) -> bool:
        """Go on without a server that does not answer, if there is another one."""
        if not self._fleet.put_down(server):
            return False
        self.ledger.lose(server)
        return True

    def find(self, worker_id: str, session_id: str) -> Held:
        """The worker's open session. Raises `Refusal` with what became of it, or that there was none."""
        held = self.ledger.find(worker_id, session_id)
        if held is not None:
            return held
        reason = self.ledger.end_of(worker_id, session_id)
        raise Refusal(no_session(session_id, worker_id) if reason is None else gone(session_id, reason))
