"""Jina Reader: a page as Markdown, fetched and rendered elsewhere (``POST /`` with the URL, answered in JSON)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentflow_websearch.failures import WebFailure
from agentflow_websearch.found import Link, Page
from agentflow_websearch.texts import clean_page, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_websearch.apis import Api
    from agentflow_websearch.providers.base import Format
    from agentflow_websearch.upstream import Upstream

__all__ = ["Jina"]

#: What Jina says of a page that its site answered with an error: it gives the error page all the same.
_TARGET_ERROR = re.compile(r"target url returned error (\d{3})", re.IGNORECASE)
#: An API that waits as long as its client can answer nothing in time.
_LESS_S = 2.0


class Jina:
    """See the module.

    Args:
        api: where it is, with the key if there is one.
        upstream: how it is asked.
        has_key: without one its answers cost nothing.
        usd_per_million_tokens: None: unknown.
        max_chars: of a page's text.
        max_links: of a page.
    """

    name = "jina"

    def __init__(
        self,
        api: Api,
        upstream: Upstream,
        *,
        has_key: bool,
        usd_per_million_tokens: float | None,
        max_chars: int,
        max_links: int,
    ) -> None:
        self._api = api
        self._upstream = upstream
        self._has_key = has_key
        self._price = usd_per_million_tokens
        self._max_chars = max_chars
        self._max_links = max_links

    async def visit(self, url: str, format: Format) -> Page:
        """See `VisitProvider`."""
        headers = {
            "X-Return-Format": format,
            "X-With-Links-Summary": "true",
            "X-Timeout": str(max(1, round(self._api.timeout_s - _LESS_S))),
        }
        answer = await self._upstream.call(lambda: self._api.json("POST", "/", body={"url": url}, headers=headers))
        data = answer.get("data")
        if not isinstance(data, dict):
            raise WebFailure("upstream_error", "jina answered without a page", counts=True)
        warning = one_line(data.get("warning"), 300)
        if (found := _TARGET_ERROR.search(warning)) is not None:
            raise _refused(url, int(found[1]))
        text = clean_page(_text(data, format))
        if not text:
            raise WebFailure("not_found", f"jina found no text at {url}" + (f": {warning}" if warning else ""))
        tokens = _tokens(answer, data)
        return Page(
            provider=self.name,
            url=url,
            final_url=one_line(data.get("url")) or url,
            title=one_line(data.get("title"), 300) or url,
            text=text[: self._max_chars],
            date=one_line(data.get("publishedTime"), 60) or None,
            links=_links(data.get("links"), self._max_links),
            is_cut=len(text) > self._max_chars,
            cost_usd=self._cost(tokens),
            tokens=tokens,
            notes=(warning,) if warning else (),
        )

    def _cost(self, tokens: int | None) -> float | None:
        if not self._has_key:
            return 0.0
        return None if self._price is None or tokens is None else tokens * self._price / 1_000_000


def _refused(url: str, status: int) -> WebFailure:
    if status in (404, 410):
        return WebFailure("not_found", f"there is no page {url} ({status})", hint="search for it", next_provider=False)
    code = "upstream_error" if status >= 500 else "upstream_rate_limited" if status == 429 else "forbidden"
    return WebFailure(code, f"the site answered {status} for {url}")


def _text(data: Mapping[str, Any], format: Format) -> str:
    text = data.get("content") or (data.get("text") if format == "text" else None)
    return text if isinstance(text, str) else ""


def _links(links: Any, most: int) -> tuple[Link, ...]:
    """Links by text, or pairs of text and URL, by the version."""
    pairs = list(links.items()) if isinstance(links, dict) else links if isinstance(links, list) else []
    found: dict[str, Link] = {}
    for pair in pairs:
        if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[1], str):
            url = one_line(pair[1])
            if url.startswith(("http://", "https://")) and len(found) < most:
                found.setdefault(url, Link(text=one_line(pair[0], 200), url=url))
    return tuple(found.values())


def _tokens(answer: Mapping[str, Any], data: Mapping[str, Any]) -> int | None:
    meta = answer.get("meta")
    for holder in (data, meta):
        usage = holder.get("usage") if isinstance(holder, dict) else None
        if isinstance(usage, dict) and isinstance(usage.get("tokens"), int):
            return int(usage["tokens"])
    return None
