"""Ask an API for JSON, and tell apart all that can come back instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import httpx
import orjson
from attrs import frozen

from agentflow_websearch.bodies import ACCEPT_ENCODING, Body, read_body
from agentflow_websearch.charsets import decoded
from agentflow_websearch.failures import WebFailure, of_status, retry_after_s
from agentflow_websearch.texts import one_line

__all__ = ["Api"]

_SAID_CHARS = 200


@frozen(kw_only=True)
class Api:
    """One API: where it is, and what is sent with each request.

    Redirects are not followed: a key must not travel to another host.
    """

    name: str
    base_url: str
    client: httpx.AsyncClient
    timeout_s: float
    max_bytes: int
    headers: Mapping[str, str]
    key: str = ""  #: the environment variable of its key

    async def json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """The JSON object that it answers.

        Raises:
            WebFailure: it answers otherwise, or not in time.
        """
        within_s = timeout_s or self.timeout_s
        request = self.client.build_request(
            method,
            f"{self.base_url.rstrip('/')}{path}",
            json=body,
            params=params,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": ACCEPT_ENCODING,
                **self.headers,
                **(headers or {}),
            },
        )
        try:
            with anyio.fail_after(within_s):
                response = await self.client.send(request, stream=True)
                try:
                    read = await read_body(response, self.max_bytes)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException) as error:
            raise WebFailure(
                "upstream_error", f"{self.name} gave no answer within {within_s:g} s", counts=True
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            told = str(error) or type(error).__name__
            raise WebFailure(
                "upstream_error", f"{self.name} cannot be reached: {told}", retry=True, counts=True
            ) from error
        if response.status_code >= 300:
            raise self._refused(response, read)
        return self._parsed(response, read)

    def _parsed(self, response: httpx.Response, read: Body) -> dict[str, Any]:
        if read.is_cut:
            raise WebFailure("output_limit", f"{self.name} answered more than {self.max_bytes} bytes")
        try:
            value = orjson.loads(read.data)
        except orjson.JSONDecodeError as error:
            kind = response.headers.get("content-type", "").partition(";")[0]
            if kind == "text/html" or read.data.lstrip()[:1] == b"<":
                told = "answered with HTML instead of JSON"
            else:
                told = f"answered with JSON that is broken or cut off ({error})"
            raise WebFailure("upstream_error", f"{self.name} {told}", counts=True) from error
        if not isinstance(value, dict):
            raise WebFailure("upstream_error", f"{self.name} answered with JSON that is no object", counts=True)
        return value

    def _refused(self, response: httpx.Response, read: Body) -> WebFailure:
        said, after = _said(read.data)
        asked = retry_after_s(response.headers.get("retry-after"))
        failure = of_status(
            self.name, response.status_code, said, after_s=asked if asked is not None else after, key=self.key
        )
        if failure.code == "invalid_argument" and "credit" in said.lower():  # Serper answers 400
            return of_status(self.name, 402, said, after_s=None)
        return failure


def _said(data: bytes) -> tuple[str, float | None]:
    """The API's own words, and how long it asks to wait."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        text = decoded(data[:_SAID_CHARS], None, is_cut=True)
        return ("" if "<" in text else one_line(text, _SAID_CHARS)), None
    if not isinstance(value, dict):
        return "", None
    message = next((value[name] for name in ("message", "readableMessage", "error", "detail") if value.get(name)), "")
    after = value.get("retryAfter")
    return one_line(message, _SAID_CHARS), float(after) if isinstance(after, int | float) else None
