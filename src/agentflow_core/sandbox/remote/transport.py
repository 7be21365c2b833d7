"""Requests to one server: so many calls at once and no more, sent again where the connection failed or it was full."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import orjson
from attrs import frozen

from agentflow_core.errors import SandboxError, UsageError
from agentflow_core.sandbox.wire import HEARTBEAT_HEADER

if TYPE_CHECKING:
    from random import Random
    from types import TracebackType
    from typing import Self

    import httpx
    from httpx_aiohttp import AiohttpTransport

__all__ = ["Answer", "Transport", "Unreachable", "checked_url"]

CONNECT_S = 10.0
#: How long an answer is waited for where a request does not say: no limit of a server is as long.
ANSWER_S = 6 * 3600.0
#: Shorter than servers keep a connection without requests, so that few requests meet one that is being closed.
KEPT_OPEN_S = 15.0
#: What a server may ask for between two tries.
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.01, 60.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
#: Statuses with which a proxy says that the server behind it is away; the server's own are told by their envelope.
_FROM_A_PROXY = (502, 503, 504)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Unreachable(SandboxError):
    """The server does not answer; ``was_sent`` says that it may have got the request all the same."""

    def __init__(self, message: str, *, hint: str, was_sent: bool) -> None:
        super().__init__(message, code="not_ready", hint=hint)
        self.was_sent = was_sent


@frozen
class Answer:
    """What came back for a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """A server's URL and the connections to it. Open it with ``async with``.

    Args:
        url: ``http://host:port``, with a path where the server stands behind one.
        token: sent as a bearer token.
        slots: calls under way at once at most; the others wait here, where waiting costs nothing.
        patience_s: how long a request is sent again while the connection fails.
        calm_s: how long a request is sent again while the server says that it is full.
        rng: spreads the retries of many calls.
    """

    def __init__(
        self, url: str, *, token: str | None, slots: int, patience_s: float, calm_s: float, rng: Random
    ) -> None:
        self.url = checked_url(url)
        self._headers = [("Host", urlsplit(self.url).netloc), ("Accept", "*/*"), (HEARTBEAT_HEADER.decode(), "yes")]
        if token:
            self._headers.append(("Authorization", f"Bearer {token}"))
        self._slots = anyio.CapacityLimiter(slots)
        self._patience_s = patience_s
        self._calm_s = calm_s
        self._rng = rng
        self._http: AiohttpTransport | None = None
        self._under_way: set[anyio.CancelScope] = set()

    async def __aenter__(self) -> Self:
        from httpx_aiohttp import AiohttpTransport  # brings httpx and aiohttp: a fifth of a second

        verify: Any = True if self.url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = AiohttpTransport(verify=verify, client=lambda: _session(self.url, transport.ssl_context))
        self._http = transport
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        http, self._http = self._http, None
        if http is not None:
            with anyio.CancelScope(shield=True):
                await http.aclose()

    @property
    def load(self) -> int:
        """Calls under way and waiting."""
        statistics = self._slots.statistics()
        return statistics.borrowed_tokens + statistics.tasks_waiting

    def hang_up(self) -> None:
        """Give up every request under way, as if its connection had failed: the server shows no sign of life."""
        for scope in tuple(self._under_way):
            scope.cancel()

    async def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        is_call: bool = False,
        patience_s: float | None = None,
        answer_s: float = ANSWER_S,
    ) -> Answer:
        """The server's answer, whatever its status but 429, for which it is asked again until ``calm_s`` is over.

        A request whose answer is lost is sent again: what must not be done twice says an id of its own.

        Args:
            method: GET, POST, PUT or DELETE.
            path: with its query, quoted.
            content: the body.
            media_type: of the body.
            headers: beside the token.
            is_call: it takes one of the slots; what keeps sessions alive or closes them never waits behind calls.
            patience_s: instead of that of the transport.
            answer_s: how long the server may say nothing before its connection counts as failed.

        Raises:
            Unreachable: the connection failed for longer than ``patience_s``.
        """
        patience_s = self._patience_s if patience_s is None else patience_s
        request_headers = [*self._headers, *(headers or {}).items()]
        if content is not None:
            request_headers += [("Content-Type", media_type), ("Content-Length", str(len(content)))]
        url = self.url + path
        failures = 0
        give_up_at: float | None = None
        tell_at: float | None = None
        while True:
            try:
                async with self._slots if is_call else nullcontext():
                    answer = await self._attempt(method, url, content, request_headers, answer_s)
            except Unreachable:
                give_up_at = anyio.current_time() + patience_s if give_up_at is None else give_up_at
                pause_s = self._pause(failures)
                failures += 1
                if anyio.current_time() + pause_s > give_up_at:
                    raise
            else:
                wait_s = _asked_to_wait(answer)
                if wait_s is None:
                    return answer
                failures, give_up_at = 0, None
                tell_at = anyio.current_time() + self._calm_s if tell_at is None else tell_at
                pause_s = wait_s * self._rng.uniform(1.0, 1.25)
                if anyio.current_time() + pause_s > tell_at:
                    return answer
            await anyio.sleep(pause_s)

    def _pause(self, failures: int) -> float:
        if not failures:  # mostly a connection that the server closed meanwhile
            return 0.0
        longest = min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE_S)
        return longest * self._rng.uniform(0.5, 1.0)

    async def _attempt(
        self, method: str, url: str, content: bytes | None, headers: list[tuple[str, str]], answer_s: float
    ) -> Answer:
        import aiohttp
        import httpx

        if self._http is None:
            raise SandboxError(
                "the sandbox is not open", code="not_ready", hint="async with Sandbox(url) as sandbox: …"
            )
        timeouts = {"timeout": {"connect": CONNECT_S, "read": answer_s, "pool": None, "write": None}}
        request = httpx.Request(method, _parsed(url), headers=headers, content=content, extensions=timeouts)
        with anyio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                response = await self._http.handle_async_request(request)
                try:
                    body = await response.aread()
                finally:
                    await response.aclose()
                if response.status_code in _FROM_A_PROXY and not _is_json(response.headers):
                    raise self._away(f"HTTP {response.status_code} from what stands before it", was_sent=True)
                return Answer(response.status_code, response.headers, body)
            except (httpx.TransportError, aiohttp.ClientError) as error:
                raise self._unreachable(error) from error
            finally:
                self._under_way.discard(scope)
        raise self._silent()

    def _unreachable(self, error: Exception) -> Unreachable:
        import aiohttp

        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        detail = " ".join(str(cause).split()) or type(cause).__name__
        refused = isinstance(error.__cause__, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        return self._away(detail, was_sent=not refused)

    def _away(self, detail: str, *, was_sent: bool) -> Unreachable:
        message = f"no sandbox server answers at {self.url}: {detail}"
        return Unreachable(message, hint=_start(self.url), was_sent=was_sent)

    def _silent(self) -> Unreachable:
        return Unreachable(
            f"the sandbox server at {self.url} shows no sign of life", hint=_start(self.url), was_sent=True
        )


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    """The URL, parsed: a quarter of what a call costs, and most go to one."""
    import httpx

    return httpx.URL(url)


def checked_url(url: str) -> str:
    """The URL without a slash at its end. Raises `UsageError` if it is none of a server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is not the URL of a sandbox server", hint="write it like http://127.0.0.1:18890")
    if parts.query or parts.fragment or parts.username:
        raise UsageError(f"the URL of a sandbox server has no query and no user: {url!r}", hint="token= takes a token")
    return url.rstrip("/")


def _is_json(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").startswith("application/json")


def _start(url: str) -> str:
    parts = urlsplit(url)
    port = f" --port {parts.port}" if parts.port else ""
    where = "start one" if parts.hostname in _LOOPBACK else f"start one on {parts.hostname}"
    return f"{where}: agentflow serve{port}"


def _asked_to_wait(answer: Answer) -> float | None:
    """The seconds after which a server that is full wants to be asked again; None if it is not full."""
    if answer.status != 429:
        return None
    try:
        envelope = orjson.loads(answer.body)
        if envelope["code"] != "overloaded":
            return None
        asked = envelope.get("retry_after_s") or answer.headers.get("Retry-After") or 1.0
        return min(max(float(asked), SHORTEST_WAIT_S), LONGEST_WAIT_S)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):  # somebody before the server, such as a proxy
        return 1.0


def _session(url: str, context: ssl.SSLContext) -> Any:
    """Connections without a limit of their own: the slots are the limit, and what is no call goes past them."""
    from urllib.request import getproxies

    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, ssl=context if url.startswith("https:") else True, keepalive_timeout=KEPT_OPEN_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=urlsplit(url).hostname not in _LOOPBACK and bool(getproxies()),
    )
