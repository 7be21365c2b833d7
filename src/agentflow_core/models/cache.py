"""Keep every answer by what was asked, so that a resumed run asks only once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from attrs import define, field

from agentflow_core.models.documents import canonical, key_of, request_document, sampling_document
from agentflow_core.models.trace import call_trace
from agentflow_core.records import Completion
from agentflow_core.records.codec import dumps, loads

if TYPE_CHECKING:
    from agentflow_core.answers import AnswerStore
    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import ModelRequest, Sampling

__all__ = ["CachedModel", "is_storable"]


def is_storable(completion: Completion) -> bool:
    """Answers that were cut off or filtered are not worth keeping: the next attempt may do better."""
    return completion.finish_reason not in ("length", "content_filter")


@define
class _Flight:
    """A request that is on its way; those who ask the same meanwhile wait for its answer."""

    landed: anyio.Event = field(factory=anyio.Event)
    completion: Completion | None = None


class CachedModel:
    """A model whose answers are durable in a store before they are used.

    The key is canonical JSON of the model's name and host, its own sampling settings, and the request: messages,
    tools, tool choice, sampling, schema and ``sample``. Failures, truncated and filtered answers are never stored.
    Equal requests at the same time are sent once.
    """

    def __init__(
        self, model: ChatModel, store: AnswerStore, *, host: str = "", sampling: Sampling | None = None
    ) -> None:
        self.model = model
        self.store = store
        self._of = {"model": model.name, "host": host, "defaults": sampling_document(sampling) if sampling else {}}
        self._flights: dict[str, _Flight] = {}

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    def key(self, request: ModelRequest) -> str:
        """The key under which the answer of a request is stored."""
        return key_of(canonical(self._of | request_document(request)))

    async def complete(self, request: ModelRequest) -> Completion:
        """The stored answer, or the model's, stored.

        Raises:
            StorageError: the store cannot be written or read.
            ModelError: what the model raises.
        """
        key = self.key(request)
        while (flight := self._flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.completion is not None:
                return _cached(flight.completion)
        flight = self._flights[key] = _Flight()
        try:
            stored = await self.store.get(key)
            if stored is not None:
                flight.completion = loads(Completion, stored)
                return _cached(flight.completion)
            completion = await self.model.complete(request)
            if is_storable(completion):
                await self.store.put(key, None, dumps(completion))
                flight.completion = completion
            return completion
        finally:
            del self._flights[key]
            flight.landed.set()

    async def aclose(self) -> None:
        """Close the model; the store belongs to whoever opened it."""
        await self.model.aclose()


def _cached(completion: Completion) -> Completion:
    with call_trace() as trace:
        trace.cached = True
    return completion
