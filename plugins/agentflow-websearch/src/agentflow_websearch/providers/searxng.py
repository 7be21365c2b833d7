"""A SearXNG server: ``GET /search?format=json``, which its ``settings.yml`` has to allow under ``search.formats``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_websearch.failures import WebFailure
from agentflow_websearch.found import Asked, Result, Results
from agentflow_websearch.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_websearch.apis import Api
    from agentflow_websearch.upstream import Upstream

__all__ = ["Searxng"]

_CATEGORIES = {"web": "general", "news": "news", "scholar": "science", "images": "images"}
_NO_JSON = "let the server answer JSON: search.formats: [html, json] in its settings.yml"


class Searxng:
    """See the module. It gives what its engines have for a page, so there may be fewer results than asked for."""

    name = "searxng"

    def __init__(self, api: Api, upstream: Upstream) -> None:
        self._api = api
        self._upstream = upstream

    async def search(self, asked: Asked) -> Results:
        """See `SearchProvider`."""
        params: dict[str, Any] = {"q": asked.query, "format": "json", "categories": _CATEGORIES[asked.type]}
        if asked.page > 1:
            params["pageno"] = asked.page
        if asked.hl:
            params["language"] = f"{asked.hl}-{asked.gl.upper()}" if asked.gl and "-" not in asked.hl else asked.hl
        if asked.time_range:
            params["time_range"] = asked.time_range
        answer = await self._upstream.call(lambda: self._once(params))
        rows = answer.get("results")
        results = [found for row in rows if (found := _result(row))] if isinstance(rows, list) else []
        silent = _silent(answer)
        if not results and silent:
            raise WebFailure("upstream_error", f"no search engine of searxng answered: {', '.join(silent)}")
        return Results(
            provider=self.name,
            results=tuple(results[: asked.num]),
            answer_box=_answer_box(answer),
            notes=tuple(f"the engine {each} did not answer" for each in silent),
        )

    async def _once(self, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._api.json("GET", "/search", params=params)
        except WebFailure as failure:
            if failure.code == "unauthenticated":
                failure.hint = _NO_JSON
            raise


def _result(row: Any) -> Result | None:
    url = one_line(row.get("url")) if isinstance(row, dict) else ""
    if not url.startswith(("http://", "https://")):
        return None
    engines = row.get("engines")
    source = ", ".join(map(str, engines)) if isinstance(engines, list) else row.get("engine")
    image = one_line(row.get("img_src"))
    return Result(
        title=one_line(row.get("title"), 300) or url,
        url=url,
        snippet=one_line(row.get("content")),
        date=one_line(row.get("publishedDate"), 60) or None,
        source=one_line(source, 120) or None,
        extra={"imageUrl": image} if image else {},
    )


def _answer_box(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first of its answers, which are texts or objects by the version; else the first infobox."""
    for each in answer.get("answers") or ():
        text = one_line(each.get("answer") if isinstance(each, dict) else each)
        if text:
            return {"title": "", "text": text, "url": one_line(each.get("url")) if isinstance(each, dict) else ""}
    for each in answer.get("infoboxes") or ():
        if isinstance(each, dict) and (text := one_line(each.get("content"))):
            return {"title": one_line(each.get("infobox"), 300), "text": text, "url": one_line(each.get("id"))}
    return None


def _silent(answer: Mapping[str, Any]) -> list[str]:
    silent = answer.get("unresponsive_engines") or ()
    return [
        ": ".join(one_line(str(part), 60) for part in each[:2])
        for each in silent
        if isinstance(each, list | tuple) and each
    ]
