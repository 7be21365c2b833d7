"""Open or fork a session once, however often it is asked for under one id."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from agentflow_core.interfaces import SessionInfo
from agentflow_core.sandbox.calls import Call, CallLog, fingerprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Openings"]

_Opened = Mapping[str, SessionInfo]
_Backends = Mapping[str, Mapping[str, Any] | None]


class Openings:
    """The sessions that were opened under the ids of callers, by worker, as long as a `CallLog` remembers them.

    Who asks again gets what was opened, whatever became of it since. What failed left nothing, and is tried again. The
    ids of creations and forks are one set: one that was used for another request is a `Refusal` (code ``conflict``).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._log: CallLog[_Opened] = CallLog(clock)

    async def create(
        self,
        worker_id: str,
        backends: _Backends,
        call_id: str | None,
        work: Callable[[str, _Backends], Awaitable[_Opened]],
    ) -> _Opened:
        """What ``work`` opened; without an id it is asked each time."""
        run = partial(work, worker_id, backends)
        if call_id is None:
            return await run()
        return await self._once((worker_id, call_id), fingerprint("create_session", backends, None), run)

    async def fork(
        self, worker_id: str, session_id: str, call_id: str | None, work: Callable[[str, str], Awaitable[SessionInfo]]
    ) -> SessionInfo:
        """The copy that ``work`` made; without an id it is asked each time."""
        if call_id is None:
            return await work(worker_id, session_id)

        async def run() -> _Opened:
            return {session_id: await work(worker_id, session_id)}

        return (await self._once((worker_id, call_id), fingerprint("fork", None, session_id), run))[session_id]

    async def _once(self, key: tuple[str, str], body: str, work: Callable[[], Awaitable[_Opened]]) -> _Opened:
        async def run(call: Call[_Opened]) -> _Opened:
            opened = await work()
            call.ran = True
            return opened

        return await self._log.once(key, body, run)
