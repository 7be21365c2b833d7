"""A sandbox as one worker sees it, over whatever runs the calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from agentflow_core.records import ToolResult

if TYPE_CHECKING:
    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.records import Observation
    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.catalog import Catalog
    from agentflow_core.sandbox.replaying import Replayed

__all__ = ["Door", "WorkerView"]


class Door(Protocol):
    """What runs the calls of all workers: the engine, or a layer over it. `SandboxEngine` documents each method."""

    @property
    def catalog(self) -> Catalog:
        """What is offered."""
        ...

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
        """Run a tool for a worker."""
        ...

    async def create_session(
        self, worker_id: str, backends: Mapping[str, Mapping[str, Any] | None], *, call_id: str | None = None
    ) -> Mapping[str, SessionInfo]:
        """Open sessions, all or none."""
        ...

    async def list_sessions(self, worker_id: str) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        ...

    async def session_like(self, worker_id: str, target: str) -> tuple[str, Mapping[str, Any]]:
        """Backend and settings of a session, or of a backend."""
        ...

    async def fork(self, worker_id: str, session_id: str, *, call_id: str | None = None) -> SessionInfo:
        """Copy a session."""
        ...

    async def renew(self, worker_id: str, session_id: str) -> SessionInfo:
        """Start a session's idle time anew."""
        ...

    async def read_file(
        self, worker_id: str, session_id: str, path: str, start: int = 0, end: int | None = None
    ) -> FileSlice:
        """A part of a file of a session."""
        ...

    async def write_file(self, worker_id: str, session_id: str, path: str, data: bytes) -> None:
        """Put a file into a session."""
        ...

    async def close_session(self, worker_id: str, session_id: str) -> None:
        """Close one session."""
        ...

    async def close_worker(self, worker_id: str) -> None:
        """Close all sessions of the worker."""
        ...

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start backends."""
        ...

    async def status(self) -> Mapping[str, Any]:
        """States, load and limits."""
        ...


class WorkerView:
    """One worker's view: its calls run in sessions of its own."""

    def __init__(self, door: Door, worker_id: str, timeout_s: float | None = None) -> None:
        self._door = door
        self._worker_id = worker_id
        self._timeout_s = timeout_s

    @property
    def worker_id(self) -> str:
        """The label under which its sessions are kept apart."""
        return self._worker_id

    async def create_session(
        self,
        backends: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        *,
        call_id: str | None = None,
    ) -> Mapping[str, SessionInfo]:
        """Open a session of one backend, of several, or of several with their settings; all or none, by backend.

        Calls that name no session go to the worker's oldest session of the backend that is open. What is repeated
        with the ``call_id`` of an earlier request is answered with what that opened, and opens nothing.

        Raises:
            UnknownNameError: a backend that is not offered.
            SandboxError: a session cannot start, there are too many (code ``overloaded``), or the ``call_id`` was used
                for another request (code ``conflict``).
        """
        if isinstance(backends, str):
            wanted: Mapping[str, Mapping[str, Any] | None] = {backends: None}
        elif isinstance(backends, Mapping):
            wanted = backends
        else:
            wanted = dict.fromkeys(backends)
        return await self._door.create_session(self._worker_id, wanted, call_id=call_id)

    async def execute(
        self,
        tool: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        timeout_s: float | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """Run one tool: in ``session``, else the worker's session of the backend, else a new one.

        A tool that fails answers with ``ok=False``. A call that is repeated with the ``call_id`` of an earlier one is
        answered with its result and not run again.

        Raises:
            SandboxError: the sandbox itself failed: it is not open, or the backend or the session cannot start.
        """
        return await self._door.execute(
            self._worker_id,
            tool,
            params,
            session=session,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
            call_id=call_id,
        )

    async def execute_batch(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, parallel: bool = True, stop_on_error: bool = False
    ) -> Sequence[ToolResult]:
        """Run several tools; one result for each call, in call order.

        In parallel, the calls of one session still run one after the other, in call order. With ``stop_on_error``
        what had not run, or still ran, when a call failed is answered ``cancelled``.
        """
        results: list[ToolResult | None] = [None] * len(calls)
        lanes = self._lanes(calls) if parallel else [list(range(len(calls)))]
        stop = anyio.CancelScope()

        async def run(lane: list[int]) -> None:
            for index in lane:
                tool, params = calls[index]
                result = results[index] = await self.execute(tool, params)
                if stop_on_error and not result.ok:
                    stop.cancel()
                    return

        with stop:
            if len(lanes) == 1:
                await run(lanes[0])
            else:
                async with anyio.create_task_group() as tasks:
                    for lane in lanes:
                        tasks.start_soon(run, lane)
        given_up = ToolResult.failure("cancelled", "not finished, because another call of the batch failed")
        return [given_up if result is None else result for result in results]

    def _lanes(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[list[int]]:
        """The indices of the calls, split so that what is in different lists may run at the same time."""
        lanes: dict[object, list[int]] = {}
        for index, (tool, _) in enumerate(calls):
            stateful = self._door.catalog.sharing_of(tool) != "shared"
            lanes.setdefault(tool.partition(":")[0] if stateful else index, []).append(index)
        return list(lanes.values())

    async def replay(self, target: str, calls: Sequence[tuple[str, Mapping[str, Any], Observation]]) -> Replayed:
        """Run recorded calls in a fresh session, and compare what they return with what is recorded.

        Args:
            target: a session, whose backend and settings the fresh one gets, or a backend.
            calls: tool, arguments and recorded observation; those of other backends are passed over.
        """
        from agentflow_core.sandbox.replaying import replay  # brings rapidfuzz

        return await replay(self._door, self._worker_id, target, calls)

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """The worker's open sessions, in order of opening."""
        return await self._door.list_sessions(self._worker_id)

    async def fork(self, session: str, *, call_id: str | None = None) -> SessionInfo:
        """A new session with a copy of the state that shares nothing; a ``call_id`` as `create_session` has it.

        Raises:
            SandboxError: the backend cannot fork (code ``unsupported``), there is no such session, or the ``call_id``
                was used for another request (code ``conflict``).
        """
        return await self._door.fork(self._worker_id, session, call_id=call_id)

    async def renew(self, session: str) -> SessionInfo:
        """Start the session's idle time anew."""
        return await self._door.renew(self._worker_id, session)

    async def read_file(self, session: str, path: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``[start, end)`` of a file of the session, ``end`` None for the rest of it.

        The path is one of the session's own, as its tools take it. It takes its turn as a call does.

        Raises:
            SandboxError: the backend has no files (code ``unsupported``), there is no such session or file (code
                ``not_found``), or it is too large to be read at once: give ``start`` and ``end``.
        """
        return (await self._door.read_file(self._worker_id, session, path, start, end)).data

    async def write_file(self, session: str, path: str, data: bytes) -> None:
        """Put a file into the session, whole or not at all, in the place of one that is there.

        Raises:
            SandboxError: the backend has no files (code ``unsupported``), there is no such session (code
                ``not_found``), or no room (code ``disk_limit``).
        """
        await self._door.write_file(self._worker_id, session, path, data)

    async def close_session(self, session: str) -> None:
        """Close a session: what runs in it is cancelled. Closing a closed one does nothing."""
        await self._door.close_session(self._worker_id, session)

    async def aclose(self) -> None:
        """Close all sessions of the worker."""
        await self._door.close_worker(self._worker_id)
