"""Tell public addresses from those that lead to this machine, its network or its cloud.

From the IANA special-purpose address registries (RFC 6890 and its updates), stricter: of IPv6 only the global unicast
space is public. The ranges are written out since what `ipaddress` calls global differs between releases of Python.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.proxy.hosts import Address

__all__ = ["Special", "is_of_this_machine", "special"]


@frozen
class Special:
    """A range that is not public, and what it is for."""

    network: IPv4Network | IPv6Network
    meaning: str


def _table(text: str) -> tuple[Special, ...]:
    rows = (line.split(maxsplit=1) for line in text.strip().splitlines())
    return tuple(Special(ip_network(network), meaning) for network, meaning in rows)


_IPV4: Final = _table("""
    127.0.0.0/8         loopback
    10.0.0.0/8          private
    172.16.0.0/12       private
    192.168.0.0/16      private
    169.254.0.0/16      link-local, where clouds keep their metadata
    168.63.129.16/32    of a cloud's own services
    100.64.0.0/10       shared by a provider's customers
    0.0.0.0/8           unspecified
    192.0.0.0/24        reserved for protocols
    192.0.2.0/24        reserved for documentation
    198.51.100.0/24     reserved for documentation
    203.0.113.0/24      reserved for documentation
    192.88.99.0/24      a relay to IPv6
    198.18.0.0/15       reserved for benchmarks
    224.0.0.0/4         multicast
    240.0.0.0/4         reserved or broadcast
""")

#: The last three hold all that is not global unicast (2000::/3).
_IPV6: Final = _table("""
    ::1/128             loopback
    ::/128              unspecified
    ::ffff:0:0/96       IPv4-mapped
    fc00::/7            private
    fe80::/10           link-local
    ff00::/8            multicast
    2001::/23           reserved for protocols
    2001:db8::/32       reserved for documentation
    3fff::/20           reserved for documentation
    2002::/16           a relay to IPv4
    ::/3                reserved
    4000::/2            reserved
    8000::/1            reserved
""")

#: Where a network without IPv4 shows the whole of IPv4 (RFC 6052).
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")


def special(address: Address) -> Special | None:
    """The range that makes the address one that is not public; None for a public one."""
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    table = _IPV4 if isinstance(address, IPv4Address) else _IPV6
    return next((each for each in table if address in each.network), None)


def is_of_this_machine(address: Address) -> bool:
    """Whether the address, which may be public, is one of this machine. Looks at its routes; sends nothing."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((str(address), 9))
            return bool(asking.getsockname()[0] == str(address))
    except OSError:  # there is no way to it
        return False
