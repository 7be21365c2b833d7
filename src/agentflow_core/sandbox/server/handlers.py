"""What each route does with a request."""

from __future__ import annotations

import logging
import os
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import anyio.to_thread
from attrs import evolve, field, frozen

from agentflow_core import __version__
from agentflow_core.errors import AgentFlowError, DataError
from agentflow_core.records import ToolResult, clean_json
from agentflow_core.sandbox.server.batches import run_batch
from agentflow_core.sandbox.server.bodies import label_of, parse, read_json
from agentflow_core.sandbox.server.formats import FORMATS
from agentflow_core.sandbox.server.gate import Gate
from agentflow_core.sandbox.server.metrics import Metrics
from agentflow_core.sandbox.server.ranges import asked_range, bytes_reply
from agentflow_core.sandbox.server.replies import Rejected, Reply, failure_of, reply_to_call, reply_with
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.wire import (
    HEARTBEAT_HEADER,
    HEARTBEAT_S,
    BatchRequest,
    CreateSessionRequest,
    ExecuteRequest,
    ForkRequest,
    HeartbeatRequest,
    WarmupRequest,
    dump_result,
    dump_session,
)

if TYPE_CHECKING:
    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.sandbox.engine import SandboxEngine
    from agentflow_core.sandbox.server.exchange import Exchange
    from agentflow_core.sandbox.server.workers import Heartbeats

__all__ = ["Handlers", "ServerFacts"]

_log = logging.getLogger("agentflow_core.server")
PROTOCOL = 1
#: Turns of the loop in which requests that came before this one, on connections not yet accepted, are read and begin.
_OVERTAKEN_TURNS = 16


@frozen(kw_only=True)
class ServerFacts:
    """What the server tells about itself."""

    urls: tuple[str, ...] = ()  #: of all engines, this one's too
    max_body_bytes: int = 64 * 1024 * 1024
    instance: str = field(factory=lambda: uuid.uuid4().hex)  #: another one after a restart
    debug: bool = False


class Handlers:
    """The routes' functions, over one engine: each takes an `Exchange` and returns a `Reply`."""

    def __init__(self, engine: SandboxEngine, heartbeats: Heartbeats, facts: ServerFacts) -> None:
        self.engine = engine
        self.heartbeats = heartbeats
        self.facts = facts
        self.gate = Gate()
        self.metrics = Metrics()
        self._tools: dict[str, ToolResult] = {}
        self._names = frozenset(engine.catalog.tools())

    @property
    def tool_names(self) -> list[str]:
        """The tools that are offered, sorted."""
        return sorted(self._names)

    # ---- calls

    async def execute(self, exchange: Exchange) -> Reply:
        """Run one call."""
        request = parse(ExecuteRequest, read_json(exchange.body))
        worker = self._worker_of(exchange, request.worker_id, request.session_id)
        exchange.log.update(tool=request.tool, call_id=request.call_id)
        try:
            result = await self._run(worker, request)
        except AgentFlowError as error:
            result = failure_of(error, debug=self.facts.debug)
            self._count(request.tool, result)
            return reply_with(result)
        self._count(request.tool, result)
        if result.session_id:
            self._watch(exchange, worker)
        exchange.log.update(session=result.session_id, wall_ms=result.usage.wall_ms, queue_ms=result.usage.queue_ms)
        return reply_to_call(result, request.tool, request.session_id)

    async def execute_batch(self, exchange: Exchange) -> Reply:
        """Run several calls; the answer is a success whatever became of them."""
        request = parse(BatchRequest, read_json(exchange.body))
        exchange.log["calls"] = len(request.calls)

        async def execute(call: ExecuteRequest) -> ToolResult:
            worker = self._worker_of(exchange, request.worker_id, call.session_id)
            result = await self.result_of(worker, call)
            if result.session_id:
                self._watch(exchange, worker)
            return result

        results = await run_batch(request, self._has_session, execute)
        return _value({"results": [dump_result(result) for result in results]})

    async def result_of(self, worker: str, call: ExecuteRequest) -> ToolResult:
        """Run one call of the engine's worker; what is raised is a result too."""
        try:
            result = await self._run(worker, call)
        except Exception as error:  # noqa: BLE001 - one call's failure is its own result
            result = failure_of(error, debug=self.facts.debug)
        else:
            result = result if result.tool else evolve(result, tool=call.tool)
        self._count(call.tool, result)
        return result

    def _has_session(self, tool: str) -> bool:
        return tool in self._names and self.engine.catalog.sharing_of(tool) != "shared"

    async def _run(self, worker: str, request: ExecuteRequest) -> ToolResult:
        self.heartbeats.seen(worker)
        return await self.engine.execute(
            worker,
            request.tool,
            request.params,
            session=request.session_id,
            timeout_s=request.timeout_s,
            call_id=request.call_id,
        )

    def _watch(self, exchange: Exchange, worker: str) -> None:
        """The worker has a session: from now on it is missed if its client, should that be one that beats, goes silent."""
        if HEARTBEAT_HEADER in exchange.headers:
            self.heartbeats.beat(worker)
        else:
            self.heartbeats.seen(worker)

    def _count(self, tool: str, result: ToolResult) -> None:
        known = tool if tool in self._names else "unknown"
        self.metrics.count_call(known, result.code, result.usage.wall_ms / 1000)

    def _worker_of(self, exchange: Exchange, label: str | None, session_id: str | None) -> str:
        """The engine's worker: of the label, else whose session it is if that is one of the caller's."""
        if label is None and session_id is not None:
            owner = self.engine.owner_of(session_id)
            if owner is not None and exchange.caller.owns(owner):
                exchange.log["worker"] = owner
                return owner
        return exchange.worker(label)

    # ---- sessions

    async def create_session(self, exchange: Exchange) -> Reply:
        """Open sessions, all or none."""
        request = parse(CreateSessionRequest, read_json(exchange.body))
        worker = exchange.worker(request.worker_id)
        exchange.log["call_id"] = request.call_id
        self._watch(exchange, worker)
        infos = await self.engine.create_session(worker, request.backends, call_id=request.call_id)
        return _value({name: self._told(exchange, info) for name, info in infos.items()}, status=201)

    async def list_sessions(self, exchange: Exchange) -> Reply:
        """The caller's open sessions, or those of one of its workers."""
        label = exchange.worker_label
        infos = await self.engine.list_sessions(None if label is None else exchange.worker(label))
        mine = [info for info in infos if exchange.caller.owns(info.worker_id)]
        return _value({"sessions": [self._told(exchange, info) for info in mine]})

    async def get_session(self, exchange: Exchange) -> Reply:
        """One session."""
        session_id, worker = self._named(exchange)
        await self.engine.session_like(worker, session_id)  # raises what became of one that is gone
        for info in await self.engine.list_sessions(worker):
            if info.id == session_id:
                return _value(self._told(exchange, info))
        return _value({"id": session_id, "backend": session_id, "worker_id": exchange.caller.label(worker)} | _SHARED)

    async def close_session(self, exchange: Exchange) -> Reply:
        """Close a session."""
        session_id, worker = self._named(exchange)
        await self.engine.close_session(worker, session_id)
        return _value(None)

    async def renew(self, exchange: Exchange) -> Reply:
        """Start a session's idle time anew."""
        session_id, worker = self._named(exchange)
        self.heartbeats.seen(worker)
        return _value(self._told(exchange, await self.engine.renew(worker, session_id)))

    async def fork(self, exchange: Exchange) -> Reply:
        """Copy a session."""
        request = parse(ForkRequest, read_json(exchange.body)) if exchange.body else ForkRequest()
        session_id, worker = self._named(exchange)
        exchange.log["call_id"] = request.call_id
        self._watch(exchange, worker)
        info = await self.engine.fork(worker, session_id, call_id=request.call_id)
        return _value(self._told(exchange, info), status=201)

    async def read_file(self, exchange: Exchange) -> Reply:
        """The bytes of a file of a session, or one range of them."""
        session_id, worker = self._named(exchange)
        self.heartbeats.seen(worker)
        read = partial(self.engine.read_file, worker, session_id, exchange.path["path"])
        asked = asked_range(exchange.headers.get(b"range"))
        try:
            if asked is None:
                return bytes_reply((await read()).data, what="file")
            start = asked.start if asked.suffix is None else asked.start_in((await read(0, 0)).size)
            found = await read(start, asked.end)
        except AgentFlowError as error:
            return self._failed_in(session_id, error)
        return bytes_reply(found.data, what="file", start=start, size=found.size)

    async def write_file(self, exchange: Exchange) -> Reply:
        """Put a file into a session, in the place of one that is there."""
        session_id, worker = self._named(exchange)
        self.heartbeats.seen(worker)
        try:
            await self.engine.write_file(worker, session_id, exchange.path["path"], exchange.body)
        except AgentFlowError as error:
            return self._failed_in(session_id, error)
        return _value(None)

    def _failed_in(self, session_id: str, error: AgentFlowError) -> Reply:
        """The answer names the session where it is not the session that was refused."""
        result = failure_of(error, debug=self.facts.debug)
        return reply_with(result if isinstance(error, Refusal) else evolve(result, session_id=session_id))

    def _named(self, exchange: Exchange) -> tuple[str, str]:
        session_id = label_of(exchange.path["session_id"], "session_id") or ""
        exchange.log["session"] = session_id
        return session_id, self._worker_of(exchange, exchange.worker_label, session_id)

    @staticmethod
    def _told(exchange: Exchange, info: SessionInfo) -> dict[str, Any]:
        return dump_session(evolve(info, worker_id=exchange.caller.label(info.worker_id)))

    # ---- workers

    async def heartbeat(self, exchange: Exchange) -> Reply:
        """The worker lives, and those that are named beside it."""
        request = parse(HeartbeatRequest, read_json(exchange.body)) if exchange.body else HeartbeatRequest()
        labels = [_worker_label(exchange), *request.workers]
        for label in labels:
            self.heartbeats.beat(exchange.caller.worker(label))
        exchange.log["worker"] = exchange.caller.worker(labels[0])
        return _value({"heartbeat_s": self._heartbeat_s, "worker_lost_s": self.heartbeats.lost_after_s})

    async def close_worker(self, exchange: Exchange) -> Reply:
        """Close all sessions of the worker."""
        worker = exchange.worker(_worker_label(exchange))
        self.heartbeats.forget(worker)
        for _ in range(_OVERTAKEN_TURNS):
            await anyio.lowlevel.checkpoint()
        await self.engine.close_worker(worker)
        return _value(None)

    def close_lost_workers(self) -> None:
        """Close the sessions of the workers whose heartbeat has ended."""
        for worker in self.heartbeats.lost():
            self.metrics.lost_workers += 1
            _log.warning("worker %r sends no heartbeat any more; its sessions are closed", worker)
            self.engine.expire_worker(worker)

    @property
    def _heartbeat_s(self) -> float:
        return min(HEARTBEAT_S, self.heartbeats.lost_after_s / 4)

    # ---- what there is

    async def list_tools(self, exchange: Exchange) -> Reply:
        """The tools, in one of three formats."""
        form = exchange.query.get("format", "native")
        if form not in FORMATS:
            message = f"format: expected one of {', '.join(FORMATS)}"
            raise Rejected(ToolResult.failure("invalid_argument", message))
        if form not in self._tools:
            write = partial(FORMATS[form], self.engine.catalog)
            self._tools[form] = ToolResult(data={"tools": [clean_json(write(name)) for name in self.tool_names]})
        return reply_with(self._tools[form])

    async def warmup(self, exchange: Exchange) -> Reply:
        """Start backends."""
        request = parse(WarmupRequest, read_json(exchange.body)) if exchange.body else WarmupRequest()
        await self.engine.warmup(request.backends)
        return _value(None)

    async def capabilities(self, exchange: Exchange) -> Reply:
        """Backends, their providers and limits, and what the server is."""
        facts = self.facts
        return _value(
            {
                "server": "agentflow",
                "version": __version__,
                "protocol": PROTOCOL,
                "instance": facts.instance,
                "urls": list(facts.urls),
                "is_admin": exchange.caller.is_admin,
                "max_body_bytes": facts.max_body_bytes,
                "heartbeat_s": self._heartbeat_s,
                "worker_lost_s": self.heartbeats.lost_after_s,
                "backends": {name: self._backend(name) for name in self.engine.catalog.backends},
                "status": clean_json(await self.engine.status()),
            }
        )

    def _backend(self, name: str) -> dict[str, Any]:
        try:
            group = self.engine.catalog.backend(name)
        except AgentFlowError as error:
            return {"error": error.message}
        return {
            "sharing": group.sharing,
            "forkable": group.can_fork,
            "files": group.has_files,
            "probes": group.probing is not None,
            "provider": group.provider,
        }

    async def artifact(self, exchange: Exchange) -> Reply:
        """The bytes of an artifact, or one range of them."""
        try:
            data = await anyio.to_thread.run_sync(self.engine.blobs.get, exchange.path["sha256"])
        except DataError as error:
            raise Rejected(ToolResult.failure("not_found", "there is no such artifact")) from error
        asked = asked_range(exchange.headers.get(b"range"))
        if asked is None:
            return bytes_reply(data, what="artifact")
        start = asked.start_in(len(data))
        return bytes_reply(data[start : asked.end], what="artifact", start=start, size=len(data))

    # ---- the server itself

    async def healthz(self, exchange: Exchange) -> Reply:
        """It runs."""
        return _value({"pid": os.getpid()})

    async def readyz(self, exchange: Exchange) -> Reply:
        """It takes calls: the warmup is done, and it does not stop."""
        if self.gate.is_ready and self.gate.is_open:
            return _value(None)
        what = "the server starts" if self.gate.is_open else "the server is about to stop"
        return reply_with(ToolResult.failure("not_ready", what))

    async def write_metrics(self, exchange: Exchange) -> Reply:
        """Counts, as Prometheus text."""
        ready = self.gate.is_ready and self.gate.is_open
        text = self.metrics.text(await self.engine.status(), is_ready=ready, in_flight=self.gate.inside)
        return Reply(200, text.encode(), media_type=b"text/plain; version=0.0.4; charset=utf-8")

    async def drain(self, exchange: Exchange) -> Reply:
        """Stop as on SIGTERM."""
        self.gate.drain()
        return _value({"in_flight": self.gate.inside}, status=202)


_SHARED = {"state": "ready", "data": {}}


def _value(data: Any, *, status: int = 200) -> Reply:
    return reply_with(ToolResult(data=data), status=status)


def _worker_label(exchange: Exchange) -> str:
    return label_of(exchange.path["worker_id"], "worker_id") or ""
