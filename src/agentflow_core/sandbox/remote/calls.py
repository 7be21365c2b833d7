"""Run the calls of all workers on servers, each in the session that it belongs to, once."""

from __future__ import annotations

import math
from collections import OrderedDict
from time import perf_counter
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.errors import UnknownNameError
from agentflow_core.records import ToolResult
from agentflow_core.records.events import ToolCalled
from agentflow_core.sandbox.remote.ledger import GONE, Held
from agentflow_core.sandbox.remote.transport import Unreachable
from agentflow_core.sandbox.sessions import Refusal
from agentflow_core.sandbox.table import gone
from agentflow_core.sandbox.wire import ExecuteRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentflow_core.records.events import Event
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.remote.artifacts import Artifacts
    from agentflow_core.sandbox.remote.fleet import Fleet, Server
    from agentflow_core.sandbox.remote.workers import Workers

__all__ = ["Calls"]

_REMEMBERED = 1000


class Calls:
    """Calls of the workers of one client.

    Args:
        fleet: the servers.
        workers: where the workers are, and the sessions that they hold.
        catalog: what the servers offer.
        artifacts: keeps those of results.
        new_id: ids for calls that have none.
        observe: is told of every call.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: Workers,
        catalog: Callable[[], Catalog],
        artifacts: Artifacts,
        *,
        new_id: Callable[[], str],
        observe: Callable[[Event], None],
    ) -> None:
        self._fleet = fleet
        self._workers = workers
        self._catalog = catalog
        self._artifacts = artifacts
        self._new_id = new_id
        self._observe = observe
        self._sent: OrderedDict[tuple[str, str], str | None] = OrderedDict()  # session by worker and the caller's id

    async def execute(
        self,
        worker_id: str,
        tool: str,
        params: Mapping[str, Any] | None,
        *,
        session: str | None,
        timeout_s: float | None,
        call_id: str | None,
    ) -> ToolResult:
        """Run a tool; see `RemoteDoor.execute`."""
        started = perf_counter()
        if timeout_s is not None and not (isinstance(timeout_s, int | float) and 0 < timeout_s < math.inf):
            refused = ToolResult.failure("invalid_argument", "timeout_s: expected a number of seconds above 0")
            return evolve(refused, tool=tool, call_id=call_id or "")
        request = ExecuteRequest(
            tool=tool,
            params=params,
            session_id=session,
            worker_id=self._workers.wire_name(worker_id),
            timeout_s=timeout_s,
            call_id=call_id or self._new_id(),
        )
        try:
            if self._catalog().sharing_of(tool) == "shared":
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
                if not self._workers.give_up(server) or (error.was_sent and not self._only_reads(request.tool)):
                    raise

    def _only_reads(self, tool: str) -> bool:
        try:
            return self._catalog().find(tool)[1].function.read_only
        except UnknownNameError:  # the servers say what there is
            return True

    async def _run_in_session(self, worker_id: str, request: ExecuteRequest, *, may_be_asked_again: bool) -> ToolResult:
        ledger = self._workers.ledger
        backend = request.tool.partition(":")[0]
        key = worker_id, str(request.call_id)
        while True:
            held = self._session_for(worker_id, backend, request.session_id)
            server = held.server if held is not None else self._fleet.place(worker_id)
            self._workers.expect_sessions(worker_id)
            session_id = request.session_id if held is None else held.id
            if may_be_asked_again:  # what is repeated names the session that it named before: it is the same call
                session_id = self._sent.setdefault(key, session_id)
                if len(self._sent) > _REMEMBERED:
                    self._sent.popitem(last=False)
            named = evolve(request, session_id=session_id)
            try:
                result = await server.routes.execute(named)
            except Unreachable:
                if not self._workers.give_up(server):
                    raise
                self._sent.pop(key, None)
                continue
            if result.session_id or result.code not in GONE:
                self._note(worker_id, backend, server, result)
                return await self._artifacts.kept(result, server)
            if held is None:
                return result
            ledger.end(held, GONE[result.code])
            self._sent.pop(key, None)
            if request.session_id is not None or ledger.default(worker_id, backend) is None:
                raise Refusal(gone(held.id, GONE[result.code]))

    def _session_for(self, worker_id: str, backend: str, session_id: str | None) -> Held | None:
        """The session that a call goes to, None where the server decides.

        Raises:
            Refusal: it was lost, and its worker asks for it by name or was not yet told.
        """
        ledger = self._workers.ledger
        if session_id is not None:
            if (reason := ledger.end_of(worker_id, session_id)) is not None:
                raise Refusal(gone(session_id, reason))
            return ledger.find(worker_id, session_id)
        held = ledger.default(worker_id, backend)
        if held is None and (lost := ledger.tell(worker_id, backend)) is not None:
            raise Refusal(gone(lost.id, "lost"))
        return held

    def _note(self, worker_id: str, backend: str, server: Server, result: ToolResult) -> None:
        ledger = self._workers.ledger
        held = ledger.find(worker_id, result.session_id)
        if held is None and result.session_id:
            held = Held(id=result.session_id, backend=backend, worker_id=worker_id, server=server)
            ledger.add(held)
        if held is not None and result.code == "session_lost":
            ledger.end(held, "lost")
