"""Open the proxies of a launcher's sessions, and tell sessions where theirs is."""

from __future__ import annotations

import resource
import socket
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from agentflow_core.sandbox.launchers.proxy.namespaces import listener_of
from agentflow_core.sandbox.launchers.proxy.patterns import AllowList
from agentflow_core.sandbox.launchers.proxy.reaching import Reach, SystemResolver
from agentflow_core.sandbox.launchers.proxy.serving import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver
    from agentflow_core.sandbox.launchers.spec import Network

__all__ = ["INSIDE_URL", "PORT", "Doors", "proxy_env"]

#: Where the proxy listens in a session's own network: the port that proxies are known by.
PORT: Final = 3128
INSIDE_URL: Final = f"http://127.0.0.1:{PORT}"

_MOST_CLIENTS: Final = 1024


def proxy_env(url: str) -> dict[str, str]:
    """The variables by which programs find a proxy, in both of the spellings that are looked for."""
    told = {
        **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), url),
        "no_proxy": "localhost,127.0.0.1,::1",
    }
    return {**told, **{name.upper(): value for name, value in told.items()}}


class Doors:
    """Opens proxies; they share a resolver, and how many clients they may have together.

    Args:
        resolver: looks names up; by default that of this machine.
    """

    def __init__(self, resolver: Resolver | None = None) -> None:
        self._resolver = resolver or SystemResolver()
        self._room = anyio.Semaphore(_room())

    async def inside(self, pid: int, network: Network, *, is_it: Callable[[int], bool] | None = None) -> Proxy:
        """A proxy at `INSIDE_URL` in the network of a process; for the arguments see `listener_of`.

        Raises:
            SandboxError: ``unsupported``.
        """
        return self._proxy(await anyio.to_thread.run_sync(partial(listener_of, pid, PORT, is_it=is_it)), network)

    def on_loopback(self, network: Network) -> Proxy:
        """A proxy on this machine's own loopback, at a port that was free."""
        return self._proxy(socket.create_server(("127.0.0.1", 0)), network)

    def _proxy(self, listener: socket.socket, network: Network) -> Proxy:
        return Proxy(listener, Reach(AllowList.read(network.allow_hosts), self._resolver), room=self._room)


def _room() -> int:
    """How many clients: each takes two descriptors, and most are to be left for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CLIENTS if soft == resource.RLIM_INFINITY else max(16, min(_MOST_CLIENTS, soft // 8))
