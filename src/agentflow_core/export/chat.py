"""Conversations in the chat form of OpenAI as trainers take them, and what must be true of one."""

from __future__ import annotations

import base64
import json
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from agentflow_core.agent.answers import SUBMIT
from agentflow_core.export.examples import is_whole
from agentflow_core.export.formats import Unfit
from agentflow_core.records import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentflow_core.blobs import BlobStore
    from agentflow_core.export.examples import Example
    from agentflow_core.export.selection import Source
    from agentflow_core.records import ToolDefinition

__all__ = [
    "IN_PLACE",
    "arguments_of",
    "chat_messages",
    "check_chat",
    "check_tools",
    "conversations",
    "data_url",
    "function_of",
]

#: What a tool message says that has a picture and no text.
IN_PLACE = "(see the image below)"
_MALFORMED = "a tool call whose arguments are not a JSON object"


def conversations(source: Source, *, parsed_arguments: bool = False) -> Iterator[Example]:
    """The answered examples of a source; those without an answer are counted as left out.

    ``parsed_arguments``: the format has arguments as objects, so a call with others has no place in it.
    """
    for example in source.examples():
        if example.outcome != "answered" or not is_whole(example.messages):
            source.left_out["no answer"] += 1
        elif any(message.role == "system" for message in _after_instructions(example.messages)):
            source.left_out["instructions in the midst of it"] += 1
        elif parsed_arguments and any(
            arguments_of(call.arguments) is None for message in example.messages for call in message.tool_calls
        ):
            source.left_out[_MALFORMED] += 1
        else:
            yield example


def _after_instructions(messages: Sequence[Message]) -> Iterator[Message]:
    return dropwhile(lambda message: message.role == "system", messages)


def arguments_of(text: str) -> dict[str, Any] | None:
    """The arguments of a call as an object; None where they are none."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def function_of(tool: ToolDefinition) -> dict[str, Any]:
    """A tool as a function definition."""
    described = {"name": tool.wire_name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": described}


def data_url(blobs: BlobStore) -> Callable[[ImagePart], dict[str, Any]]:
    """How OpenAI takes a picture: with its bytes in the message."""

    def picture(part: ImagePart) -> dict[str, Any]:
        data = base64.b64encode(blobs.get(part.sha256)).decode("ascii")
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}

    return picture


def chat_messages(
    messages: Sequence[Message], picture: Callable[[ImagePart], dict[str, Any]], *, parsed_arguments: bool = False
) -> list[dict[str, Any]]:
    """The messages; the pictures of tool results follow their run of tool messages, which may hold text only.

    ``parsed_arguments``: for chat templates, which want the arguments as objects and a tool's name beside its result.
    Reasoning and fields of a server's own are left out: the form has no place for them.
    """
    found: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    names: dict[str | None, str] = {}
    for message in messages:
        if message.role == "tool":
            shown = [picture(part) for part in message.content if isinstance(part, ImagePart)]
            pictures += shown
            text = message.text or (IN_PLACE if shown else "")
            value = {"role": "tool", "content": text, "tool_call_id": message.tool_call_id}
            found.append({**value, "name": names.get(message.tool_call_id, "")} if parsed_arguments else value)
            continue
        names = {call.id: call.name for call in message.tool_calls}
        if pictures:
            found.append({"role": "user", "content": pictures})
            pictures = []
        found.append(_message(message, picture, parsed_arguments=parsed_arguments))
    if pictures:
        found.append({"role": "user", "content": pictures})
    return found


def _message(
    message: Message, picture: Callable[[ImagePart], dict[str, Any]], *, parsed_arguments: bool
) -> dict[str, Any]:
    content: str | list[dict[str, Any]] | None = message.text
    if any(isinstance(part, ImagePart) for part in message.content):
        content = [
            {"type": "text", "text": part.text} if isinstance(part, TextPart) else picture(part)
            for part in message.content
        ]
    value: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_calls:
        value["content"] = content or None
        value["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": arguments_of(call.arguments) if parsed_arguments else call.arguments,
                },
            }
            for call in message.tool_calls
        ]
    return value


# ---- reading back


def check_chat(messages: Any, where: str, *, parsed_arguments: bool = False, is_whole: bool = True) -> None:
    """Check a conversation that was read back.

    Instructions come first if at all; each message has the types of the form; every call of a message is answered
    right after it, by one tool message each. ``is_whole``: it has a question, and comes to an answer.

    Raises:
        Unfit: names the message.
    """
    if not isinstance(messages, list) or not messages:
        raise Unfit(f"{where}: no messages")
    pending: list[str] = []
    asked: list[str] = []
    is_first = True
    for number, message in enumerate(messages):
        at = f"{where}, message {number + 1}"
        role = _role(message, at, is_first=is_first)
        is_first = role == "system"
        if role == "tool":
            if message.get("tool_call_id") not in pending:
                raise Unfit(f"{at}: it answers no call of the message before it")
            pending.remove(message["tool_call_id"])
            continue
        if pending:
            raise Unfit(f"{at}: the tool call {pending[0]!r} before it has no answer")
        calls = [_call(call, at, parsed_arguments=parsed_arguments) for call in message.get("tool_calls") or ()]
        if role == "assistant":
            pending = [call["id"] for call in calls]
            asked = [call["function"]["name"] for call in calls]
            if len(set(pending)) < len(pending):
                raise Unfit(f"{at}: two tool calls with one id")
        elif calls:
            raise Unfit(f"{at}: only an assistant calls tools")
    if pending:
        raise Unfit(f"{where}: the tool call {pending[0]!r} has no answer")
    if is_whole:
        last = messages[-1]["role"] == "assistant" and not messages[-1].get("tool_calls")
        if not last and SUBMIT.name not in asked:
            raise Unfit(f"{where}: it ends without an answer")
        if not any(message["role"] == "user" for message in messages):
            raise Unfit(f"{where}: nobody asks anything")


def check_tools(tools: Any, where: str) -> set[str]:
    """Check function definitions that were read back; returns their names."""
    if not isinstance(tools, list):
        raise Unfit(f"{where}: tools is no list")
    names = set()
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not isinstance(function.get("parameters"), dict):
            raise Unfit(f"{where}: a tool is no function definition")
        names.add(str(function.get("name")))
    return names


def _role(message: Any, at: str, *, is_first: bool) -> str:
    if not isinstance(message, dict):
        raise Unfit(f"{at}: no object")
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant", "tool"):
        raise Unfit(f"{at}: {role!r} is no role")
    if role == "system" and not is_first:
        raise Unfit(f"{at}: instructions come first or not at all")
    parts = content if isinstance(content, list) else []
    if any(not isinstance(part, dict) or not isinstance(part.get("type"), str) for part in parts):
        raise Unfit(f"{at}: a part of its content has no type")
    if not isinstance(content, str | list) and not (content is None and message.get("tool_calls")):
        raise Unfit(f"{at}: its content is neither a text nor a list of parts")
    return str(role)


def _call(call: Any, at: str, *, parsed_arguments: bool) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) and call.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not isinstance(call["id"], str):
        raise Unfit(f"{at}: a tool call is not whole")
    if not isinstance(function.get("arguments"), dict if parsed_arguments else str):
        raise Unfit(f"{at}: the arguments of {function['name']!r} are no {'object' if parsed_arguments else 'text'}")
    return dict(call)
