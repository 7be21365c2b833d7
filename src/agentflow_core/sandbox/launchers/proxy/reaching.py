"""Decide whether a host may be reached, and connect to the very address that was judged: it is looked up just once."""

from __future__ import annotations

import logging
import socket
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.to_thread

from agentflow_core.sandbox.launchers.proxy.connections import connect
from agentflow_core.sandbox.launchers.proxy.refusals import denied, unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.sandbox.launchers.proxy.connections import Connection
    from agentflow_core.sandbox.launchers.proxy.hosts import Address, Host
    from agentflow_core.sandbox.launchers.proxy.patterns import AllowList

__all__ = ["Reach", "Resolver", "SystemResolver"]

_log = logging.getLogger("agentflow_core.sandbox")

#: How many of a host's addresses are tried.
_TRIES: Final = 4
_CONNECT_S: Final = 10.0
_RESOLVE_S: Final = 10.0


class Resolver(Protocol):
    """Looks names up."""

    async def __call__(self, name: str) -> Sequence[str]:
        """The addresses of a host, best first.

        Raises:
            OSError: there are none.
        """
        ...


class SystemResolver:
    """The resolver of this machine, asked in a few threads."""

    def __init__(self, at_once: int = 8) -> None:
        self._threads = anyio.CapacityLimiter(at_once)

    async def __call__(self, name: str) -> Sequence[str]:
        """See `Resolver`."""
        look = partial(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
        found = await anyio.to_thread.run_sync(look, limiter=self._threads, abandon_on_cancel=True)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Reach:
    """What one session may reach, and how."""

    def __init__(self, allowed: AllowList, resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver

    async def connection(self, host: Host, port: int) -> Connection:
        """A connection to the host.

        Raises:
            Refusal: it may not be reached (403), or it does not answer (502, 504).
        """
        if not self._allowed.admits(host, port):
            _log.debug("a session was denied %s:%s", host, port)
            raise denied(host, port, self._allowed)
        addresses = await self._judged(host, port)
        failure = "no answer"
        for address in addresses[:_TRIES]:
            try:
                with anyio.fail_after(_CONNECT_S):
                    return await connect(address, port)
            except TimeoutError:
                failure = f"no connection within {_CONNECT_S:g} s"
            except OSError as error:
                failure = error.strerror or "no connection"
        raise unreachable(host, port, failure)

    async def _judged(self, host: Host, port: int) -> list[Address]:
        """The host's addresses that may be reached, of which there is one at least."""
        addresses = [host] if not isinstance(host, str) else await self._resolved(host, port)
        objections = {address: self._allowed.objection(address, port) for address in addresses}
        judged = [address for address, objection in objections.items() if not objection]
        if not judged:
            _log.debug("a session was denied %s:%s, which is at %s", host, port, addresses)
            raise denied(host, port, self._allowed, next(iter(objections.values())))
        return judged

    async def _resolved(self, name: str, port: int) -> list[Address]:
        try:
            with anyio.fail_after(_RESOLVE_S):
                found = [ip_address(text) for text in await self._resolver(name)]
        except TimeoutError:
            raise unreachable(name, port, f"its name was not found within {_RESOLVE_S:g} s", status=504) from None
        except (OSError, ValueError) as error:
            raise unreachable(name, port, f"its name was not found ({error})") from error
        if not found:
            raise unreachable(name, port, "its name has no address")
        return found
