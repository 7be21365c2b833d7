"""Record the answers of any model into a directory, for `ReplayModel` to answer from.

A recording is keyed by what was asked and in which role, not by the model that answered or its settings: it answers
in place of any model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.answers import AnswerStore
from agentflow_core.models.documents import canonical, key_of, request_document
from agentflow_core.records.codec import dumps

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import Completion, ModelRequest

__all__ = ["RecordedModel", "recorded_request", "recording_store"]


def recording_store(directory: Path) -> AnswerStore:
    """The store of model answers in a recording."""
    return AnswerStore(directory / "models.sqlite")


def recorded_request(request: ModelRequest) -> bytes:
    """A request as recordings hold it."""
    return canonical({"role": request.role, **request_document(request)})


class RecordedModel:
    """A model whose answers go into a recording."""

    def __init__(self, model: ChatModel, store: AnswerStore) -> None:
        self.model = model
        self.store = store

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    async def complete(self, request: ModelRequest) -> Completion:
        """The answer of the model, recorded. Raises what the model raises, and `StorageError`."""
        completion = await self.model.complete(request)
        asked = recorded_request(request)
        await self.store.put(key_of(asked), asked, dumps(completion))
        return completion

    async def aclose(self) -> None:
        """Close the model; the store belongs to whoever opened it."""
        await self.model.aclose()
