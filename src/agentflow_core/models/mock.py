"""The mock model: latency, answers, errors and malformed output by script; for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import anyio
import orjson
from attrs import evolve, frozen

from agentflow_core.config import option
from agentflow_core.errors import (
    AuthenticationError,
    BadOutputError,
    ContentFilterError,
    ContextOverflowError,
    ModelError,
    ModelRequestError,
    RateLimitError,
    TransientError,
)
from agentflow_core.models.documents import canonical, key_of, request_document
from agentflow_core.models.structured import parse_json
from agentflow_core.records import Completion, Purpose, ToolCall, Usage, assistant

if TYPE_CHECKING:
    from agentflow_core.records import ModelRequest

__all__ = ["MockConfig", "MockModel", "MockStep"]

_ERRORS: dict[str, type[ModelError]] = {
    kind.kind: kind
    for kind in (
        RateLimitError,
        TransientError,
        ContextOverflowError,
        ContentFilterError,
        AuthenticationError,
        ModelRequestError,
    )
}


@frozen(kw_only=True)
class MockStep:
    """What the model does with one request: it says ``text`` or ``json``, calls tools, or fails."""

    text: str = option("", help="what it says; {last} stands for the last message")
    json: Any = option(None, help="a JSON value that it says")
    tool_calls: tuple[Mapping[str, Any], ...] = option((), help="calls, each {name, arguments}")
    error: str | None = option(None, help="the kind of error that it raises", choices=tuple(_ERRORS))
    retry_after_s: float | None = option(None, help="what a rate limit asks for", at_least=0)
    finish_reason: Literal["stop", "tool_calls", "length"] = option("stop", help="why it stopped")


@frozen(kw_only=True)
class MockConfig:
    """A script. Without one, the model says the last message again."""

    latency_ms: float = option(0.0, help="how long each request takes", at_least=0)
    steps: tuple[MockStep, ...] = option((), help="one for each request in turn; then they begin again")
    rules: Mapping[str, tuple[MockStep, ...]] = option(
        factory=dict,
        help="steps by purpose, taken before the others: one for each attempt of a request, the last one for all after",
        choices=get_args(Purpose),
    )
    max_concurrency: int = option(64, help="requests at once at most", at_least=1)


class MockModel:
    """Plays a script. Its ``rules`` depend on the request and its attempts only, not on the order of requests."""

    name = "mock"
    host = ""
    local = False  #: it goes through all layers, so that a script can try them

    def __init__(self, config: MockConfig | None = None) -> None:
        self.config = config or MockConfig()
        self._taken = 0
        self._attempts: dict[str, int] = {}

    async def complete(self, request: ModelRequest) -> Completion:
        """Play the next step of the script. Raises the error that it names."""
        step = self._next(request)
        if self.config.latency_ms:
            await anyio.sleep(self.config.latency_ms / 1000)
        if step.error is not None:
            raise _ERRORS[step.error](f"the script says {step.error}", retry_after_s=step.retry_after_s)
        return _answer(step, request)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _next(self, request: ModelRequest) -> MockStep:
        if rules := self.config.rules.get(request.purpose):
            key = key_of(canonical(request_document(request)))
            attempt = self._attempts.get(key, 0)
            self._attempts[key] = attempt + 1
            return rules[min(attempt, len(rules) - 1)]
        if not self.config.steps:
            return MockStep(text="{last}")
        step = self.config.steps[self._taken % len(self.config.steps)]
        self._taken += 1
        return step


def _answer(step: MockStep, request: ModelRequest) -> Completion:
    text = step.text
    if step.json is not None:
        text = orjson.dumps(step.json, default=dict).decode()
    elif "{last}" in text:
        text = text.replace("{last}", request.messages[-1].text if request.messages else "")
    calls = tuple(_call(index, call) for index, call in enumerate(step.tool_calls))
    completion = Completion(
        message=assistant(text, tool_calls=calls),
        finish_reason="tool_calls" if calls else step.finish_reason,
        usage=Usage(calls=1),
        model=MockModel.name,
    )
    if request.response_schema is None:
        return completion
    try:
        return evolve(completion, parsed=parse_json(text, request.response_schema))
    except BadOutputError:
        return completion


def _call(index: int, call: Mapping[str, Any]) -> ToolCall:
    arguments = call.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments, default=dict).decode()
    return ToolCall(id=str(call.get("id", f"call_{index}")), name=str(call["name"]), arguments=arguments)
