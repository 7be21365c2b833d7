"""Record the answers of any model into a directory, for `ReplayModel` to answer from.

A recording is keyed by what was asked and in which role, not by the model that answered or its settings: it answers
in place of any model. A failure that the same request would meet again (context overflow, content filter, bad
request) is an answer too, so that a replay takes the same way; others are not recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from agentflow_core.answers import AnswerStore
from agentflow_core.errors import ContentFilterError, ContextOverflowError, ModelError, ModelRequestError
from agentflow_core.models.documents import canonical, key_of, request_document
from agentflow_core.records import Completion
from agentflow_core.records.codec import dump, load

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import ModelRequest

__all__ = ["RecordedModel", "read_answer", "recorded_request", "recording_store"]

_LASTING: dict[str, type[ModelError]] = {
    error.kind: error for error in (ContextOverflowError, ContentFilterError, ModelRequestError)
}


def recording_store(directory: Path) -> AnswerStore:
    """The store of model answers in a recording."""
    return AnswerStore(directory / "models.sqlite")


def recorded_request(request: ModelRequest) -> bytes:
    """A request as recordings hold it."""
    return canonical({"role": request.role, **request_document(request)})


def read_answer(stored: bytes) -> Completion:
    """The completion of a recorded answer. Raises the failure that was recorded in its place."""
    value = orjson.loads(stored)
    if "error" in value:
        error = value["error"]
        raise _LASTING[error["kind"]](error["message"], hint=error["hint"], status=error["status"])
    return load(Completion, value)


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
        try:
            completion = await self.model.complete(request)
        except tuple(_LASTING.values()) as error:
            said = {"kind": error.kind, "message": error.message, "hint": error.hint, "status": error.status}
            await self._record(request, {"error": said})
            raise
        await self._record(request, dump(completion))
        return completion

    async def _record(self, request: ModelRequest, answer: object) -> None:
        asked = recorded_request(request)
        await self.store.put(key_of(asked), asked, orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS))

    async def aclose(self) -> None:
        """Close the model; the store belongs to whoever opened it."""
        await self.model.aclose()
