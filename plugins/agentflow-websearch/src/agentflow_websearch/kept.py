"""Answers that are kept: for a moment in live mode, in a file for the cache, for a recording and its replay."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from agentflow_core.answers import AnswerStore
from agentflow_core.concurrency import Merged
from agentflow_core.errors import SandboxError
from agentflow_websearch.failures import WebFailure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from agentflow_core.models.clock import Clock
    from agentflow_websearch.config import WebConfig

__all__ = ["Answer", "Answers", "key_of"]

#: Part of every key: raised when what is stored changes its meaning.
_VERSION = 1


@frozen(kw_only=True)
class Answer:
    """What was asked for, as JSON, and whether it was not asked for again."""

    value: Mapping[str, Any]
    cached: bool


@frozen(kw_only=True)
class _Outcome:
    """What a flight brings: a value, or the failure of everybody on board."""

    value: Mapping[str, Any] | None = None
    failure: WebFailure | None = None
    cached: bool = False


def key_of(request: Mapping[str, Any]) -> str:
    """The content address of a request."""
    return hashlib.sha256(orjson.dumps({"version": _VERSION, **request}, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Answers:
    """See the module. What several ask for at the same time is asked for once.

    Of ``record`` and ``replay``, the same calls have the same answers, so nothing in them says ``cached``.
    """

    def __init__(self, config: WebConfig, path: Path, clock: Clock) -> None:
        self._mode = config.cache.mode
        self._path = path
        self._store = None if self._mode == "live" else AnswerStore(path)
        self._flights: Merged[_Outcome] = Merged()
        self._recent = _Recent(config.remember_pages, config.remember_s, clock)

    def check(self) -> None:
        """Raise `SandboxError` for a replay without its recording."""
        if self._mode == "replay" and not self._path.is_file():
            raise SandboxError(
                f"there is no recording {self._path}",
                code="provider_unavailable",
                hint="record one first: cache: {mode: record}",
            )

    async def get(
        self, request: Mapping[str, Any], work: Callable[[], Awaitable[Mapping[str, Any]]], *, again: bool = False
    ) -> Answer:
        """The answer of ``work``, or the kept one.

        Args:
            request: what is asked; equal requests have one answer.
            work: asks for it.
            again: live mode may give an answer of a moment ago.

        Raises:
            WebFailure: as ``work`` does, or the kept failure; ``provider_unavailable``: a replay does not hold it.
        """
        key = key_of(request)
        outcome = await self._flights.run((key, again), lambda: self._outcome(key, request, work, again))
        if outcome.failure is not None:
            raise outcome.failure
        assert outcome.value is not None
        return Answer(value=outcome.value, cached=outcome.cached)

    async def aclose(self) -> None:
        """Close the file."""
        if self._store is not None:
            await self._store.aclose()

    async def _outcome(
        self, key: str, request: Mapping[str, Any], work: Callable[[], Awaitable[Mapping[str, Any]]], again: bool
    ) -> _Outcome:
        if self._store is None:
            if again and (known := self._recent.get(key)) is not None:
                return _Outcome(value=known, cached=True)
            outcome = await _done(work)
            if outcome.value is not None:
                self._recent.put(key, outcome.value)
            return outcome
        found = await self._store.get(key)
        if found is not None:
            kept = orjson.loads(found)
            if "failure" in kept:
                return _Outcome(failure=WebFailure.of_data(kept["failure"]))
            return _Outcome(value=kept["value"], cached=self._mode == "cache")
        asked = orjson.dumps(request, option=orjson.OPT_SORT_KEYS)
        if self._mode == "replay":
            return _Outcome(failure=await self._missed(self._store, asked))
        outcome = await _done(work)
        if outcome.value is not None:
            await self._store.put(key, asked, orjson.dumps({"value": outcome.value}))
        elif outcome.failure is not None and self._mode == "record":
            await self._store.put(key, asked, orjson.dumps({"failure": outcome.failure.as_data()}))
        return outcome

    async def _missed(self, store: AnswerStore, asked: bytes) -> WebFailure:
        nearest = await store.nearest(asked)
        hint = "record it with cache: {mode: record}"
        if nearest is not None and nearest.request is not None:
            hint += f"; nearest is {nearest.request.decode('utf-8', 'replace')[:300]}"
        told = f"the recording does not hold {asked.decode('utf-8', 'replace')[:300]}"
        return WebFailure("provider_unavailable", told, hint=hint)


async def _done(work: Callable[[], Awaitable[Mapping[str, Any]]]) -> _Outcome:
    try:
        return _Outcome(value=await work())
    except WebFailure as failure:
        return _Outcome(failure=failure)


class _Recent:
    """The last few answers, for some minutes."""

    def __init__(self, most: int, keep_s: float, clock: Clock) -> None:
        self._most = most
        self._keep_s = keep_s
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()

    def get(self, key: str) -> Mapping[str, Any] | None:
        found = self._known.get(key)
        if found is None or self._clock.now() - found[0] > self._keep_s:
            return None
        self._known.move_to_end(key)
        return found[1]

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        self._known.pop(key, None)
        self._known[key] = (self._clock.now(), value)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
