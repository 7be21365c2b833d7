"""Let the test server answer from a recording, so that a whole run goes over HTTP with sensible answers.

A recording holds requests as `agentflow_core.models.documents.request_document` writes them; what comes over HTTP has
the shape of OpenAI chat. Both are brought into one form, the conversation alone, which decides the answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio

from agentflow_core.models.recording import recording_store
from agentflow_core.records import Completion
from agentflow_core.records.codec import loads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agentflow_core.testing.openai_server import Responder

__all__ = ["recorded_responder"]


def recorded_responder(directory: Path) -> Responder:
    """A responder for `OpenAIServer` that gives the answers of a recording made with ``--record``.

    Raises:
        KeyError: from the responder: a conversation that the recording does not hold; the server answers 500.
    """
    answers = anyio.run(_answers, directory)

    def respond(body: dict[str, Any]) -> Mapping[str, Any]:
        return answers[_key([_said_over_http(message) for message in body["messages"]])]

    return respond


async def _answers(directory: Path) -> dict[str, Mapping[str, Any]]:
    async with recording_store(directory) as store:
        entries = await store.entries()
    return {
        _key([_said_on_record(message) for message in json.loads(entry.request)["messages"]]): _message(entry.answer)
        for entry in entries
        if entry.request is not None
    }


def _message(answer: bytes) -> Mapping[str, Any]:
    message = loads(Completion, answer).message
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return {"content": message.text or None, "tool_calls": calls}


def _said_on_record(message: Mapping[str, Any]) -> list[Any]:
    text = "".join(part for part in message["content"] if isinstance(part, str))
    return [message["role"], text, message.get("tool_calls", []), message.get("tool_call_id")]


def _said_over_http(message: Mapping[str, Any]) -> list[Any]:
    calls = [
        [call["id"], call["function"]["name"], call["function"]["arguments"]]
        for call in message.get("tool_calls") or ()
    ]
    return [message["role"], message.get("content") or "", calls, message.get("tool_call_id")]


def _key(conversation: list[Any]) -> str:
    return json.dumps(conversation, sort_keys=True)
