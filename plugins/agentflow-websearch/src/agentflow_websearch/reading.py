"""Ask the providers in turn, through the kept answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import attrs
from attrs import frozen

from agentflow_websearch.failures import WebFailure
from agentflow_websearch.found import Asked, Page, Results

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentflow_websearch.opening import Web
    from agentflow_websearch.providers.base import Format, SearchProvider, VisitProvider

__all__ = ["FoundPage", "FoundResults", "asked_results", "read_page"]

T = TypeVar("T")
P = TypeVar("P", "SearchProvider", "VisitProvider")
_NO_SEARCH = "the operator must set SERPER_API_KEY, or the URL of a SearXNG server as SEARXNG_URL"


@frozen(kw_only=True)
class FoundResults:
    """The results of one search, and whether nobody was asked for them."""

    results: Results
    cached: bool


@frozen(kw_only=True)
class FoundPage:
    """One page, and whether nobody was asked for it."""

    page: Page
    cached: bool


async def asked_results(web: Web, asked: Asked) -> FoundResults:
    """The results of one search.

    Raises:
        WebFailure: no provider has them.
    """
    if not web.search:
        raise WebFailure("provider_unavailable", "no search provider is set up", hint=_NO_SEARCH)
    request = {"kind": "search", **attrs.asdict(asked), "providers": [each.name for each in web.search]}

    async def ask() -> dict[str, object]:
        return (await _first(web.search, lambda provider: provider.search(asked))).as_data()

    answer = await web.answers.get(request, ask)
    return FoundResults(results=Results.of_data(answer.value), cached=answer.cached)


async def read_page(web: Web, url: str, format: Format, *, again: bool) -> FoundPage:
    """One page, whole.

    Args:
        web: with whom.
        url: as `readable_url` gives it.
        format: of the text.
        again: what was read a moment ago may do.

    Raises:
        WebFailure: no provider can read it, or it is kept out.
    """
    web.blocked.check(url)
    request = {
        "kind": "visit",
        "url": url,
        "format": format,
        "providers": [each.name for each in web.visit],
        "max_page_chars": web.config.max_page_chars,
    }

    async def ask() -> dict[str, object]:
        parts = urlsplit(url)
        web.guard.check_unresolved(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        return (await _first(web.visit, lambda provider: provider.visit(url, format))).as_data()

    answer = await web.answers.get(request, ask, again=again)
    page = Page.of_data(answer.value)
    web.blocked.check(page.final_url)
    return FoundPage(page=page, cached=answer.cached)


async def _first(providers: Sequence[P], ask: Callable[[P], Awaitable[T]]) -> T:
    """What the first provider says that can; a failure that is nobody's fault but the page's ends it."""
    failures: list[WebFailure] = []
    for provider in providers:
        try:
            return await ask(provider)
        except WebFailure as failure:
            failures.append(failure)
            if not failure.next_provider:
                break
    last = failures[-1]
    if len(failures) > 1:
        last.message = "; ".join(failure.message for failure in failures)
    raise last
