"""What the proxy answers when it does not pass a request on: a reason that an agent reads, in status line and body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agentflow_core.records.codes import CODES

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.proxy.hosts import Host
    from agentflow_core.sandbox.launchers.proxy.patterns import AllowList

__all__ = ["Refusal", "bad_request", "denied", "unreachable"]

_MOST_SHOWN: Final = 40
_REASON_CHARS: Final = 400


class Refusal(Exception):
    """A request that is not passed on: the HTTP status, one of the codes of tool results, and why."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    def answer(self) -> bytes:
        """The whole response. The reason stands in the status line too: of a refused CONNECT clients show no more."""
        told = {
            "ok": False,
            "code": self.code,
            "message": self.message,
            "hint": CODES[self.code].advice,
            **self.details,
        }
        body = json.dumps(told, indent=1).encode() + b"\n"
        reason = f"{self.code}: {self.message}".encode("ascii", "replace")[:_REASON_CHARS]
        head = (
            b"Content-Type: application/json\r\nCache-Control: no-store\r\nProxy-Agent: agentflow\r\n"
            b"Connection: close\r\n"
        )
        return b"HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s" % (self.status, reason, head, len(body), body)


def bad_request(message: str, *, status: int = 400) -> Refusal:
    """A request that cannot be read, or that no proxy is asked."""
    return Refusal(status, "invalid_argument", message)


def denied(host: Host, port: int, allowed: AllowList, objection: str = "") -> Refusal:
    """A host that is not in the list, or whose address is one that must not be reached."""
    why = f"its address is not public but {objection}" if objection else "it is not in the list of allowed hosts"
    shown = [pattern.text for pattern in allowed.patterns[:_MOST_SHOWN]]
    more = len(allowed.patterns) - len(shown)
    told = ", ".join(shown) + (f" and {more} more" if more else "")
    return Refusal(
        403,
        "network_denied",
        f"{host}:{port} cannot be reached from here: {why} ({told})",
        host=str(host),
        port=port,
        allowed_hosts=shown,
    )


def unreachable(host: Host, port: int, why: str, *, status: int = 502) -> Refusal:
    """A host that may be reached but does not answer."""
    return Refusal(status, "upstream_error", f"{host}:{port}: {why}", host=str(host), port=port)
