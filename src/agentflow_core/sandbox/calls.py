"""Answer what is asked again under the same id instead of doing it twice."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import anyio
from attrs import evolve

from agentflow_core.records import ImageContent, ToolResult
from agentflow_core.sandbox.sessions import Refusal

__all__ = ["Call", "CallLog", "execute_once", "fingerprint", "result_log"]

T = TypeVar("T")
CAPACITY = 1000
KEPT_S = 600.0
KEPT_BYTES = 256 * 1024 * 1024


class Call(Generic[T]):
    """One call on its way. ``ran`` says that its work was done, if only in part: a retry must not do it again."""

    __slots__ = ("answer", "done", "fingerprint", "finished_at", "ran", "size_bytes")

    def __init__(self, fingerprint: str = "") -> None:
        self.fingerprint = fingerprint
        self.ran = False
        self.answer: T | None = None
        self.size_bytes = 0
        self.finished_at: float | None = None  # set once it ran and ended: until then it is never forgotten
        self.done = anyio.Event() if fingerprint else None


def fingerprint(what: str, arguments: Any, session: str | None) -> str:
    """What tells the bodies of two calls apart: the tool or request, its arguments, the session that is named."""
    try:
        text = json.dumps([what, arguments, session], sort_keys=True, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys of several types, a cycle: validation refuses it later
        keys = sorted(map(repr, arguments)) if isinstance(arguments, Mapping) else ""
        text = repr((what, type(arguments).__name__, keys))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class CallLog(Generic[T]):
    """The calls under way and the answers of the last 1,000 that ended within ten minutes, by worker and call id.

    Args:
        clock: seconds.
        size_of: the bytes of an answer that may be large.
        reduced: what is kept of the oldest answers while all together are larger than `KEPT_BYTES`.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        size_of: Callable[[T], int] = lambda answer: 0,
        reduced: Callable[[T], T] = lambda answer: answer,
    ) -> None:
        self._clock = clock
        self._size_of = size_of
        self._reduced = reduced
        self._size_bytes = 0
        self._calls: OrderedDict[tuple[str, str], Call[T]] = OrderedDict()

    async def once(self, key: tuple[str, str], fingerprint: str, run: Callable[[Call[T]], Awaitable[T]]) -> T:
        """The answer of ``run`` to this call or to an earlier one of the same id; a call that never ran is repeated.

        Raises:
            Refusal: the id was used for another body (code ``conflict``), or for a call that was given up while it
                ran (code ``cancelled``).
        """
        while (call := self._find(key)) is not None:
            if call.fingerprint != fingerprint:
                raise Refusal(
                    ToolResult.failure(
                        "conflict",
                        f"call_id {key[1]!r} was used for another call",
                        hint="use a new call_id for each call",
                    )
                )
            if call.done is not None:
                await call.done.wait()
            if call.answer is not None:
                return call.answer
            if call.ran:
                raise Refusal(ToolResult.failure("cancelled", "the caller gave this call up while it ran"))
        call = self._calls[key] = Call(fingerprint)
        try:
            answer = call.answer = await run(call)
        finally:
            self._finish(key, call)
        return answer

    def _find(self, key: tuple[str, str]) -> Call[T] | None:
        call = self._calls.get(key)
        if call is not None and self._is_over(call):
            self._forget(key)
            return None
        return call

    def _is_over(self, call: Call[T]) -> bool:
        return call.finished_at is not None and self._clock() - call.finished_at > KEPT_S

    def _forget(self, key: tuple[str, str]) -> None:
        self._size_bytes -= self._calls.pop(key).size_bytes

    def _finish(self, key: tuple[str, str], call: Call[T]) -> None:
        if call.ran:
            call.finished_at = self._clock()
            self._calls.move_to_end(key)
            if call.answer is not None:
                call.size_bytes = self._size_of(call.answer)
                self._size_bytes += call.size_bytes
                self._tidy(call)
        else:
            self._forget(key)
        if len(self._calls) > CAPACITY:
            oldest = next((key for key, old in self._calls.items() if old.finished_at is not None), None)
            if oldest is not None:
                self._forget(oldest)
        if call.done is not None:
            call.done.set()

    def _tidy(self, newest: Call[T]) -> None:
        """Drop what is too old, and reduce the oldest answers while they are too large together."""
        over = []
        for key, call in self._calls.items():
            if call.finished_at is None:
                continue
            if not self._is_over(call):
                break
            over.append(key)
        for key in over:
            self._forget(key)
        if self._size_bytes <= KEPT_BYTES:
            return
        for call in self._calls.values():
            if call.size_bytes and call.answer is not None and call is not newest:
                call.answer = self._reduced(call.answer)
                self._size_bytes -= call.size_bytes
                call.size_bytes = 0
                if self._size_bytes <= KEPT_BYTES:
                    return


def result_log(clock: Callable[[], float]) -> CallLog[ToolResult]:
    """A log of calls of tools. A large result that it no longer keeps is answered ``output_limit``, with its artifacts."""
    return CallLog(clock, size_of=_bytes_of, reduced=_reduced)


def _bytes_of(result: ToolResult) -> int:
    images = (part.data for part in result.content if isinstance(part, ImageContent) and part.data is not None)
    return result.usage.bytes_out + sum(map(len, images))


def _reduced(result: ToolResult) -> ToolResult:
    said = f"the call ran and ended with the code {result.code!r}; its answer is not kept any longer"
    hint = "its whole text is its artifact" if result.truncation is not None else ""
    failure = ToolResult.failure("output_limit", said, hint=hint)
    kept = ("tool", "session_id", "artifacts", "truncation", "usage")
    return evolve(failure, **{name: getattr(result, name) for name in kept})


async def execute_once(
    calls: CallLog[ToolResult],
    worker_id: str,
    tool: str,
    params: Any,
    session: str | None,
    call_id: str | None,
    run: Callable[[Call[ToolResult]], Awaitable[ToolResult]],
) -> ToolResult:
    """The result of ``run``, or of the call that had the id before; without an id it is run each time."""
    if call_id is None:
        return await run(Call())
    try:
        result = await calls.once((worker_id, call_id), fingerprint(tool, params, session), run)
    except Refusal as refusal:
        result = refusal.result
    return evolve(result, call_id=call_id)
