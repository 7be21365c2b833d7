"""A small OpenAI-compatible server for tests and benchmarks: real HTTP, scripted answers, faults on demand.

In a test: ``with OpenAIServer(latency_ms=5) as server: … server.url``. In a process of its own:
``python -m agentflow_core.testing.openai_server --port 4010 --latency-ms 50``.
"""

from __future__ import annotations

import argparse
import inspect
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.from_thread
import orjson
from attrs import frozen

from agentflow_core.refs import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    from aiohttp import web

__all__ = ["Fault", "Faults", "OpenAIServer", "Responder", "echo", "letters"]

FaultKind = Literal["rate_limit", "server_error", "disconnect", "malformed", "empty", "content_filter"]
_CHARS_PER_TOKEN = 4


@frozen(kw_only=True)
class Fault:
    """What goes wrong with one request."""

    kind: FaultKind
    retry_after_s: float | None = None  #: with a 429: the Retry-After header
    headers: Mapping[str, str] = {}


@frozen(kw_only=True)
class Faults:
    """How often things go wrong, each a share from 0 to 1; the same seed gives the same sequence."""

    rate_limit: float = 0.0
    server_error: float = 0.0
    disconnect: float = 0.0  #: in the middle of the body
    malformed: float = 0.0  #: half of a JSON text
    retry_after_s: float | None = None
    seed: int = 0


#: From the body of a request to the message that answers it (``{content, tool_calls, …}``; its ``finish_reason`` and
#: ``usage`` are taken out), its text, or a fault.
Answer = Mapping[str, Any] | str | Fault
Responder = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]
#: From a text to its vector.
Embedding = Callable[[str], Sequence[float]]


def echo(body: dict[str, Any]) -> Answer:
    """Say the last message again: as text, as JSON where that is asked for, as arguments where a call is forced."""
    last = _text(body["messages"][-1])
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return {"tool_calls": [{"name": choice["function"]["name"], "arguments": {"echo": last}}]}
    if body.get("response_format", {}).get("type") in ("json_schema", "json_object"):
        return orjson.dumps({"echo": last}).decode()
    return last


def letters(text: str) -> Sequence[float]:
    """How often each letter from a to z stands in the text, and all else: texts of the same letters are equal."""
    counts = [0.0] * 27
    for character in text.lower():
        index = ord(character) - ord("a")
        counts[index if 0 <= index < 26 else 26] += 1
    return counts


class OpenAIServer:
    """Answers ``POST /v1/chat/completions``, ``POST /v1/embeddings`` and ``GET /v1/models``, in a thread of its own.

    It does so while it is open.

    Args:
        responder: makes the answers.
        script: answers that are given first, one a request for a completion, before the responder is asked.
        embed: makes the vectors of texts.
        latency_ms: how long each answer takes.
        faults: what goes wrong by chance.
        models: names that are known; any name if empty.
        without_tools: names of models that refuse tools.
        refuse: what is refused with 400: ways to ask for JSON (``json_schema``, ``tool``, ``json_object``), and
            ``max_tokens``, in place of which some models want ``max_completion_tokens``.
        headers: sent with every completion.
        api_key: the key that requests must bring, if any.
        context_chars: requests with more characters in their messages are refused as too long.
        keep: keep the bodies of requests in ``requests``.
        port: where to listen; 0 takes a free one.
    """

    def __init__(
        self,
        responder: Responder = echo,
        *,
        script: Iterable[Answer] = (),
        embed: Embedding = letters,
        latency_ms: float = 0.0,
        faults: Faults | None = None,
        models: Sequence[str] = (),
        without_tools: Sequence[str] = (),
        refuse: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        context_chars: int | None = None,
        keep: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.responder = responder
        self.script = deque(script)
        self.embed = embed
        self.latency_ms = latency_ms
        self.faults = faults
        self.models = tuple(models)
        self.without_tools = frozenset(without_tools)
        self.refuse = frozenset(refuse)
        self.answer_headers = dict(headers or {})
        self.api_key = api_key
        self.context_chars = context_chars
        self.keep = keep
        self.host = host
        self.port = port
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.calls = 0  #: requests for completions and embeddings that came
        self.in_flight = 0
        self.max_in_flight = 0
        self._rng = Random(faults.seed if faults else 0)
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """What a client uses as ``base_url``."""
        return f"http://{self.host}:{self.port}/v1"

    def __enter__(self) -> Self:
        portal = self._stack.enter_context(anyio.from_thread.start_blocking_portal())
        self._stack.enter_context(portal.wrap_async_context_manager(self.serving()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on the running event loop."""
        from aiohttp import web

        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/stats", self._stats)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port, backlog=1024)
            await site.start()
            self.port = runner.addresses[0][1]
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if self.api_key is not None and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return _error(400, "We could not read the JSON body of your request.", "invalid_request_error")
        if self.keep:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
        if (refused := self._refused(body)) is not None:
            return refused
        fault = self._fault()
        if self.latency_ms:
            await anyio.sleep(self.latency_ms / 1000)
        answer: Answer | Awaitable[Answer]
        if fault is not None:
            answer = fault
        elif "input" in body:
            return _response(200, _embeddings(body, self.embed, len(raw)), self.answer_headers)
        elif self.script:
            answer = self.script.popleft()
        else:
            answer = self.responder(body)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Fault):
            if answer.kind == "disconnect":
                return await _disconnect(request)
            return _failing(answer)
        return _response(200, _completion(body, answer, len(raw)), self.answer_headers)

    def _refused(self, body: dict[str, Any]) -> web.Response | None:
        model = str(body.get("model"))
        if self.models and model not in self.models:
            return _error(
                404, f"The model '{model}' does not exist or you do not have access to it.", "model_not_found"
            )
        if "input" in body:
            texts = body["input"]
            if not isinstance(texts, list) or not texts or not all(isinstance(one, str) and one for one in texts):
                return _error(400, "'input' must be a list of texts that are not empty", "invalid_request_error")
            return None
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            return _error(400, "'messages' must not be empty", "invalid_request_error", "messages")
        if body.get("stream"):
            return _error(400, "'stream' is not supported by this server", "unsupported_parameter", "stream")
        if body.get("tools") and model in self.without_tools:
            return _error(400, f"{model} does not support tools", "invalid_request_error")
        form = body.get("response_format", {}).get("type")
        if form in self.refuse:
            return _error(400, f"'response_format' of type '{form}' is not supported", "invalid_request_error")
        if "tool" in self.refuse and isinstance(body.get("tool_choice"), dict):
            return _error(400, "'tool_choice' must be 'auto' or 'none'", "invalid_request_error", "tool_choice")
        if "max_tokens" in self.refuse and "max_tokens" in body:
            message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            return _error(400, message, "unsupported_parameter", "max_tokens")
        if self.context_chars is not None and sum(len(_text(m)) for m in body["messages"]) > self.context_chars:
            message = f"This model's maximum context length is {self.context_chars // _CHARS_PER_TOKEN} tokens."
            return _error(400, message, "context_length_exceeded", "messages")
        return None

    def _fault(self) -> Fault | None:
        faults = self.faults
        if faults is None:
            return None
        chance = self._rng.random()
        for kind in ("rate_limit", "server_error", "disconnect", "malformed"):
            chance -= getattr(faults, kind)
            if chance < 0:
                return Fault(kind=kind, retry_after_s=faults.retry_after_s)
        return None

    async def _models(self, request: web.Request) -> web.Response:
        names = self.models or ("mock",)
        return _response(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    async def _stats(self, request: web.Request) -> web.Response:
        return _response(200, {"calls": self.calls, "in_flight": self.in_flight, "max_in_flight": self.max_in_flight})


def _completion(body: dict[str, Any], answer: Mapping[str, Any] | str, size_bytes: int) -> dict[str, Any]:
    said: dict[str, Any] = {"content": answer} if isinstance(answer, str) else dict(answer)
    usage = said.pop("usage", None)
    calls = [_tool_call(index, call) for index, call in enumerate(said.pop("tool_calls", None) or ())]
    finish = said.pop("finish_reason", "tool_calls" if calls else "stop")
    message: dict[str, Any] = {"role": "assistant", "content": None, **said}
    if calls:
        message["tool_calls"] = calls
    prompt = size_bytes // _CHARS_PER_TOKEN
    written = len(str(message["content"] or calls)) // _CHARS_PER_TOKEN
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage or {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
    }


def _embeddings(body: dict[str, Any], embed: Embedding, size_bytes: int) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": index, "embedding": list(embed(text))}
        for index, text in enumerate(body["input"])
    ]
    tokens = size_bytes // _CHARS_PER_TOKEN
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}


def _tool_call(index: int, call: Mapping[str, Any]) -> Mapping[str, Any]:
    """A call as written, or made from ``{name, arguments, id?}``."""
    if "function" in call:
        return call
    arguments = call.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id", f"call_{index}"), "type": "function", "function": function}


def _response(status: int, value: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    from aiohttp import web

    return web.Response(
        status=status, body=orjson.dumps(value), content_type="application/json", headers=dict(headers or {})
    )


def _error(
    status: int, message: str, code: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": param}
    return _response(status, {"error": error}, headers)


def _failing(fault: Fault) -> web.Response:
    from aiohttp import web

    headers = dict(fault.headers)
    if fault.retry_after_s is not None:
        headers["Retry-After"] = f"{fault.retry_after_s:g}"
    match fault.kind:
        case "rate_limit":
            return _error(429, "Rate limit reached", "rate_limit_exceeded", headers=headers)
        case "server_error":
            return _error(500, "The server had an error while processing your request", "server_error", headers=headers)
        case "content_filter":
            return _error(400, "The response was filtered", "content_filter", headers=headers)
        case "empty":
            return _response(200, {"id": "chatcmpl-1", "choices": []}, headers)
        case _:
            return web.Response(body=b'{"id": "chatcmpl-1", "choices": [{"mess', content_type="application/json")


async def _disconnect(request: web.Request) -> web.StreamResponse:
    from aiohttp import web

    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": "chatcmpl-1"')
    if request.transport is not None:
        request.transport.close()
    return response


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="openai_server", description="a small OpenAI-compatible server for tests")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the first line printed is the URL")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--responder", default="", help="package.module:function, from body to message; default: echo")
    parser.add_argument("--api-key", default=None)
    parser.add_argument("--model", action="append", default=[], help="a name that is known (default: any)")
    parser.add_argument(
        "--refuse", action="append", default=[], choices=["json_schema", "tool", "json_object", "max_tokens"]
    )
    for fault in ("rate-limit", "server-error", "disconnect", "malformed"):
        parser.add_argument(f"--{fault}", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--retry-after", type=float, default=None, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    return parser


async def _serve(server: OpenAIServer) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with server.serving():
            sys.stdout.write(f"{server.url}\n")
            sys.stdout.flush()
            async for _ in signals:
                return


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    given = _arguments().parse_args()
    faults = Faults(
        rate_limit=given.rate_limit,
        server_error=given.server_error,
        disconnect=given.disconnect,
        malformed=given.malformed,
        retry_after_s=given.retry_after,
        seed=given.seed,
    )
    server = OpenAIServer(
        resolve(given.responder) if given.responder else echo,
        latency_ms=given.latency_ms,
        faults=faults,
        models=given.model,
        refuse=given.refuse,
        api_key=given.api_key,
        keep=False,
        host=given.host,
        port=given.port,
    )
    anyio.run(_serve, server)


if __name__ == "__main__":
    main()
