"""The hosts that a session may reach: patterns such as ``pypi.org``, ``*.pythonhosted.org``, ``example.com:8443``."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.sandbox.launchers.proxy.addresses import is_of_this_machine, special
from agentflow_core.sandbox.launchers.proxy.hosts import read_host, read_port, split_port

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_core.sandbox.launchers.proxy.hosts import Address, Host

__all__ = ["DEFAULT_PORTS", "AllowList", "Pattern"]

#: The ports of a pattern that names none: HTTP and HTTPS.
DEFAULT_PORTS: Final = frozenset({80, 443})

_MAPPED: Final = IPv6Network("::ffff:0:0/96")


@frozen(kw_only=True)
class Pattern:
    """One of the hosts that may be reached; just one of ``name``, ``suffix`` and ``network`` is set, none for ``*``."""

    text: str  #: as it was written
    name: str = ""
    suffix: str = ""  #: with its leading dot; the domain itself is not meant
    network: IPv4Network | IPv6Network | None = None
    ports: frozenset[int] | None = DEFAULT_PORTS  #: None: any

    @classmethod
    def read(cls, text: str) -> Pattern:
        """A pattern: a name, ``*.`` and a domain, an address, a network, or ``*``; then ``:port`` or ``:*``.

        Raises:
            ValueError: what is wrong with it, for the person who wrote it.
        """
        if not text or text != text.strip() or any(char.isspace() for char in text):
            raise ValueError(f"{text!r} is empty or holds blanks; write a host such as pypi.org")
        if "://" in text or "@" in text:
            raise ValueError(f"{text!r} is not a host; write it without scheme, user and path, such as pypi.org")
        if text.count(":") > 1 and not text.startswith("["):
            raise ValueError(f"{text!r}: an IPv6 address stands in brackets, such as [2001:db8::1]:443")
        host, port = split_port(text)
        ports = DEFAULT_PORTS if port is None else None if port == "*" else frozenset({_port(text, port)})
        if host == "*":
            return cls(text=text, ports=ports)
        if host.startswith("*."):
            return cls(text=text, suffix=f".{_name(text, host[2:])}", ports=ports)
        if "*" in host:
            raise ValueError(f"{text!r}: * stands for everything before a domain, as in *.example.com, or alone")
        if "/" in host or host.startswith("[") or _is_address(host):
            return cls(text=text, network=_network(text, host), ports=ports)
        return cls(text=text, name=_name(text, host), ports=ports)

    def admits(self, host: Host, port: int) -> bool:
        """Whether the host, as it was asked for, is meant."""
        if self.ports is not None and port not in self.ports:
            return False
        if isinstance(host, str):
            return host == self.name or bool(self.suffix and host.endswith(self.suffix)) or self._is_any
        return self._is_any or (self.network is not None and host in self.network)

    def names(self, address: Address, port: int, within: IPv4Network | IPv6Network) -> bool:
        """Whether the address is meant by a pattern that names it, or a network, on purpose: one inside of ``within``."""
        network = self.network
        if network is None or (self.ports is not None and port not in self.ports) or address not in network:
            return False
        return _is_inside(network, within)

    @property
    def _is_any(self) -> bool:
        return not (self.name or self.suffix or self.network)


@frozen
class AllowList:
    """All patterns of a session."""

    patterns: tuple[Pattern, ...]

    @classmethod
    def read(cls, texts: Iterable[str]) -> AllowList:
        """The list of these patterns.

        Raises:
            ValueError: what is wrong with one of them.
        """
        return cls(tuple(map(Pattern.read, texts)))

    def admits(self, host: Host, port: int) -> bool:
        """May the host, as it was asked for, be reached? A name that is not in the list is not even looked up."""
        return any(pattern.admits(host, port) for pattern in self.patterns)

    def objection(self, address: Address, port: int) -> str:
        """Why an address must not be reached though its host may; empty if it may.

        One that is not public has to be named by a pattern that is an address, or a network of nothing but its kind:
        ``0.0.0.0/0`` opens neither loopback nor the metadata of a cloud.
        """
        if (found := special(address)) is not None:
            network, meaning = found.network, found.meaning
        elif is_of_this_machine(address):
            network, meaning = ip_network(address), "of this machine"
        else:
            return ""
        return "" if any(each.names(address, port, network) for each in self.patterns) else meaning

    def __str__(self) -> str:
        return ", ".join(pattern.text for pattern in self.patterns)


def _port(text: str, port: str) -> int:
    try:
        return read_port(port)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}; write 1 to 65535, or * for any") from None


def _is_address(host: str) -> bool:
    """Whether it is meant as an IPv4 address, be it a right one or not."""
    last = host.removesuffix(".").rpartition(".")[2]
    return last.isascii() and (last.isdigit() or last.lower().startswith("0x"))


def _network(text: str, host: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(host.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        said = str(error).rpartition("' ")[2] if "host bits" in str(error) else "is neither an address nor a network"
        raise ValueError(f"{text!r}: {host} {said}; write such as 10.1.2.3, 10.0.0.0/8 or [2001:db8::1]") from None
    if isinstance(network, IPv6Network) and (network.subnet_of(_MAPPED) or "%" in host):
        raise ValueError(f"{text!r}: write the IPv4 address itself, and no interface")
    return network


def _name(text: str, host: str) -> str:
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
        found = read_host(name)
    except ValueError:
        found = None
    if not isinstance(found, str):
        raise ValueError(f"{text!r}: {host!r} is not the name of a host")
    return found


def _is_inside(network: IPv4Network | IPv6Network, within: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(within, IPv4Network) and network.subnet_of(within)
    return isinstance(within, IPv6Network) and network.subnet_of(within)
