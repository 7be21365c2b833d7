"""Open, copy, keep and close sessions on servers, and read and write the files in them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.files import check_path, check_span, no_files
from agentflow_core.sandbox.remote.ledger import GONE, Held
from agentflow_core.sandbox.remote.transport import Unreachable
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import cannot_fork, gone, no_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.remote.fleet import Fleet, Server
    from agentflow_core.sandbox.remote.routes import Routes
    from agentflow_core.sandbox.remote.workers import Workers

__all__ = ["Sessions"]

T = TypeVar("T")
_log = logging.getLogger("agentflow_core.sandbox")


class Sessions:
    """Sessions of the workers of one client.

    Args:
        fleet: the servers.
        workers: where the workers are, and the sessions that they hold.
        catalog: what the servers offer.
        new_id: ids for requests that have none, so that one whose answer was lost can be sent again.
        goodbye_s: how long a server may be away when a worker closes its sessions there.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: Workers,
        catalog: Callable[[], Catalog],
        *,
        new_id: Callable[[], str],
        goodbye_s: float,
    ) -> None:
        self._fleet = fleet
        self._workers = workers
        self._catalog = catalog
        self._new_id = new_id
        self._goodbye_s = goodbye_s

    async def create(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], call_id: str | None
    ) -> Mapping[str, SessionInfo]:
        """Open sessions on the worker's server, all or none."""
        catalog = self._catalog()
        for name in backends:
            catalog.backend(name)  # says what there is
        wire_name, call_id = self._workers.wire_name(worker_id), call_id or self._new_id()
        while True:
            server = self._fleet.place(worker_id)
            self._workers.expect_sessions(worker_id)
            try:
                infos = await server.routes.create_sessions(wire_name, backends, call_id)
                break
            except Unreachable:
                if not self._workers.give_up(server):
                    raise
        for name, info in infos.items():
            if catalog.backend(name).sharing != "shared":
                self._hold(worker_id, server, info, backends[name] or {})
        return {name: evolve(info, worker_id=worker_id) for name, info in infos.items()}

    def _hold(self, worker_id: str, server: Server, info: SessionInfo, settings: Mapping[str, Any]) -> None:
        """Take a session that a server tells of, unless it is known, or known to be over."""
        ledger = self._workers.ledger
        if ledger.find(worker_id, info.id) is None and ledger.end_of(worker_id, info.id) is None:
            ledger.add(
                Held(id=info.id, backend=info.backend, worker_id=worker_id, server=server, settings=dict(settings))
            )

    async def list(self, worker_id: str) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        server = self._fleet.placed(worker_id)
        if server is None:
            return ()
        infos = await server.routes.sessions(self._workers.wire_name(worker_id))
        for info in infos:  # one whose opening was not answered may be new here
            self._hold(worker_id, server, info, {})
        return tuple(evolve(info, worker_id=worker_id) for info in infos)

    def like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings of a session, or of a backend."""
        if target in self._catalog().backends:
            return target, {}
        held = self._workers.find(worker_id, target)
        return held.backend, held.settings

    async def fork(self, worker_id: str, session_id: str, call_id: str | None) -> SessionInfo:
        """Copy a session, on its server."""
        catalog = self._catalog()
        if session_id in catalog.backends and catalog.backend(session_id).sharing == "shared":
            raise cannot_fork(session_id)
        if call_id is not None and (server := self._remembering(worker_id, session_id)) is not None:
            info = await server.routes.fork(self._workers.wire_name(worker_id), session_id, call_id)
            return evolve(info, worker_id=worker_id)
        held = self._workers.find(worker_id, session_id)
        if not catalog.backend(held.backend).can_fork:
            raise cannot_fork(held.backend)
        info = await self._ask(held, partial(held.server.routes.fork, call_id=call_id or self._new_id()))
        self._hold(worker_id, held.server, info, held.settings)
        return evolve(info, worker_id=worker_id)

    def _remembering(self, worker_id: str, session_id: str) -> Server | None:
        """The server that may remember a fork of a session that is over by now."""
        is_over = self._workers.ledger.end_of(worker_id, session_id) in ("closed", "expired")
        return self._fleet.placed(worker_id) if is_over else None

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start a session's idle time anew."""
        held = self._workers.find(worker_id, session_id)
        return evolve(await self._ask(held, held.server.routes.renew), worker_id=worker_id)

    async def read_file(self, worker_id: str, session_id: str, path: str, start: int, end: int | None) -> FileSlice:
        """A part of a file of a session."""
        check_path(path)
        check_span(start, end)

        async def read(routes: Routes, wire_name: str) -> FileSlice:
            return await routes.read_file(wire_name, session_id, path, start, end)

        return await self._with_files(worker_id, session_id, read)

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """Put a file into a session."""
        check_path(path)

        async def write(routes: Routes, wire_name: str) -> None:
            await routes.write_file(wire_name, session_id, path, data)

        await self._with_files(worker_id, session_id, write)

    async def _with_files(self, worker_id: str, session_id: str, ask: Callable[[Routes, str], Awaitable[T]]) -> T:
        catalog = self._catalog()
        is_shared = session_id in catalog.backends and catalog.backend(session_id).sharing == "shared"
        held = None if is_shared else self._workers.find(worker_id, session_id)
        backend = session_id if held is None else held.backend
        if not catalog.backend(backend).has_files:
            raise no_files(backend)
        while True:
            server = self._fleet.place(worker_id) if held is None else held.server
            try:
                return await ask(server.routes, self._workers.wire_name(worker_id))
            except Unreachable:
                if not self._workers.give_up(server):
                    raise
                if held is not None:
                    raise Refusal(gone(held.id, "lost")) from None
            except SandboxError as error:  # a file that is not found is no end of the session
                if held is None or (error.code != "session_lost" and not isinstance(error, Refusal)):
                    raise
                raise self._ended(held, error) from None

    async def close(self, worker_id: str, session_id: str) -> None:
        """Close one session; one that is gone is left as it is."""
        ledger = self._workers.ledger
        held = ledger.find(worker_id, session_id)
        if held is None:
            if session_id not in self._catalog().backends and ledger.end_of(worker_id, session_id) is None:
                raise Refusal(no_session(session_id, worker_id))
            return
        try:
            await held.server.routes.close_session(self._workers.wire_name(worker_id), held.id)
        except Unreachable:
            if not self._workers.give_up(held.server):
                raise
        except SandboxError as error:
            if error.code not in GONE:
                raise
        ledger.end(held, "closed")

    async def close_worker(self, worker_id: str) -> None:
        """Close all sessions of the worker. Those of a server that does not answer it closes itself, after a while."""
        server = self._workers.home(worker_id)
        try:
            if server is not None:
                await server.routes.close_worker(self._workers.wire_name(worker_id), self._goodbye_s)
        except Unreachable as error:
            _log.warning("the sessions of worker %r are left to expire: %s", worker_id, error.message)
        self._workers.forget(worker_id)

    async def _ask(self, held: Held, route: Callable[[str, str], Awaitable[SessionInfo]]) -> SessionInfo:
        """What a session's server says of it. Raises `Refusal` where that is its end."""
        try:
            return await route(self._workers.wire_name(held.worker_id), held.id)
        except Unreachable:
            if not self._workers.give_up(held.server):
                raise
            raise Refusal(gone(held.id, "lost")) from None
        except SandboxError as error:
            raise self._ended(held, error) from None

    def _ended(self, held: Held, error: SandboxError) -> SandboxError:
        """What to raise for what a server said of a session: that is its end, or not."""
        reason = GONE.get(error.code)
        if reason is None:
            return error
        self._workers.ledger.end(held, reason)
        return Refusal(gone(held.id, reason))
