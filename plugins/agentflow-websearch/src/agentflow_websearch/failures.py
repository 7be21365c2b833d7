"""What goes wrong between a tool and the web, as a value that says what may be tried next."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any

from agentflow_core.records import ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WebFailure", "of_status", "retry_after_s"]

_LONGEST_WAIT_S = 86_400.0


class WebFailure(Exception):
    """One query or one page that could not be had.

    Args:
        code: one of the codes of tool results.
        message: for the agent; holds no key.
        hint: what to do about it.
        retry: the same attempt may be made again.
        counts: it says that the provider is ill, which its circuit breaker counts.
        next_provider: another provider may do better.
        retry_after_s: what the provider asked for.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        retry: bool = False,
        counts: bool = False,
        next_provider: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retry = retry
        self.counts = counts
        self.next_provider = next_provider
        self.retry_after_s = retry_after_s

    def as_data(self) -> dict[str, Any]:
        """What records and results keep of it."""
        data: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            data["hint"] = self.hint
        if self.retry_after_s is not None:
            data["retry_after_s"] = self.retry_after_s
        return data

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> WebFailure:
        """The failure that `as_data` kept."""
        return cls(data["code"], data["message"], hint=data.get("hint", ""), retry_after_s=data.get("retry_after_s"))

    def as_result(self, data: Any = None) -> ToolResult:
        """The failure as the result of a tool."""
        return ToolResult.failure(self.code, self.message, hint=self.hint, data=data, retry_after_s=self.retry_after_s)


def of_status(name: str, status: int, said: str, *, after_s: float | None, key: str = "") -> WebFailure:
    """What the HTTP status of an API means.

    Args:
        name: of the provider.
        status: 300 or more.
        said: the API's own message, or nothing.
        after_s: what it asks to wait.
        key: the environment variable of its key.
    """
    told = f"{name} answered {status}" + (f": {said}" if said else "")
    if status == 429:
        return WebFailure("upstream_rate_limited", told, retry=True, retry_after_s=after_s)
    if status in (401, 403):
        hint = f"the operator must set {key}" if key else "the operator must allow this client there"
        return WebFailure("unauthenticated", told, hint=hint, counts=True)
    if status == 402:
        return WebFailure("quota_exceeded", told, hint="the operator must top up the account", counts=True)
    if status == 451:
        return WebFailure("policy_denied", told, hint="choose another page")
    if status >= 500:
        return WebFailure("upstream_error", told, retry=True, counts=True, retry_after_s=after_s)
    if status < 400:
        return WebFailure("upstream_error", told, hint="the operator must correct base_url", counts=True)
    return WebFailure("invalid_argument", told)


def retry_after_s(value: str | None) -> float | None:
    """The seconds that a ``Retry-After`` header asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_S)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - time()), _LONGEST_WAIT_S)
    except (ValueError, OverflowError):
        return None
