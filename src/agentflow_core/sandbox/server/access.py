"""Who may call: tokens compared in constant time, and hosts and origins against DNS rebinding."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from attrs import frozen

from agentflow_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["STRANGER", "Caller", "HostGuard", "Tokens", "check_bind", "is_loopback"]

Scope = Literal["admin", "worker"]
_SHORTEST = 16
MAKE_TOKEN = (
    """python -c "import secrets; print('admin', secrets.token_urlsafe(32))" > token.txt && chmod 600 token.txt"""
)


@frozen(kw_only=True)
class Caller:
    """Who sent a request. ``name`` is what logs and sessions say of the token; empty where there are no tokens."""

    name: str
    is_admin: bool

    def worker(self, label: str) -> str:
        """The engine's worker for the caller's own label: no other caller has the same."""
        return f"{label}@{self.name}" if self.name else label

    def owns(self, worker: str) -> bool:
        """Is the engine's worker one of the caller's?"""
        return not self.name or worker.endswith(f"@{self.name}")

    def label(self, worker: str) -> str:
        """The caller's own label of the engine's worker."""
        return worker.removesuffix(f"@{self.name}") if self.name else worker


_ANYONE = Caller(name="", is_admin=True)
#: Who asks for what needs no token, and has none.
STRANGER = Caller(name="stranger", is_admin=False)


class Tokens:
    """The tokens that are accepted; with none, everybody who reaches the server may do everything."""

    def __init__(self, tokens: Iterable[tuple[Scope, str]] = ()) -> None:
        self._known: dict[bytes, Caller] = {}
        for scope, token in tokens:
            digest = hashlib.sha256(token.encode()).digest()
            caller = Caller(name=f"{scope}-{len(self._known) + 1}", is_admin=scope == "admin")
            self._known.setdefault(digest, caller)

    @classmethod
    def read(cls, file: Path | None, *given: str | None) -> Tokens:
        """The tokens of a file, and those that are given, which are an admin's.

        A line is ``admin TOKEN``, ``worker TOKEN``, or a token alone, which is an admin's; ``#`` begins a comment.

        Raises:
            UsageError: the file cannot be read, a line is neither, or a token is too short to be kept secret.
        """
        found: list[tuple[Scope, str]] = []
        if file is not None:
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the token file {file} cannot be read: {error}", hint=MAKE_TOKEN) from error
            for number, line in enumerate(lines, 1):
                if words := line.partition("#")[0].split():
                    found.append(_token(words, f"{file}:{number}"))
            if not found:
                raise UsageError(f"the token file {file} holds no token", hint=MAKE_TOKEN)
        found += [_token([token.strip()], "the token") for token in given if token and token.strip()]
        return cls(found)

    def __bool__(self) -> bool:
        return bool(self._known)

    def caller(self, authorization: bytes | None) -> Caller | None:
        """Who the ``Authorization`` header says it is; None for a wrong token or none."""
        if not self._known:
            return _ANYONE
        scheme, _, token = (authorization or b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        found: Caller | None = None
        for known, caller in self._known.items():  # all of them, whichever it is
            if hmac.compare_digest(known, digest):
                found = caller
        return found if scheme.lower() == b"bearer" else None


def _token(words: Sequence[str], where: str) -> tuple[Scope, str]:
    *scope, token = words
    if scope not in ([], ["admin"], ["worker"]):
        raise UsageError(f"{where}: expected 'admin TOKEN' or 'worker TOKEN'")
    if len(token) < _SHORTEST:
        raise UsageError(f"{where}: it has fewer than {_SHORTEST} characters", hint=MAKE_TOKEN)
    return ("worker" if scope == ["worker"] else "admin"), token


def is_loopback(host: str) -> bool:
    """Is it a name or address of this machine that others cannot reach?"""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(host: str, tokens: Tokens) -> None:
    """Refuse to let others in without a token. Raises `UsageError` with the command that makes one."""
    if not tokens and not is_loopback(host):
        raise UsageError(
            f"{host} is reached by other machines, and there is no token: anyone could run code here",
            hint=f"make a token, and name its file:\n{MAKE_TOKEN}\nagentflow serve --host {host} --token-file token.txt",
        )


class HostGuard:
    """Refuses what a browser sends for a page of somebody else.

    On a loopback address the Host header must be a name of this machine: a page whose own name was bound anew to
    127.0.0.1 sends that name. Elsewhere the token keeps such pages out, and the Host is free unless names are listed.
    An Origin must be the server itself, or one of the names that are listed.
    """

    def __init__(self, host: str, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._own = host.lower()
        self._is_free = not is_loopback(host) and not self._allowed
        self._seen: set[bytes] = set()

    def refuses(self, host: bytes | None, origin: bytes | None) -> str:
        """What is wrong with the headers, or the empty string."""
        if origin is None and host in self._seen:
            return ""
        name = _name(host or b"")
        if not (self._is_free or is_loopback(name) or name == self._own or name in self._allowed):
            return f"the Host header says {name[:100]!r}, which is no name of this server"
        if origin is not None and not self._is_known(origin, host or b""):
            return "the Origin header names another site"
        if host is not None and len(self._seen) < 64:
            self._seen.add(host)
        return ""

    def _is_known(self, origin: bytes, host: bytes) -> bool:
        text = origin.decode("latin-1").lower()
        try:
            parts = urlsplit(text)
            name = parts.hostname or ""
        except ValueError:
            return False
        return parts.netloc == host.decode("latin-1").lower() or name in self._allowed


def _name(host: bytes) -> str:
    """The host without its port."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text.partition("]")[0].strip("[")
    return text.partition(":")[0]
