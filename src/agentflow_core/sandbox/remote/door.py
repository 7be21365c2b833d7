"""The door to servers: runs the calls of all workers there, and knows which sessions it holds on which server."""

from __future__ import annotations

import logging
import math
import secrets
from collections import OrderedDict
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256
from itertools import count
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
from attrs import evolve

from agentflow_core.concurrency import run_all
from agentflow_core.errors import SandboxError, UnknownNameError
from agentflow_core.records import ToolResult
from agentflow_core.records.events import ToolCalled
from agentflow_core.sandbox.remote.artifacts import Artifacts
from agentflow_core.sandbox.remote.fleet import Fleet
from agentflow_core.sandbox.remote.heartbeat import Heartbeat
from agentflow_core.sandbox.remote.ledger import Held, Ledger, Reason
from agentflow_core.sandbox.remote.offers import Offers, catalog_of, same_offers
from agentflow_core.sandbox.remote.transport import Transport, Unreachable
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import cannot_fork, gone, no_session
from agentflow_core.sandbox.wire import HEARTBEAT_S, WORKER_LOST_S, ExecuteRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records.events import Event
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
_LONGEST_LABEL = 200
_REMEMBERED = 1000
#: What became of a session that is held here, by the code with which its server says so: one that it does not know
#: was lost when the server began anew.
_GONE: dict[str, Reason] = {"not_found": "lost", "session_expired": "expired", "session_lost": "lost"}

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
        self._patience_s = patience_s
        to = partial(Transport, token=token, slots=slots, patience_s=patience_s, calm_s=calm_s, rng=rng)
        self._fleet = Fleet([to(url) for url in urls], first=rng.randrange(len(urls)))
        self._label = quote(label, safe="#") if label else f"client-{own}"
        self._own = own_worker
        self._call_ids = (f"{own}-{number}" for number in count(1))
        self._ledger = Ledger()
        self._touched: set[str] = set()  # workers that may have sessions
        self._sent: OrderedDict[tuple[str, str], str | None] = OrderedDict()  # session by worker and the caller's id
        self._artifacts = Artifacts(self._fleet, store)
        self._observe = observe
        self._host = host
        self._heartbeat = Heartbeat(self._fleet, self._living_on, every_s=heartbeat_s, lost_s=lost_s)
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
            await run_all([partial(close, worker_id) for worker_id in sorted(self._touched)])
        if limit.cancelled_caught:
            _log.warning("the servers did not close all sessions within %g s; those left expire", CLOSE_S)

    def _living_on(self, server: Server) -> Sequence[str]:
        return sorted(self._wire(worker_id) for worker_id in server.workers & self._touched)

    def _wire(self, worker_id: str) -> str:
        """What the servers call a worker of this client: kept apart from those of others, and fit for a path."""
        name = self._label if worker_id == self._own else f"{self._label}.{quote(worker_id, safe='#')}"
        return name if len(name) <= _LONGEST_LABEL else f"{name[:100]}.{sha256(name.encode()).hexdigest()[:32]}"

    # ---- calls

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
        started = perf_counter()
        if timeout_s is not None and not (isinstance(timeout_s, int | float) and 0 < timeout_s < math.inf):
            refused = ToolResult.failure("invalid_argument", "timeout_s: expected a number of seconds above 0")
            return evolve(refused, tool=tool, call_id=call_id or "")
        request = ExecuteRequest(
            tool=tool,
            params=params,
            session_id=session,
            worker_id=self._wire(worker_id),
            timeout_s=timeout_s,
            call_id=call_id or next(self._call_ids),
        )
        try:
            if self.catalog.sharing_of(tool) == "shared":
                result = await self._run_shared(worker_id, request)
            else:
                result = await self._run_in_session(worker_id, request, may_be_asked_again=call_id is not None)
        except Refusal as refusal:
            result = evolve(refusal.result, tool=tool)
        self._observe(ToolCalled(tool=tool, code=result.code, wall_s=perf_counter() - started, worker=worker_id))
        return evolve(result, call_id=call_id or "")

    async def _run_shared(self, worker_id: str, request: ExecuteRequest) -> ToolResult:
        while True:
            server = self._fleet.place(worker_id)
            try:
                return await self._artifacts.kept(await server.routes.execute(request), server)
            except Unreachable as error:
                if not self._give_up(server) or (error.was_sent and not self._only_reads(request.tool)):
                    raise

    def _only_reads(self, tool: str) -> bool:
        try:
            return self.catalog.find(tool)[1].function.read_only
        except UnknownNameError:  # the servers say what there is
            return True

    async def _run_in_session(self, worker_id: str, request: ExecuteRequest, *, may_be_asked_again: bool) -> ToolResult:
        backend = request.tool.partition(":")[0]
        key = worker_id, str(request.call_id)
        while True:
            held = self._session_for(worker_id, backend, request.session_id)
            server = held.server if held is not None else self._fleet.place(worker_id)
            self._touched.add(worker_id)
            session_id = request.session_id if held is None else held.id
            if may_be_asked_again:  # what is repeated names the session that it named before: it is the same call
                session_id = self._sent.setdefault(key, session_id)
                if len(self._sent) > _REMEMBERED:
                    self._sent.popitem(last=False)
            named = evolve(request, session_id=session_id)
            try:
                result = await server.routes.execute(named)
            except Unreachable:
                if not self._give_up(server):
                    raise
                self._sent.pop(key, None)
                continue
            if result.session_id or result.code not in _GONE:
                self._note(worker_id, backend, server, result)
                return await self._artifacts.kept(result, server)
            if held is None:
                return result
            self._ledger.end(held, _GONE[result.code])
            self._sent.pop(key, None)
            if request.session_id is not None or self._ledger.default(worker_id, backend) is None:
                raise Refusal(gone(held.id, _GONE[result.code]))

    def _session_for(self, worker_id: str, backend: str, session_id: str | None) -> Held | None:
        """The session that a call goes to, None where the server decides.

        Raises:
            Refusal: it was lost, and its worker asks for it by name or was not yet told.
        """
        if session_id is not None:
            if (reason := self._ledger.end_of(worker_id, session_id)) is not None:
                raise Refusal(gone(session_id, reason))
            return self._ledger.find(worker_id, session_id)
        held = self._ledger.default(worker_id, backend)
        if held is None and (lost := self._ledger.tell(worker_id, backend)) is not None:
            raise Refusal(gone(lost.id, "lost"))
        return held

    def _note(self, worker_id: str, backend: str, server: Server, result: ToolResult) -> None:
        held = self._ledger.find(worker_id, result.session_id)
        if held is None and result.session_id:
            held = Held(id=result.session_id, backend=backend, worker_id=worker_id, server=server)
            self._ledger.add(held)
        if held is not None and result.code == "session_lost":
            self._ledger.end(held, "lost")

    def _give_up(self, server: Server) -> bool:
        """Go on without a server that does not answer, if there is another one."""
        if not self._fleet.put_down(server):
            return False
        self._ledger.lose(server)
        return True

    async def _is_gone(self, server: Server, error: Unreachable) -> bool:
        """The same after a request that is not repeated: one lost answer does not make a server dead."""
        if error.was_sent and len(self._fleet) > 1:
            try:
                await server.routes.is_up(patience_s=self._patience_s)
            except Unreachable:
                return self._give_up(server)
            return False
        return self._give_up(server)

    # ---- sessions

    async def create_session(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None]
    ) -> Mapping[str, SessionInfo]:
        """Open sessions on the worker's server, all or none."""
        for name in backends:
            self.catalog.backend(name)  # says what there is
        while True:
            server = self._fleet.place(worker_id)
            self._touched.add(worker_id)
            try:
                infos = await server.routes.create_sessions(self._wire(worker_id), backends)
                break
            except Unreachable as error:
                if not await self._is_gone(server, error):
                    raise
        for name, info in infos.items():
            if self.catalog.backend(name).sharing != "shared":
                self._hold(worker_id, server, info, backends[name] or {})
        return {name: evolve(info, worker_id=worker_id) for name, info in infos.items()}

    def _hold(self, worker_id: str, server: Server, info: SessionInfo, settings: Mapping[str, Any]) -> None:
        self._ledger.add(
            Held(id=info.id, backend=info.backend, worker_id=worker_id, server=server, settings=dict(settings))
        )

    async def list_sessions(self, worker_id: str) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        server = self._fleet.placed(worker_id)
        if server is None:
            return ()
        infos = await server.routes.sessions(self._wire(worker_id))
        for info in infos:  # one whose opening was not answered may be new here
            if self._ledger.find(worker_id, info.id) is None:
                self._hold(worker_id, server, info, {})
        return tuple(evolve(info, worker_id=worker_id) for info in infos)

    async def session_like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings of a session, or of a backend."""
        if target in self.catalog.backends:
            return target, {}
        held = self._find(worker_id, target)
        return held.backend, held.settings

    async def fork(self, worker_id: str, session_id: str) -> SessionInfo:
        """Copy a session, on its server."""
        if session_id in self.catalog.backends and self.catalog.backend(session_id).sharing == "shared":
            raise cannot_fork(session_id)
        held = self._find(worker_id, session_id)
        if not self.catalog.backend(held.backend).can_fork:
            raise cannot_fork(held.backend)
        info = await self._ask(held, held.server.routes.fork)
        self._hold(worker_id, held.server, info, held.settings)
        return evolve(info, worker_id=worker_id)

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start a session's idle time anew."""
        held = self._find(worker_id, session_id)
        return evolve(await self._ask(held, held.server.routes.renew), worker_id=worker_id)

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Close one session; one that is gone is left as it is."""
        held = self._ledger.find(worker_id, session_id)
        if held is None:
            if session_id not in self.catalog.backends and self._ledger.end_of(worker_id, session_id) is None:
                raise Refusal(no_session(session_id, worker_id))
            return
        try:
            await held.server.routes.close_session(self._wire(worker_id), held.id)
        except Unreachable:
            if not self._give_up(held.server):
                raise
        except SandboxError as error:
            if error.code not in _GONE:
                raise
        self._ledger.end(held, "closed")

    async def close_worker(self, worker_id: str) -> None:
        """Close all sessions of the worker. Those of a server that does not answer it closes itself, after a while."""
        server = self._fleet.placed(worker_id)
        try:
            if server is not None and worker_id in self._touched:
                await server.routes.close_worker(self._wire(worker_id), min(self._patience_s, PATIENCE_WITH_OTHERS_S))
        except Unreachable as error:
            _log.warning("the sessions of worker %r are left to expire: %s", worker_id, error.message)
        self._touched.discard(worker_id)
        self._ledger.forget_worker(worker_id)
        self._fleet.forget(worker_id)

    def _find(self, worker_id: str, session_id: str) -> Held:
        held = self._ledger.find(worker_id, session_id)
        if held is not None:
            return held
        reason = self._ledger.end_of(worker_id, session_id)
        raise Refusal(no_session(session_id, worker_id) if reason is None else gone(session_id, reason))

    async def _ask(self, held: Held, route: Callable[[str, str], Any]) -> SessionInfo:
        """What a session's server says of it. Raises `Refusal` where that is its end."""
        try:
            info: SessionInfo = await route(self._wire(held.worker_id), held.id)
        except Unreachable as error:
            if not await self._is_gone(held.server, error):
                raise
            raise Refusal(gone(held.id, "lost")) from None
        except SandboxError as error:
            if error.code not in _GONE:
                raise
            self._ledger.end(held, _GONE[error.code])
            raise Refusal(gone(held.id, _GONE[error.code])) from None
        return info

    # ---- servers

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start backends, on every server."""
        for name in backends:
            self.catalog.backend(name)
        await run_all([partial(server.routes.warmup, backends) for server in self._fleet.up()])

    async def status(self) -> Mapping[str, Any]:
        """Backends with states, limits and load, and the number of sessions; of several servers, that by URL."""
        servers = self._fleet.up()
        found = [told["status"] for told in await run_all([server.routes.capabilities for server in servers])]
        if len(self._fleet) == 1:
            return {**found[0], "url": servers[0].url}
        by_url = {server.url: status for server, status in zip(servers, found, strict=True)}
        down = {server.url: {"state": "down"} for server in self._fleet if server.is_down}
        return {"servers": by_url | down, "sessions": sum(status["sessions"] for status in found)}

    async def artifact(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of an artifact, or the range ``[start, end)`` of them."""
        return await self._artifacts.read(sha256, start, end)
