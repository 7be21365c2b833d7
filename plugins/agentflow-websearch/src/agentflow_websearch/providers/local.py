"""Pages fetched from here: guarded connections, bounded bodies, and texts that are taken out in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import anyio
import httpx

from agentflow_websearch.addresses import host_of, readable_url
from agentflow_websearch.bodies import ACCEPT_ENCODING, read_body
from agentflow_websearch.charsets import decoded
from agentflow_websearch.failures import WebFailure, retry_after_s
from agentflow_websearch.found import Link, Page
from agentflow_websearch.refreshing import refreshed_to
from agentflow_websearch.texts import clean_page, one_line

if TYPE_CHECKING:
    from agentflow_websearch.addresses import Blocked
    from agentflow_websearch.bodies import Body
    from agentflow_websearch.config import LocalConfig
    from agentflow_websearch.extraction.pool import Extractors
    from agentflow_websearch.providers.base import Format
    from agentflow_websearch.upstream import Upstream

__all__ = ["Local"]

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXT = frozenset(
    {"application/json", "application/ld+json", "application/xml", "application/rss+xml", "application/atom+xml"}
    | {"application/javascript", "application/x-yaml", "application/yaml"}
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SNIFFED = 512
_DOCUMENTS = frozenset({"application/pdf", "application/msword", "application/epub+zip"})


class Local:
    """See the module.

    Args:
        client: over a `GuardedTransport`; it follows no redirects and keeps no cookies.
        upstream: how it is asked; each host has a breaker of its own.
        extractors: take the text out of HTML.
        blocked: what is kept out, of redirects too.
        config: limits.
        max_chars: of a page's text.
        max_links: of a page.
    """

    name = "local"

    def __init__(
        self,
        client: httpx.AsyncClient,
        upstream: Upstream,
        extractors: Extractors,
        blocked: Blocked,
        config: LocalConfig,
        *,
        max_chars: int,
        max_links: int,
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._extractors = extractors
        self._blocked = blocked
        self._config = config
        self._max_chars = max_chars
        self._max_links = max_links

    async def visit(self, url: str, format: Format) -> Page:
        """See `VisitProvider`."""
        response, body = await self._upstream.call(lambda: self._fetched(url), part=host_of(url))
        final_url = str(response.url)
        kind, charset = _kind(response, body)
        if kind in _HTML:
            extracted = await self._extractors.extract(
                body.data,
                url=final_url,
                charset=charset,
                is_cut=body.is_cut,
                format=format,
                max_chars=self._max_chars + 1,
                max_links=self._max_links,
            )
            title, date, text = extracted.title, extracted.date, clean_page(extracted.text)
            links = tuple(Link(text=one_line(shown, 200), url=to) for shown, to in extracted.links)
        else:
            title, date, links = "", None, ()
            text = clean_page(decoded(body.data, charset, is_cut=body.is_cut))
        if not text:
            raise WebFailure(
                "unsupported", f"{url} shows no text without running its scripts", hint="choose another page"
            )
        return Page(
            provider=self.name,
            url=url,
            final_url=final_url,
            title=one_line(title, 300) or final_url,
            text=text[: self._max_chars],
            status=response.status_code,
            date=one_line(date, 60) or None,
            links=links,
            is_cut=body.is_cut or len(text) > self._max_chars,
        )

    async def _fetched(self, url: str) -> tuple[httpx.Response, Body]:
        """One attempt, redirects included."""
        within_s = self._config.timeout_s
        try:
            with anyio.fail_after(within_s):
                return await self._followed(url)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise WebFailure("upstream_error", f"{url} gave no answer within {within_s:g} s", counts=True) from error
        except httpx.HTTPError as error:
            told = str(error) or type(error).__name__
            raise WebFailure("upstream_error", f"{url} cannot be reached: {told}", retry=True, counts=True) from error

    async def _followed(self, url: str) -> tuple[httpx.Response, Body]:
        current = url
        for _ in range(self._config.max_redirects + 1):
            request = self._client.build_request("GET", current, headers={"Accept-Encoding": ACCEPT_ENCODING})
            response = await self._client.send(request, stream=True)
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or location is None:
                    if response.status_code >= 300:
                        raise _refused(url, response)
                    _check_kind(response)
                    body = await read_body(response, self._config.max_bytes)
                    location = refreshed_to(body.data) if _kind(response, body)[0] in _HTML else None
                    if location is None or readable_url(urljoin(current, location)) == current:
                        return response, body
            finally:
                await response.aclose()
            current = readable_url(urljoin(current, location))
            self._blocked.check(current)
        raise WebFailure(
            "upstream_error",
            f"{url} redirects more than {self._config.max_redirects} times",
            hint="choose another page",
        )


def _refused(url: str, response: httpx.Response) -> WebFailure:
    status = response.status_code
    told = f"the site answered {status} for {url}"
    if status in (404, 410):
        return WebFailure("not_found", f"there is no page {url} ({status})", hint="search for it", next_provider=False)
    after = retry_after_s(response.headers.get("retry-after"))
    if status == 429:
        return WebFailure("upstream_rate_limited", told, retry=True, retry_after_s=after)
    if status >= 500:
        return WebFailure("upstream_error", told, retry=True, counts=True, retry_after_s=after)
    return WebFailure("forbidden", told, hint="choose another page")


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _check_kind(response: httpx.Response) -> None:
    """Refuse what is no text before it is read."""
    kind = _media_type(response)
    if not kind or kind in _HTML or kind in _TEXT or kind.startswith("text/") or kind == "application/octet-stream":
        return
    hint = "choose another page"
    if kind in _DOCUMENTS or "officedocument" in kind:
        hint = "documents are read by the tools doc:*, where they are offered; or choose another page"
    raise WebFailure("unsupported", f"{response.url} is {kind[:80]}, which is not a text", hint=hint)


def _kind(response: httpx.Response, body: Body) -> tuple[str, str | None]:
    """The media type, looked for in the bytes where the server does not say, and the charset that it says."""
    kind = _media_type(response)
    charset = response.charset_encoding
    if kind in ("", "text/plain", "application/octet-stream"):
        start = body.data[:_SNIFFED].lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
            return "text/html", charset
        if kind == "application/octet-stream" or (not kind and b"\0" in start):
            raise WebFailure("unsupported", f"{response.url} is not a text", hint="choose another page")
    return kind, charset
