"""What pages reach: all that is public, and what was opened by name; each name is looked up once, by us.

The proxy is the core's, one for each session. A host is judged again with every request, so redirects, frames,
workers and names that change what they stand for are all held to the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import ConfigError, Problem
from agentflow_core.sandbox.launchers.proxy.patterns import AllowList, Pattern
from agentflow_core.sandbox.launchers.proxy.reaching import Reach
from agentflow_core.sandbox.launchers.proxy.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    from agentflow_core.sandbox.launchers.proxy.connections import Connection
    from agentflow_core.sandbox.launchers.proxy.hosts import Host
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver

__all__ = ["BrowserReach", "check_hosts", "may_open"]

_SCHEMES: Final = ("http", "https", "data", "blob")
_PUBLIC: Final = "*:*"
_REMEMBERED: Final = 64


class _Opened(AllowList):
    """Hosts that the operator named: their addresses are not judged."""

    def objection(self, address: IPv4Address | IPv6Address, port: int) -> str:
        """None."""
        return ""


class BrowserReach(Reach):
    """What the pages of one session reach, and the last hosts that they were refused.

    Args:
        allow_hosts: hosts that are opened, ``host`` at every port or ``host:port``.
        resolver: looks names up.
        public: whether public hosts are open too.
    """

    def __init__(self, allow_hosts: Iterable[str], resolver: Resolver, *, public: bool = True) -> None:
        texts = [_any_port(text) for text in allow_hosts]
        self._named = _Opened(tuple(each for each in map(Pattern.read, texts) if each.text != _PUBLIC))
        super().__init__(AllowList.read([*texts, *([_PUBLIC] if public else [])]), resolver)
        self._opened = Reach(self._named, resolver)
        self.refusals: deque[Refusal] = deque(maxlen=_REMEMBERED)

    async def connection(self, host: Host, port: int) -> Connection:
        """See `Reach.connection`."""
        try:
            if isinstance(host, str) and self._named.admits(host, port):
                return await self._opened.connection(host, port)
            return await super().connection(host, port)
        except Refusal as refusal:
            self.refusals.append(refusal)
            raise

    def refusal(self, host: str) -> Refusal | None:
        """The last refusal of a host."""
        wanted = host.strip("[]").lower()
        return next((each for each in reversed(self.refusals) if each.details.get("host") == wanted), None)


def check_hosts(allow_hosts: Iterable[str]) -> None:
    """See that all can be read.

    Raises:
        ConfigError: which cannot, and why.
    """
    problems: list[Problem] = []
    for index, text in enumerate(allow_hosts):
        try:
            Pattern.read(_any_port(text))
        except ValueError as error:
            problems.append(Problem(str(error), path=f"allow_hosts.{index}"))
    if problems:
        raise ConfigError(problems)


def may_open(url: str) -> bool:
    """Is the address of a kind that pages may have? Not files, nor pages of the browser itself."""
    scheme, colon, _ = url.partition(":")
    return url == "about:blank" or (bool(colon) and scheme.lower() in _SCHEMES)


def _any_port(text: str) -> str:
    head, colon, port = text.rpartition(":")
    has_port = bool(colon and head and "]" not in port and (port.isdigit() or port == "*"))
    return text if has_port else f"{text}:*"
