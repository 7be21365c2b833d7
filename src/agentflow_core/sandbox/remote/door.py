"""The door to servers: meets them, keeps in touch, passes on what workers ask, and leaves nothing open at the end."""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio

from agentflow_core.concurrency import run_all
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.remote.artifacts import Artifacts
from agentflow_core.sandbox.remote.calls import Calls
from agentflow_core.sandbox.remote.fleet import Fleet
from agentflow_core.sandbox.remote.heartbeat import Heartbeat
from agentflow_core.sandbox.remote.offers import Offers, catalog_of, same_offers
from agentflow_core.sandbox.remote.sessions import Sessions
from agentflow_core.sandbox.remote.transport import Transport, Unreachable
from agentflow_core.sandbox.remote.workers import Workers
from agentflow_core.sandbox.wire import HEARTBEAT_S, WORKER_LOST_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ToolResult
    from agentflow_core.records.events import Event
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.remote.fleet import Server

__all__ = ["RemoteDoor"]

SLOTS = 64
#: How long a server may be away, as while it is restarted: the only one, and one of several.
PATIENCE_S = 30.0
PATIENCE_WITH_OTHERS_S = 5.0
#: How long a call goes on asking a server that is full.
CALM_S = 120.0
#: How long the end of a client waits for its sessions to be closed; servers close what is left by themselves.
CLOSE_S = 10.0

_log = logging.getLogger("agentflow_core.sandbox")


class RemoteDoor:
    """One or several servers that offer the same. Open it with ``async with``; close it in the same task.

    Args:
        urls: of the servers.
        token: for all of them.
        label: under which the servers know this client's workers; default: one that no other client has.
        own_worker: the worker that the label alone names.
        store: gets the artifacts of results; default: they stay on their server.
        observe: is told of every call.
        host: plugins whose rules, of what makes calls and observations equal, hold for the same tools on the servers.
        slots: calls under way on one server at most.
        patience_s: how long a server may be away; default: 30 s, or 5 s where there are others.
        calm_s: how long a call goes on asking a server that is full.
        heartbeat_s: between two signs of life.
        lost_s: without a sign of life of a server, for how long its calls are waited for.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        token: str | None = None,
        label: str | None = None,
        own_worker: str = "main",
        store: BlobStore | None = None,
        observe: Callable[[Event], None],
        host: PluginHost | None = None,
        slots: int = SLOTS,
        patience_s: float | None = None,
        calm_s: float = CALM_S,
        heartbeat_s: float = HEARTBEAT_S,
        lost_s: float = WORKER_LOST_S,
    ) -> None:
        own = secrets.token_hex(8)
        rng = Random(own)
        if patience_s is None:
            patience_s = PATIENCE_S if len(urls) == 1 else PATIENCE_WITH_OTHERS_S
        to = partial(Transport, token=token, slots=slots, patience_s=patience_s, calm_s=calm_s, rng=rng)
        self._fleet = Fleet([to(url) for url in urls], first=rng.randrange(len(urls)))
        self._workers = Workers(self._fleet, label=quote(label, safe="#") if label else f"client-{own}", own=own_worker)
        self._artifacts = Artifacts(self._fleet, store)
        ids = (f"{own}-{number}" for number in count(1))
        parts = self._fleet, self._workers, lambda: self.catalog
        self._calls = Calls(*parts, self._artifacts, new_id=ids.__next__, observe=observe)
        self._sessions = Sessions(*parts, new_id=ids.__next__, goodbye_s=min(patience_s, PATIENCE_WITH_OTHERS_S))
        self._heartbeat = Heartbeat(self._fleet, self._workers.living_on, every_s=heartbeat_s, lost_s=lost_s)
        self._host = host
        self._catalog: Catalog | None = None
        self._stack: AsyncExitStack | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for server in self._fleet:
                await stack.enter_async_context(server.transport)
            await self._meet()
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._heartbeat.run, name="sandbox heartbeat")
            stack.push_async_callback(self._leave)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    @property
    def catalog(self) -> Catalog:
        """What the servers offer, as they said when the door was opened."""
        if self._catalog is None:
            raise SandboxError(
                "the sandbox is not open", code="not_ready", hint="async with Sandbox(url) as sandbox: …"
            )
        return self._catalog

    async def _meet(self) -> None:
        """Ask every server what it offers.

        Raises:
            Unreachable: none of them answers.
            SandboxError: they offer different tools, or one refuses.
        """
        found: list[Offers] = []
        away: list[tuple[Server, Unreachable]] = []

        async def ask(server: Server) -> None:
            try:
                capabilities = await server.routes.capabilities(patience_s=0)
                offers = Offers.read(server.url, await server.routes.tools(), capabilities)
            except Unreachable as error:
                away.append((server, error))
            else:
                found.append(offers)
                server.others = offers.sessions

        await run_all([partial(ask, server) for server in self._fleet])
        if not found:
            raise away[0][1]
        for server, _ in away:
            self._fleet.put_down(server)
        self._catalog = catalog_of(same_offers(found), self._host)
        self._heartbeat.every_s = min(self._heartbeat.every_s, *(offers.heartbeat_s for offers in found))

    async def _leave(self) -> None:
        """Close what is open, for as long as `CLOSE_S` and whatever happens."""
        slots = anyio.CapacityLimiter(SLOTS)

        async def close(worker_id: str) -> None:
            async with slots:
                try:
                    await self.close_worker(worker_id)
                except SandboxError as error:
                    _log.warning("the sessions of worker %r are left to expire: %s", worker_id, error.message)

        with anyio.move_on_after(CLOSE_S, shield=True) as limit:
            await run_all([partial(close, worker_id) for worker_id in self._workers.with_sessions])
        if limit.cancelled_caught:
            _log.warning("the servers did not close all sessions within %g s; those left expire", CLOSE_S)

    # ---- calls and sessions

    async def execute(
        self,
        worker_id: str,
        tool: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        timeout_s: float | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """Run a tool in the named session, else the worker's session of the backend, else a new one.

        A session that is gone with its server is answered ``session_lost``, once to calls that do not name it.

        Raises:
            Unreachable: the server does not answer.
            SandboxError: it refuses the client, or the backend or session that the call needs cannot start.
        """
        return await self._calls.execute(worker_id, tool, params, session=session, timeout_s=timeout_s, call_id=call_id)

    async def create_session(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], *, call_id: str | None = None
    ) -> Mapping[str, SessionInfo]:
        """Open sessions on the worker's server, all or none."""
        return await self._sessions.create(worker_id, backends, call_id)

    async def list_sessions(self, worker_id: str) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        return await self._sessions.list(worker_id)

    async def session_like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings of a session, or of a backend."""
        return self._sessions.like(worker_id, target)

    async def fork(self, worker_id: str, session_id: str, *, call_id: str | None = None) -> SessionInfo:
        """Copy a session, on its server."""
        return await self._sessions.fork(worker_id, session_id, call_id)

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start a session's idle time anew."""
        return await self._sessions.renew(worker_id, session_id)

    async def read_file(
        self, worker_id: str, session_id: str, path: str, start: int = 0, end: int | None = None
    ) -> FileSlice:
        """A part of a file of a session."""
        return await self._sessions.read_file(worker_id, session_id, path, start, end)

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """Put a file into a session."""
        await self._sessions.write_file(worker_id, session_id, path, data)

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Close one session; one that is gone is left as it is."""
        await self._sessions.close(worker_id, session_id)

    async def close_worker(self, worker_id: str) -> None:
        """Close all sessions of the worker."""
        await self._sessions.close_worker(worker_id)

    # ---- servers

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start backends, on every server."""
        for name in backends:
            self.catalog.backend(name)
        await run_all([partial(server.routes.warmup, backends) for server in self._fleet.up()])

    async def status(self) -> Mapping[str, Any]:
        """Backends with states, limits and load, and the number of sessions; of several servers, that by URL."""
        servers = self._fleet.up()
        down = {server.url: {"state": "down"} for server in self._fleet if server.is_down}
        found = [told["status"] for told in await run_all([server.routes.capabilities for server in servers])]
        if len(self._fleet) == 1:
            return {**found[0], "url": servers[0].url}
        by_url = {server.url: status for server, status in zip(servers, found, strict=True)}
        return {"servers": by_url | down, "sessions": sum(status["sessions"] for status in found)}

    async def artifact(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of an artifact, or the range ``[start, end)`` of them."""
        return await self._artifacts.read(sha256, start, end)
