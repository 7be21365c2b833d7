"""Open, fork and close the sessions of one tree; whatever happens, none is left open at the end."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
from attrs import frozen

from agentflow_core.errors import SandboxError
from agentflow_core.interfaces import SandboxWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from agentflow_core.interfaces import SandboxClient
    from agentflow_core.synthesis.rooms import SessionPool, Share

__all__ = ["Held", "TreeSessions"]

#: What is said of a session that is gone.
_GONE = ("not_found", "session_expired", "session_lost")


@frozen(kw_only=True)
class Held:
    """A session that a branch holds."""

    backend: str
    id: str
    worker: SandboxWorker  #: whose it is; forks are of their parent's worker


class TreeSessions:
    """The sessions of one tree, within its share of the pool.

    Args:
        sandbox: where they are opened.
        pool: what the tree reserves its share from, before it opens the first one.
        backends: those that it may open sessions of.
        settings: what the seed's sessions are initialized with, by backend.
    """

    def __init__(
        self, *, sandbox: SandboxClient, pool: SessionPool, backends: Sequence[str], settings: Mapping[str, Any]
    ) -> None:
        self._sandbox = sandbox
        self._pool = pool
        self._backends = tuple(backends)
        self._settings = settings
        self._shares: Mapping[str, Share] = {}
        self._workers: dict[str, SandboxWorker] = {}
        self._sessions: dict[str, int] = {}  # how many a worker has

    async def reserve(self) -> None:
        """Wait for the tree's share, unless it has it."""
        if not self._shares:
            self._shares = await self._pool.reserve(self._backends)

    def release(self) -> None:
        """Give the share back, if no session is open."""
        if not any(self._sessions.values()):
            self._end_shares()

    def room(self, backend: str) -> int:
        """How many sessions of the backend are the tree's own."""
        return self._shares[backend].size

    async def open(self, backend: str, label: str) -> Held:
        """A fresh session; ``label`` is the worker's, and is used once for each backend."""
        worker = self._workers.get(label)
        if worker is None:
            worker = self._workers[label] = self._sandbox.worker(label)
        async with self._taken(backend, worker):
            opened = await worker.create_session({backend: self._settings.get(backend)})
        return Held(backend=backend, id=opened[backend].id, worker=worker)

    async def fork(self, held: Held) -> Held:
        """A copy of a session."""
        async with self._taken(held.backend, held.worker):
            copy = await held.worker.fork(held.id)
        return Held(backend=held.backend, id=copy.id, worker=held.worker)

    async def is_there(self, held: Held) -> bool:
        """Whether the session is still there; its idle time starts anew. One that is gone is given back."""
        try:
            await held.worker.renew(held.id)
        except SandboxError as error:
            if error.code not in _GONE:
                raise
            await self.close(held)
            return False
        return True

    async def close(self, held: Held) -> None:
        """Close a session, and its worker with the last one of it."""
        worker = held.worker
        with anyio.CancelScope(shield=True):
            try:
                self._sessions[worker.worker_id] -= 1
                if self._sessions[worker.worker_id]:
                    await worker.close_session(held.id)
                else:
                    await worker.aclose()
                    self._workers.pop(worker.worker_id, None)
            finally:
                self._shares[held.backend].give()

    async def aclose(self) -> None:
        """Close all that is open, whatever becomes of one of them. Raises what the first of them raised."""
        errors: list[SandboxError] = []

        async def close(worker: SandboxWorker) -> None:
            try:
                await worker.aclose()
            except SandboxError as error:
                errors.append(error)

        try:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    for worker in self._workers.values():
                        tasks.start_soon(close, worker)
        finally:
            self._workers.clear()
            self._sessions.clear()
            self._end_shares()
        if errors:
            raise errors[0]

    def _end_shares(self) -> None:
        shares, self._shares = self._shares, {}
        for share in shares.values():
            share.end()

    @asynccontextmanager
    async def _taken(self, backend: str, worker: SandboxWorker) -> AsyncIterator[None]:
        """Take room for a session that is about to be opened, and give it back if that fails."""
        share, name = self._shares[backend], worker.worker_id
        await share.take()
        self._sessions[name] = self._sessions.get(name, 0) + 1
        try:
            yield
        except BaseException:
            self._sessions[name] -= 1
            share.give()
            raise
