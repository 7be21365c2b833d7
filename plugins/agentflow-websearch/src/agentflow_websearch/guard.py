"""Connect to public addresses only: a name is looked up once, judged, and that very address is dialed.

The judgement is made for every connection, so for every redirect too; a name that resolves otherwise a moment later
changes nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import anyio
import httpcore
import httpx

from agentflow_core.sandbox.launchers.proxy.hosts import read_host
from agentflow_core.sandbox.launchers.proxy.patterns import AllowList
from agentflow_websearch.failures import WebFailure

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.sandbox.launchers.proxy.hosts import Address, Host
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver

__all__ = ["Guard", "GuardedTransport"]

_TRIES = 4
#: Names that only ever mean this machine or its network (RFC 6761, RFC 6762, RFC 8375, and what clouds use).
_INSIDE = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet")


class Guard:
    """What may be reached.

    Args:
        allow_hosts: patterns such as ``127.0.0.1:8080``; what they name exactly may be reached though it is not public.
        resolver: looks names up.
        resolve_s: within so many seconds.
    """

    def __init__(self, allow_hosts: Iterable[str], resolver: Resolver, *, resolve_s: float = 10.0) -> None:
        self._allowed = AllowList.read(allow_hosts)
        self._resolver = resolver
        self._resolve_s = resolve_s

    async def addresses(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host that may be dialed, best first.

        Raises:
            WebFailure: ``network_denied``: there are only others; ``not_found``: there are none.
        """
        read = _read(host)
        found = await self._looked_up(read) if isinstance(read, str) else [read]
        if isinstance(read, str) and self._is_named(read, port):
            return found
        objections = {address: self._allowed.objection(address, port) for address in found}
        public = [address for address, objection in objections.items() if not objection]
        if not public:
            raise _denied(host, next(iter(objections.values())))
        return public

    def check_unresolved(self, host: str, port: int) -> None:
        """Judge a host that somebody else will look up, by its name alone.

        Raises:
            WebFailure: ``network_denied``: it is this machine's or its network's.
        """
        read = _read(host)
        if isinstance(read, str):
            inside = "." not in read or f".{read}".endswith(_INSIDE)
            if inside and not self._is_named(read, port):
                raise _denied(host, "of this machine or its network")
        elif objection := self._allowed.objection(read, port):
            raise _denied(host, objection)

    def _is_named(self, host: str, port: int) -> bool:
        return any(pattern.name == host and pattern.admits(host, port) for pattern in self._allowed.patterns)

    async def _looked_up(self, name: str) -> list[Address]:
        try:
            with anyio.fail_after(self._resolve_s):
                found = [_plain(ip_address(text.partition("%")[0])) for text in await self._resolver(name)]
        except TimeoutError:
            raise WebFailure("upstream_error", f"the name {name} was not found within {self._resolve_s:g} s") from None
        except (OSError, ValueError) as error:
            raise _unknown(name) from error
        if not found:
            raise _unknown(name)
        return list(dict.fromkeys(found))


def _read(host: str) -> Host:
    try:
        return _plain(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return read_host(host)
    except ValueError as error:
        raise WebFailure("invalid_argument", str(error), next_provider=False) from error


def _plain(address: IPv4Address | IPv6Address) -> Address:
    """An IPv4 address that is written as IPv6 is judged as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _unknown(name: str) -> WebFailure:
    return WebFailure(
        "not_found", f"there is no host {name}", hint="check the address, or search for it", next_provider=False
    )


def _denied(host: str, objection: str) -> WebFailure:
    return WebFailure(
        "network_denied",
        f"{host} may not be read: its address is not public but {objection}",
        hint="choose a public page",
        next_provider=False,
    )


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in (await self._guard.addresses(host, port))[:_TRIES]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.UnsupportedProtocol("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connections that pass a guard; no proxy and no credentials of the environment are used.

    What httpcore raises comes out as `httpx.TransportError`, what the guard raises as it is.
    """

    def __init__(self, guard: Guard, *, ssl_context: ssl.SSLContext, connections: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=15.0,
            network_backend=_GuardedNetwork(guard),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.AsyncBaseTransport`."""
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = await self._pool.handle_async_request(asked)
        except _HTTPCORE_ERRORS as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Stream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._response.aiter_stream():
                yield part
        except _HTTPCORE_ERRORS as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


def _as_httpx(error: Exception) -> httpx.TransportError:
    told = str(error) or type(error).__name__
    if isinstance(error, httpcore.TimeoutException):
        return httpx.ConnectTimeout(told) if isinstance(error, httpcore.ConnectTimeout) else httpx.ReadTimeout(told)
    if isinstance(error, httpcore.ConnectError):
        return httpx.ConnectError(told)
    if isinstance(error, httpcore.NetworkError):
        return httpx.ReadError(told)
    if isinstance(error, httpcore.UnsupportedProtocol):
        return httpx.UnsupportedProtocol(told)
    return httpx.RemoteProtocolError(told)
