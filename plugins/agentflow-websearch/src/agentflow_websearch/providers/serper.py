"""The Serper API: Google's results as JSON (``POST /search``, ``/news``, ``/scholar``, ``/images``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_websearch.found import Asked, Result, Results
from agentflow_websearch.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_websearch.apis import Api
    from agentflow_websearch.upstream import Upstream

__all__ = ["Serper"]

_PATHS = {"web": "/search", "news": "/news", "scholar": "/scholar", "images": "/images"}
_ROWS = {"web": "organic", "news": "news", "scholar": "organic", "images": "images"}
_TIME = {"day": "qdr:d", "week": "qdr:w", "month": "qdr:m", "year": "qdr:y"}
_EXTRA = ("year", "citedBy", "pdfUrl", "imageUrl", "imageWidth", "imageHeight")


class Serper:
    """See the module.

    Args:
        api: where it is, with the key.
        upstream: how it is asked.
        usd_per_credit: None: unknown.
    """

    name = "serper"

    def __init__(self, api: Api, upstream: Upstream, usd_per_credit: float | None) -> None:
        self._api = api
        self._upstream = upstream
        self._usd_per_credit = usd_per_credit

    async def search(self, asked: Asked) -> Results:
        """See `SearchProvider`."""
        body: dict[str, Any] = {"q": asked.query, "num": asked.num}
        if asked.page > 1:
            body["page"] = asked.page
        body |= {name: value for name, value in (("gl", asked.gl), ("hl", asked.hl)) if value}
        if asked.time_range:
            body["tbs"] = _TIME[asked.time_range]
        answer = await self._upstream.call(lambda: self._api.json("POST", _PATHS[asked.type], body=body))
        rows = answer.get(_ROWS[asked.type])
        results = [found for row in rows if (found := _result(row))] if isinstance(rows, list) else []
        credits = answer.get("credits")
        used = credits if isinstance(credits, int | float) else 1
        return Results(
            provider=self.name,
            results=tuple(results[: asked.num]),
            answer_box=_answer_box(answer),
            cost_usd=None if self._usd_per_credit is None else used * self._usd_per_credit,
        )


def _result(row: Any) -> Result | None:
    url = one_line(row.get("link")) if isinstance(row, dict) else ""
    if not url.startswith(("http://", "https://")):
        return None
    snippet = one_line(row.get("snippet"))
    about = one_line(row.get("publicationInfo"))
    return Result(
        title=one_line(row.get("title"), 300) or url,
        url=url,
        snippet=" — ".join(filter(None, (about, snippet))),
        date=one_line(row.get("date"), 60) or None,
        source=one_line(row.get("source"), 120) or None,
        extra={name: _plain(row[name]) for name in _EXTRA if isinstance(row.get(name), str | int)},
    )


def _plain(value: str | int) -> str | int:
    return one_line(value) if isinstance(value, str) else value


def _answer_box(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer above the results, else what the knowledge graph says."""
    box = answer.get("answerBox")
    if isinstance(box, dict):
        text = one_line(box.get("answer") or box.get("snippet"))
        if text:
            return {"title": one_line(box.get("title"), 300), "text": text, "url": one_line(box.get("link"))}
    graph = answer.get("knowledgeGraph")
    if isinstance(graph, dict) and (text := one_line(graph.get("description"))):
        url = graph.get("descriptionLink") or graph.get("website")
        return {"title": one_line(graph.get("title"), 300), "text": text, "url": one_line(url)}
    return None
