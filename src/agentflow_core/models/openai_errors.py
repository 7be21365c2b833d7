"""What an OpenAI-compatible server means by an error: typed, with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from attrs import frozen

from agentflow_core.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    ModelError,
    ModelRequestError,
    RateLimitError,
    TransientError,
)
from agentflow_core.records import clean_text

__all__ = ["Refusal", "error_of", "pause_after", "retry_after", "wants_completion_tokens", "wants_next_rung"]

_MESSAGE_CHARS = 400
_OVERFLOW = re.compile(
    r"context[_ ]length|context[_ ]window|maximum context|context size|too many tokens|prompt is too long"
    r"|input is too long|longer than the (?:maximum )?model|exceeds? the (?:available|model'?s?) .*(?:context|length)"
    r"|reduce the length",
    re.IGNORECASE,
)
_FILTER = re.compile(r"content[_ ]filter|content management policy|content[_ ]policy|moderation|flagged", re.IGNORECASE)
_TOOLS = re.compile(
    r"(?:not|n't) support (?:tools?|function|tool[_ ](?:use|call|choice))|support tool use|tools? (?:are|is) not supported"
    r"|enable-auto-tool-choice|tool-call-parser|function calling is not",
    re.IGNORECASE,
)
_STRUCTURED = re.compile(
    r"response_format|json_schema|json_object|structured[_ ]output|guided|grammar|schema|tool_choice|tools?\b|xgrammar",
    re.IGNORECASE,
)
#: A server that fails to parse what its own model wrote says 400, though the next attempt usually works.
_PARSER = re.compile(
    r"expecting (?:'|property|value|,|:)|unterminated string|invalid \\?escape|extra data: line|jsondecodeerror"
    r"|could not parse the json body|failed to parse (?:tool|function)|tool[_ ]parser",
    re.IGNORECASE,
)
_COMPLETION_TOKENS = re.compile(r"max_completion_tokens")
_UNSUPPORTED = re.compile(r"unsupported (?:parameter|value): '?(\w+)'?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@frozen(kw_only=True)
class Refusal:
    """What a server answered instead of a completion."""

    status: int
    message: str
    code: str = ""
    param: str = ""
    is_json: bool = True

    @classmethod
    def of(cls, status: int, body: Any) -> Refusal:
        """Read the body of an error: ``{"error": {message, code, param}}`` and what other servers write."""
        found = body
        if isinstance(body, Mapping):
            found = body.get("error", body)
        if isinstance(found, Mapping):
            message = found.get("message") or found.get("detail") or found.get("error") or ""
            code = found.get("code") or found.get("type") or ""
            return cls(
                status=status,
                message=_shown(message),
                code=str(code),
                param=str(found.get("param") or ""),
            )
        return cls(status=status, message=_shown(found), is_json=isinstance(body, Mapping))

    @property
    def text(self) -> str:
        """All that it says."""
        return f"{self.code} {self.param} {self.message}"


def error_of(refusal: Refusal, headers: Mapping[str, str], *, url: str, model: str) -> ModelError:
    """The typed error of a refusal."""
    status = refusal.status
    said = f": {refusal.message}" if refusal.message else ""
    what = f"{url} answered {status} for {model!r}{said}"
    if status == 429:
        if refusal.code in ("insufficient_quota", "billing_hard_limit_reached"):
            return AuthenticationError(what, hint="the account has no credit left", status=status)
        return RateLimitError(what, status=status, retry_after_s=retry_after(headers))
    if status in (408, 409, 425) or status >= 500:
        return TransientError(what, status=status, retry_after_s=retry_after(headers))
    if status in (400, 413, 422) and (status == 413 or _OVERFLOW.search(refusal.text)):
        return ContextOverflowError(what, status=status)
    if status in (400, 403) and _FILTER.search(refusal.text):
        return ContentFilterError(what, status=status)
    if status in (401, 402, 403):
        return AuthenticationError(what, hint=_authentication_hint(status), status=status)
    if status == 400 and _PARSER.search(refusal.message):
        return TransientError(what, status=status, hint="the server could not parse what the model wrote")
    return ModelRequestError(what, hint=_hint(refusal, model, url), status=status)


def wants_next_rung(error: ModelError, *, tools: bool = False) -> bool:
    """Does the server refuse the way in which JSON was asked for? Not if it refuses the ``tools`` that are offered."""
    if tools and _TOOLS.search(error.message):
        return False
    return (
        isinstance(error, ModelRequestError)
        and error.status in (400, 404, 415, 422, 501)
        and _STRUCTURED.search(error.message) is not None
    )


def wants_completion_tokens(error: ModelError) -> bool:
    """Does the server want ``max_completion_tokens`` in place of ``max_tokens``?"""
    return isinstance(error, ModelRequestError) and _COMPLETION_TOKENS.search(error.message) is not None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: ``retry-after-ms``, ``Retry-After`` (seconds or a date), or the reset
    times of ``x-ratelimit-*`` headers whose remainder is zero; None where it does not say.
    """
    if (wait := _number(headers.get("retry-after-ms"))) is not None:
        return wait / 1000
    value = headers.get("retry-after")
    if value is not None:
        if (wait := _number(value)) is not None:
            return wait
        if (wait := _until(value)) is not None:
            return wait
    return pause_after(headers) or None


def pause_after(headers: Mapping[str, str]) -> float:
    """Seconds until a quota that is used up is filled again, by the ``x-ratelimit-*`` headers; 0 if none is."""
    return max(_reset(headers, "requests"), _reset(headers, "tokens"))


def _reset(headers: Mapping[str, str], what: str) -> float:
    if _number(headers.get(f"x-ratelimit-remaining-{what}")) != 0:
        return 0.0
    return _duration(headers.get(f"x-ratelimit-reset-{what}") or "")


def _authentication_hint(status: int) -> str:
    if status == 402:
        return "the account has no credit left"
    if status == 401:
        return "check api_key, or the environment variable OPENAI_API_KEY"
    return "the key has no permission for this model"


def _hint(refusal: Refusal, model: str, url: str) -> str:
    if _TOOLS.search(refusal.text):
        return (
            f"{model!r} cannot call tools at this server: choose a model that can, or start the server with tool "
            "calling (vLLM: --enable-auto-tool-choice --tool-call-parser …)"
        )
    if refusal.status == 404:
        if not refusal.is_json or refusal.message.lower() == "not found":
            return f"is there an OpenAI-compatible server at {url}? base_url usually ends with /v1"
        return f"the server does not know the model {model!r}: check its name; GET {url}/models lists what there is"
    if found := _UNSUPPORTED.search(refusal.message):
        return f"leave {found[1]!r} out of the model's settings"
    return ""


def _number(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _until(value: str) -> float | None:
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _duration(value: str) -> float:
    """Seconds of ``6m0s``, ``1.5s``, ``20ms`` or a plain number."""
    if (number := _number(value)) is not None:
        return number
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(value))


def _shown(message: Any) -> str:
    text = message if isinstance(message, str) else "" if message is None else str(message)
    text = " ".join(clean_text(text).split())
    return text if len(text) <= _MESSAGE_CHARS else f"{text[:_MESSAGE_CHARS]}…"
