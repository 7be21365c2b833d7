"""Read hosts and ports as they stand in URLs: a name, an IPv4 address, an IPv6 address in brackets."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

__all__ = ["Address", "Host", "read_host", "read_port", "split_port"]

Address: TypeAlias = IPv4Address | IPv6Address
#: A name is in lower case, without a dot at its end.
Host: TypeAlias = str | Address

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
#: Resolvers take names that end so for addresses, in the old spellings of IPv4 (127.1, 0x7f000001, 017700000001).
_NUMBER: Final = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_MOST_CHARS: Final = 253


def split_port(text: str) -> tuple[str, str | None]:
    """What stands before the port, and the port, None where there is none; the colons of an IPv6 address stay in it."""
    head, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        return text, None
    return head, port


def read_port(text: str) -> int:
    """A port.

    Raises:
        ValueError: it is not a number from 1 to 65535.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is not a port")
    return int(text)


def read_host(text: str) -> Host:
    """A host.

    Raises:
        ValueError: it is neither a name nor an address.
    """
    if text.startswith("[") and text.endswith("]"):
        if "%" in text:
            raise ValueError(f"the address {text} names an interface")
        return IPv6Address(text[1:-1])
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        address = ip_address(name)
        if address.version == 4:
            return address
    if len(name) > _MOST_CHARS or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{text!r} is neither the name of a host nor an address")
    return name
