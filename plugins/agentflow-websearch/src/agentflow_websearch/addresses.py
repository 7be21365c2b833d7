"""Read the URLs that a model names, and tell which are kept out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx
from attrs import frozen

from agentflow_websearch.failures import WebFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Blocked", "host_of", "readable_url"]

_MOST_CHARS = 4000
_INNER = re.compile(r"(?=https?:/+([^\s/?#]+)([^\s?#]*))", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d)", re.IGNORECASE)


def readable_url(text: str) -> str:
    """The URL to fetch: http or https, without fragment and user, the host in lower case; ``https://`` where none is said.

    Raises:
        WebFailure: ``invalid_argument``: it is no such URL.
    """
    url = text.strip()
    if not _SCHEME.match(url):
        url = f"https://{url.removeprefix('//')}"
    if len(url) > _MOST_CHARS or any(char.isspace() or ord(char) < 32 for char in url):
        raise _unreadable(text, "it is too long or holds blanks")
    try:
        parts = urlsplit(url)
        if parts.scheme.lower() not in ("http", "https"):
            raise _unreadable(text, f"{parts.scheme}: is not read, only http: and https:")
        _ = parts.port
        host = parts.hostname
        if not host:
            raise _unreadable(text, "it names no host")
        netloc = parts.netloc.rpartition("@")[2].lower()
        made = urlunsplit((parts.scheme.lower(), netloc, parts.path or "/", parts.query, ""))
        return str(httpx.URL(made))
    except (ValueError, httpx.InvalidURL) as error:
        raise _unreadable(text, str(error)) from error


def host_of(url: str) -> str:
    """The host of a URL, in lower case, or nothing."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _unreadable(text: str, why: str) -> WebFailure:
    return WebFailure(
        "invalid_argument",
        f"{text[:200]!r} is not a URL that can be read: {why}",
        hint="url and urls take whole addresses, such as https://example.org/page",
        next_provider=False,
    )


@frozen
class _Entry:
    domain: str
    path: str

    def holds(self, host: str, path: str) -> bool:
        if host != self.domain and not host.endswith(f".{self.domain}"):
            return False
        return not self.path or path == self.path or path.startswith(f"{self.path}/")


class Blocked:
    """The domains, with or without a path, that are never shown or read; subdomains are meant too."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = [_entry(text) for text in entries]

    def holds(self, url: str) -> bool:
        """Is the URL kept out? So is one that carries such a URL, as archives and mirrors do."""
        if not self._entries:
            return False
        plain = unquote(unquote(url))
        places = _INNER.findall(plain) or [("", "")]
        return any(
            entry.holds(host.rpartition("@")[2].partition(":")[0].lower().rstrip("."), path.rstrip("/").lower())
            for host, path in places
            for entry in self._entries
        )

    def check(self, url: str) -> None:
        """Raise `WebFailure` ``policy_denied`` for a URL that is kept out."""
        if self.holds(url):
            raise WebFailure(
                "policy_denied",
                f"{host_of(url)} is kept out of this run",
                hint="choose another page",
                next_provider=False,
            )


def _entry(text: str) -> _Entry:
    bare = text.strip().lower().removeprefix("https://").removeprefix("http://").removeprefix("*.")
    host, _, path = bare.partition("/")
    return _Entry(host.rstrip("."), f"/{path.rstrip('/')}" if path else "")
