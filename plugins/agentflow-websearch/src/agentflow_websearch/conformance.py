"""What the laws of the sandbox are tried on, for ``agentflow doctor --conformance web`` and for the tests: no network."""

from __future__ import annotations

from contextlib import AsyncExitStack

from agentflow_core.testing.subjects import Subject
from agentflow_websearch.backend import WebBackend
from agentflow_websearch.config import JinaConfig, SerperConfig, WebConfig
from agentflow_websearch.small_web import Heard, Reply, SmallWeb

__all__ = ["SUBJECT", "LoopbackWebBackend"]

_PAGE = "https://web.test/danube"
_LINE = "The Danube rises in the Black Forest and flows through ten countries to the Black Sea."


async def _answer(heard: Heard) -> Reply:
    """As Serper and as Jina Reader."""
    if heard.path == "/search":
        row = {"title": "The Danube", "link": _PAGE, "snippet": _LINE, "position": 1}
        return Reply.of_json({"organic": [row] * min(100, int(heard.json["num"])), "credits": 1})
    url = heard.json["url"]
    if url.endswith("/slow"):
        return Reply(how="hang")
    text = "\n\n".join([_LINE] * (500 if url.endswith("/long") else 5))
    page = {"title": "The Danube", "url": url, "content": text, "usage": {"tokens": 100}}
    return Reply.of_json({"code": 200, "status": 20000, "data": page})


class LoopbackWebBackend(WebBackend):
    """The backend over providers on loopback, which live as long as it does."""

    def __init__(self) -> None:
        super().__init__(environ={})
        self._served = AsyncExitStack()

    async def warmup(self) -> None:
        """Start the providers, then the backend."""
        if self._web is not None:
            return
        async with AsyncExitStack() as stack:
            small = await stack.enter_async_context(SmallWeb(_answer))
            self._config = WebConfig(
                search=("serper",),
                visit=("jina",),
                serper=SerperConfig(api_key="none", base_url=small.url),
                jina=JinaConfig(base_url=small.url, requests_per_minute=1e6, timeout_s=120.0),
            )
            await super().warmup()
            self._served = stack.pop_all()

    async def shutdown(self) -> None:
        """Close the backend, then the providers."""
        try:
            await super().shutdown()
        finally:
            await self._served.aclose()


SUBJECT = Subject(
    backend=LoopbackWebBackend,
    name="web",
    calls=(
        ("search", {"query": "Danube", "num": 2}),
        ("visit", {"url": _PAGE}),
        ("find", {"url": _PAGE, "pattern": "ten countries"}),
    ),
    slow=("visit", {"url": "https://web.test/slow"}),
    loud=("visit", {"url": "https://web.test/long", "max_tokens": 20_000}),
)
