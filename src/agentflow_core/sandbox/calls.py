"""Answer a retried call instead of running it twice."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from agentflow_core.records import ToolResult

__all__ = ["Call", "CallLog", "fingerprint"]

CAPACITY = 1000
KEPT_S = 600.0


class Call:
    """One call on its way. ``ran`` says that the tool was reached: from then on a retry must not run it again."""

    __slots__ = ("done", "fingerprint", "finished_at", "ran", "result")

    def __init__(self, fingerprint: str = "") -> None:
        self.fingerprint = fingerprint
        self.ran = False
        self.result: ToolResult | None = None
        self.finished_at = 0.0
        self.done = anyio.Event() if fingerprint else None


def fingerprint(tool: str, params: Any, session: str | None) -> str:
    """What tells the bodies of two calls apart."""
    try:
        text = json.dumps([tool, params, session], sort_keys=True, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys of several types, a cycle: validation refuses it later
        text = repr((tool, type(params).__name__, sorted(map(repr, params)) if isinstance(params, Mapping) else ""))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class CallLog:
    """The calls under way and the answers of the last 1,000 that ended within ten minutes, by worker and call id."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: OrderedDict[tuple[str, str], Call] = OrderedDict()

    async def once(
        self, key: tuple[str, str], fingerprint: str, run: Callable[[Call], Awaitable[ToolResult]]
    ) -> ToolResult:
        """The answer of ``run`` to this call or to an earlier one of the same id; a call that never ran is repeated.

        Another body under the same id is answered ``conflict``.
        """
        while (call := self._find(key)) is not None:
            if call.fingerprint != fingerprint:
                return ToolResult.failure(
                    "conflict", f"call_id {key[1]!r} was used for another call", hint="use a new call_id for each call"
                )
            if call.result is None and call.done is not None:
                await call.done.wait()
            if call.result is not None:
                return call.result
        call = self._calls[key] = Call(fingerprint)
        try:
            call.result = await run(call)
        except BaseException:
            if call.ran:
                call.result = ToolResult.failure("cancelled", "the caller gave this call up while it ran")
            raise
        finally:
            self._finish(key, call)
        return call.result

    def _find(self, key: tuple[str, str]) -> Call | None:
        call = self._calls.get(key)
        if call is not None and call.result is not None and self._clock() - call.finished_at > KEPT_S:
            del self._calls[key]
            return None
        return call

    def _finish(self, key: tuple[str, str], call: Call) -> None:
        call.finished_at = self._clock()
        if call.ran:
            self._calls.move_to_end(key)
        else:
            del self._calls[key]
        if len(self._calls) > CAPACITY:
            oldest = next((key for key, old in self._calls.items() if old.result is not None), None)
            if oldest is not None:
                del self._calls[oldest]
        if call.done is not None:
            call.done.set()
