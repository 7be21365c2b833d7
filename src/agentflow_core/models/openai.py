"""The openai provider: any server that speaks OpenAI's chat completions or embeddings, through the SDK's low-level request."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import anyio
import orjson
from attrs import evolve, frozen

from agentflow_core.config import option
from agentflow_core.errors import (
    AuthenticationError,
    BadOutputError,
    ContentFilterError,
    ModelError,
    ModelRequestError,
    TransientError,
)
from agentflow_core.models.openai_errors import (
    Refusal,
    error_of,
    pause_after,
    wants_completion_tokens,
    wants_next_rung,
)
from agentflow_core.models.openai_wire import (
    RUNGS,
    Rung,
    decode_body,
    decode_completion,
    decode_embeddings,
    encode_body,
)
from agentflow_core.models.prices import PriceConfig, price_of
from agentflow_core.models.structured import parse_json
from agentflow_core.models.trace import call_trace
from agentflow_core.records import Completion, Sampling

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from openai import AsyncOpenAI

    from agentflow_core.blobs import BlobStore
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ModelRequest

__all__ = ["OpenAIConfig", "OpenAIModel"]

_OPENAI_URL = "https://api.openai.com/v1"
_KEY_VARIABLE = "OPENAI_API_KEY"
#: Sent to servers that need no key; the SDK does not start without one.
_NO_KEY = "no-key-needed"
_CHAT = "/chat/completions"
_EMBEDDINGS = "/embeddings"
#: What the SDK tells of the platform and of its own retries; leaving it out saves a tenth of what a request costs.
_PLATFORM = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
_PROGRESS = ("retry-count", "read-timeout")


@frozen(kw_only=True)
class OpenAIConfig:
    """An OpenAI-compatible server and one of its models."""

    name: str = option(help="the model's name at the server")
    base_url: str | None = option(
        None, help=f"the server's URL, with /v1; default: OPENAI_BASE_URL, else {_OPENAI_URL}"
    )
    api_key: str | None = option(None, help=f"the key; default: {_KEY_VARIABLE}", secret=True)
    organization: str | None = option(None, help="the organization that is billed", operational=True)
    temperature: float | None = option(None, help="sampling temperature", at_least=0)
    top_p: float | None = option(None, help="nucleus sampling", at_least=0, at_most=1)
    max_tokens: int | None = option(None, help="tokens of one answer at most", at_least=1)
    seed: int | None = option(None, help="seed of the server's sampling")
    max_concurrency: int = option(64, help="requests at once at most", at_least=1, operational=True)
    requests_per_minute: float | None = option(None, help="the account's quota", at_least=0.001, operational=True)
    tokens_per_minute: float | None = option(None, help="the account's quota", at_least=1, operational=True)
    timeout_s: float = option(600.0, help="seconds for one request", at_least=0.001, operational=True)
    structured_output: Literal["auto", "json_schema", "tool", "json_object", "text"] = option(
        "auto",
        help="how JSON is asked for; auto begins with json_schema and falls back to what the server accepts",
        choices=("auto", *RUNGS),
    )
    extra: Mapping[str, Any] = option(factory=dict, help="further fields of the request body")
    prices: PriceConfig | None = option(None, help="prices that the table does not have, or has otherwise")


class OpenAIModel:
    """A model at an OpenAI-compatible server: OpenAI, vLLM, SGLang, Ollama, llama.cpp, OpenRouter and others.

    One client with one connection pool; the SDK's own retries are off. Open it with ``async with``.
    """

    local = False

    def __init__(self, config: OpenAIConfig) -> None:
        self.config = config
        self.name = f"openai/{config.name}"
        self.host = (config.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL).rstrip("/")
        if urlsplit(self.host).scheme not in ("http", "https"):
            raise ModelRequestError(f"base_url {self.host!r} is no URL", hint=f"write it like {_OPENAI_URL}")
        self.sampling = Sampling(
            temperature=config.temperature,
            top_p=config.top_p,
            max_tokens=config.max_tokens,
            seed=config.seed,
            extra=config.extra,
        )
        self.price = config.prices or price_of(self.host, config.name)
        self._blobs: BlobStore | None = None
        self._client: AsyncOpenAI | None = None
        self._response_class: Any = None
        self._bytes_argument = "content"
        self._options: Any = {}
        self._rungs: tuple[Rung, ...] = RUNGS if config.structured_output == "auto" else (config.structured_output,)
        self._max_tokens_field = "max_tokens"

    def bind(self, host: PluginHost, blobs: BlobStore | None = None) -> None:
        """Take the store that holds the bytes of images."""
        self._blobs = blobs

    async def __aenter__(self) -> Self:
        self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            with anyio.CancelScope(shield=True):
                await client.close()

    async def complete(self, request: ModelRequest) -> Completion:
        """One answer, without retries. ``parsed`` is set where a response schema was given and JSON came.

        A request of the purpose ``embed`` goes to the server's embeddings; see `ModelEmbedder`.

        Raises:
            ModelError: typed by what went wrong.
        """
        if request.purpose == "embed":
            return await self._embed(request)
        sampling = _merged(self.sampling, request.sampling)
        if request.response_schema is None:
            return await self._send(request, sampling, "text")
        while True:
            rungs = _usable(self._rungs, request)
            try:
                completion = await self._send(request, sampling, rungs[0])
                break
            except ModelRequestError as error:
                if len(rungs) == 1 or not wants_next_rung(error, tools=bool(request.tools)):
                    raise
                _count_another()
                self._rungs = tuple(rung for rung in self._rungs if rung != rungs[0])
        try:
            return evolve(completion, parsed=parse_json(completion.text, request.response_schema))
        except BadOutputError:
            return completion  # who asked decides whether to ask again

    async def _embed(self, request: ModelRequest) -> Completion:
        texts = [message.text for message in request.messages]
        body = {**self.config.extra, "model": self.config.name, "input": texts, "encoding_format": "float"}
        answered = await self._post(body, _EMBEDDINGS)
        return decode_embeddings(answered, len(texts), url=self.host, model=self.config.name, price=self.price)

    async def _send(self, request: ModelRequest, sampling: Sampling, rung: Rung) -> Completion:
        body = encode_body(
            request,
            model=self.config.name,
            sampling=sampling,
            rung=rung,
            blobs=self._blobs,
            max_tokens_field=self._max_tokens_field,
        )
        try:
            answered = await self._post(body)
        except ModelRequestError as error:
            if "max_tokens" not in body or not wants_completion_tokens(error):
                raise
            _count_another()
            self._max_tokens_field = "max_completion_tokens"
            body["max_completion_tokens"] = body.pop("max_tokens")
            answered = await self._post(body)
        completion = decode_completion(
            answered,
            url=self.host,
            model=self.config.name,
            price=self.price,
            answer_tool=rung == "tool" and request.response_schema is not None,
        )
        if completion.finish_reason == "content_filter":
            raise ContentFilterError(f"{self.host} ended the answer of {self.config.name!r} with content_filter")
        return completion

    async def _post(self, body: dict[str, Any], path: str = _CHAT) -> dict[str, Any]:
        client = self._client or self._connect()
        import aiohttp
        import openai

        try:
            with anyio.fail_after(self.config.timeout_s):
                response: Any = await client.post(
                    self.host + path,  # whole, or the SDK would join it for each request
                    cast_to=self._response_class,
                    options=self._options,
                    **self._payload(body),
                )
        except (TimeoutError, openai.APITimeoutError) as error:
            raise self._timed_out(error) from error
        except openai.APIConnectionError as error:
            raise self._unreachable(error) from error
        except openai.APIStatusError as error:
            raise self._refused(error.status_code, error.body, error.response.headers) from error
        except (openai.OpenAIError, aiohttp.ClientError) as error:  # the SDK lets broken HTTP through as it is
            raise TransientError(f"{self.host}: {type(error).__name__}: {error}") from error
        answered = decode_body(response.content, self.host)
        if "error" in answered and not answered.get("choices"):  # OpenRouter answers errors with 200
            code = answered["error"].get("code") if isinstance(answered["error"], Mapping) else None
            status = code if isinstance(code, int) and code >= 400 else 500
            raise self._refused(status, answered, response.headers)
        if pause := pause_after(response.headers):
            with call_trace() as trace:
                trace.pause_s = pause
        return answered

    def _payload(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body as bytes, under the name that this release of the SDK takes them by; its own encoder is slower."""
        return {self._bytes_argument: orjson.dumps(body, default=dict)}

    def _connect(self) -> AsyncOpenAI:
        key = self.config.api_key or os.environ.get(_KEY_VARIABLE)
        if not key:
            if (urlsplit(self.host).hostname or "").endswith("openai.com"):
                raise AuthenticationError(
                    f"no key for {self.host}",
                    hint=f"set the environment variable {_KEY_VARIABLE}, or api_key: ${{{_KEY_VARIABLE}}}",
                )
            key = _NO_KEY
        import inspect

        import openai  # a second; only for runs that talk to a server

        http = _http_library(openai.DefaultAioHttpClient)
        connections = self.config.max_concurrency + 8
        limits = http.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60)
        self._response_class = http.Response
        takes_content = "content" in inspect.signature(openai.AsyncOpenAI.post).parameters
        self._bytes_argument = "content" if takes_content else "body"
        omitted: Any = openai.Omit()
        # all that the client has set already: what is not given here, the SDK copies a default of for each request
        self._options = {
            "headers": {f"x-stainless-{name}": omitted for name in _PROGRESS},
            "timeout": self.config.timeout_s,
            "max_retries": 0,
        }
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=self.host,
            organization=self.config.organization,
            max_retries=0,
            timeout=self.config.timeout_s,
            default_headers={f"X-Stainless-{name}": omitted for name in _PLATFORM},
            http_client=openai.DefaultAioHttpClient(limits=limits, verify=_verification(self.host)),
        )
        return self._client

    def _timed_out(self, error: Exception) -> ModelError:
        cause = error.__cause__
        if isinstance(cause, Exception) and "Timeout" not in type(cause.__cause__ or cause).__name__:
            return self._unreachable(error)  # the transport calls a dropped connection a timeout
        return TransientError(f"{self.host} did not answer within {self.config.timeout_s:g} s")

    def _unreachable(self, error: Exception) -> ModelError:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        detail = " ".join(str(cause).split()) or type(cause).__name__
        return TransientError(f"the connection to {self.host} failed: {detail}", hint="is the server running?")

    def _refused(self, status: int, body: Any, headers: Mapping[str, str]) -> ModelError:
        return error_of(Refusal.of(status, body), headers, url=self.host, model=self.config.name)


def _merged(defaults: Sampling, asked: Sampling) -> Sampling:
    """What the request asks for, over the model's settings."""
    return Sampling(
        temperature=defaults.temperature if asked.temperature is None else asked.temperature,
        top_p=defaults.top_p if asked.top_p is None else asked.top_p,
        max_tokens=defaults.max_tokens if asked.max_tokens is None else asked.max_tokens,
        seed=defaults.seed if asked.seed is None else asked.seed,
        stop=asked.stop or defaults.stop,
        extra={**defaults.extra, **asked.extra} if asked.extra else defaults.extra,
    )


def _count_another() -> None:
    """One more request is sent for the call than the layers above know of."""
    with call_trace() as trace:
        trace.attempts += 1


def _usable(rungs: tuple[Rung, ...], request: ModelRequest) -> tuple[Rung, ...]:
    """A forced tool call is no way to ask for JSON while real tools are offered."""
    found = tuple(rung for rung in rungs if rung != "tool") if request.tools else rungs
    return found or ("text",)


def _verification(url: str) -> ssl.SSLContext | Literal[True]:
    """How certificates are checked: as usual; for plain HTTP against none, since loading them takes 20 ms."""
    if urlsplit(url).scheme == "https":
        return True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _http_library(client: type) -> Any:
    """The HTTP library that this release of the SDK stands on, httpx or httpx2: the home of its client's base."""
    base = next(cls for cls in client.__mro__ if cls.__name__ == "AsyncClient")
    return sys.modules[base.__module__.partition(".")[0]]
