"""Ask a model for embeddings through the layers of chat models: limits, retries, cache, recording, budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.errors import BadOutputError
from agentflow_core.records import ModelRequest, user

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.interfaces import ChatModel

__all__ = ["ModelEmbedder"]

#: What comes back in ``Completion.parsed``; it also tells a request for embeddings from a chat of the same texts.
EMBEDDINGS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"embeddings": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}},
    "required": ["embeddings"],
    "additionalProperties": False,
}


class ModelEmbedder:
    """An `Embedder` over a model that answers requests of the purpose ``embed``.

    Such a request has a message for each text. Its answer has the vectors in ``parsed``: ``{"embeddings": [[…], …]}``.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The name of the model."""
        return self._model.name

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text, in order.

        Raises:
            BadOutputError: the model gave something else, as chat models do.
            ModelError: what the model raises.
        """
        request = ModelRequest(
            messages=tuple(map(user, texts)), response_schema=EMBEDDINGS_SCHEMA, purpose="embed", role="embedder"
        )
        completion = await self._model.complete(request)
        found = completion.parsed.get("embeddings") if isinstance(completion.parsed, dict) else None
        if not isinstance(found, list) or not _are_vectors(found, len(texts)):
            raise BadOutputError(
                f"{self.name} gave no {len(texts)} embeddings of one length",
                hint="name an embedding model for the role 'embedder', such as openai/text-embedding-3-small",
            )
        return found


def _are_vectors(found: list[Any], count: int) -> bool:
    return (
        len(found) == count
        and all(isinstance(vector, list) and vector and len(vector) == len(found[0]) for vector in found)
        and all(isinstance(number, int | float) for vector in found for number in vector)
    )
