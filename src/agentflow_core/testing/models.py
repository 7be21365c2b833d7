"""A chat model for tests that plays a script and keeps what it was asked."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import orjson

from agentflow_core.records import Completion, Usage, assistant

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from agentflow_core.records import ModelRequest, ToolCall

__all__ = ["Reply", "ScriptedModel", "says"]

#: What a script holds: an answer, its text, or an error to raise.
Reply = Completion | str | Exception


def says(
    text: str = "", *, json: object = None, tool_calls: tuple[ToolCall, ...] = (), usage: Usage | None = None
) -> Completion:
    """A completion with this text, JSON value or calls, and a usage of one call."""
    parsed = None
    if json is not None:
        text = orjson.dumps(json, default=dict).decode()
        parsed = orjson.loads(text)
    return Completion(
        message=assistant(text, tool_calls=tool_calls),
        finish_reason="tool_calls" if tool_calls else "stop",
        usage=usage or Usage(calls=1),
        model="scripted",
        parsed=parsed,
    )


class ScriptedModel:
    """Answers with the replies in turn, or with what a function (sync or async) says to each request.

    ``requests`` holds every request that came, in order. A request beyond the script is an `AssertionError`.
    """

    host = ""

    def __init__(
        self,
        script: Iterable[Reply] | Callable[[ModelRequest], Reply | Awaitable[Reply]],
        *,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        self.closed = False
        self._answer = script if callable(script) else None
        self._replies = iter(()) if callable(script) else iter(script)

    async def complete(self, request: ModelRequest) -> Completion:
        """The next reply. Raises the error that the script holds."""
        self.requests.append(request)
        reply: Reply | Awaitable[Reply] | None
        if self._answer is not None:
            reply = self._answer(request)
            if inspect.isawaitable(reply):
                reply = await reply
        else:
            reply = next(self._replies, None)
        if reply is None:
            raise AssertionError(f"the script of {self.name!r} ended before request {len(self.requests)}")
        if isinstance(reply, Exception):
            raise reply
        return says(reply) if isinstance(reply, str) else reply

    async def aclose(self) -> None:
        """Remember that it was closed."""
        self.closed = True
