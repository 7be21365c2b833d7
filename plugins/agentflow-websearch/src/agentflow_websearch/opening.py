"""Open what the configuration names: clients, providers, the store and the model, closed together."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

import anyio.to_thread
import httpx
from attrs import frozen

from agentflow_core.errors import SandboxError
from agentflow_core.models.clock import SystemClock
from agentflow_core.sandbox.launchers.proxy.reaching import SystemResolver
from agentflow_websearch.addresses import Blocked
from agentflow_websearch.apis import Api
from agentflow_websearch.config import WebConfig
from agentflow_websearch.extraction.pool import Extractors
from agentflow_websearch.goals import GoalReader
from agentflow_websearch.guard import Guard, GuardedTransport
from agentflow_websearch.kept import Answers
from agentflow_websearch.providers.base import SearchProvider, VisitProvider
from agentflow_websearch.providers.jina import Jina
from agentflow_websearch.providers.local import Local
from agentflow_websearch.providers.searxng import Searxng
from agentflow_websearch.providers.serper import Serper
from agentflow_websearch.upstream import Upstream

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from agentflow_core.config import PluginChoice
    from agentflow_core.interfaces import ChatModel
    from agentflow_core.models.clock import Clock
    from agentflow_core.sandbox.backend import BackendContext
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver

__all__ = ["Keys", "Web", "keys_of", "open_web"]

_JINA_WITHOUT_KEY_PER_MINUTE = 20.0


@frozen(kw_only=True)
class Keys:
    """What decides which providers can be asked, from the configuration, else from the environment."""

    serper: str | None
    searxng: str | None  #: its URL
    jina: str | None


def keys_of(config: WebConfig, environ: Mapping[str, str]) -> Keys:
    """The keys and URLs that are set."""
    return Keys(
        serper=config.serper.api_key or environ.get("SERPER_API_KEY") or None,
        searxng=config.searxng.base_url or environ.get("SEARXNG_URL") or None,
        jina=config.jina.api_key or environ.get("JINA_API_KEY") or None,
    )


@frozen(kw_only=True)
class Web:
    """What the tools work with, shared by all sessions."""

    config: WebConfig
    search: tuple[SearchProvider, ...]  #: in the order in which they are asked
    visit: tuple[VisitProvider, ...]
    answers: Answers
    blocked: Blocked
    guard: Guard
    goals: GoalReader | None


@asynccontextmanager
async def open_web(
    config: WebConfig,
    context: BackendContext,
    *,
    environ: Mapping[str, str] | None = None,
    resolver: Resolver | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Web]:
    """Open everything. No request is sent and no process started before a tool needs it.

    Raises:
        SandboxError: a replay without its recording; searxng without a server.
        AgentFlowError: the model cannot be opened.
    """
    clock = clock or SystemClock()
    guard = Guard(config.allow_hosts, resolver or SystemResolver(), resolve_s=config.local.resolve_timeout_s)
    blocked = Blocked(config.blocked_domains)
    answers = Answers(config, config.cache.path or context.folder / "answers.sqlite", clock)
    answers.check()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(answers.aclose)
        # 30 ms: it reads all certificates
        tls = await anyio.to_thread.run_sync(httpx.create_ssl_context)
        providers = _Providers(config, keys_of(config, os.environ if environ is None else environ), clock, tls, stack)
        goals = None
        if config.model is not None:
            model = await stack.enter_async_context(_model(config.model, context))
            goals = GoalReader(model, answers, max_chars=config.goal_max_chars, quotes=config.goal_quotes)
        yield Web(
            config=config,
            search=tuple([await providers.search(name) for name in providers.search_names()]),
            visit=tuple([await providers.visit(name, guard, blocked) for name in providers.visit_names()]),
            answers=answers,
            blocked=blocked,
            guard=guard,
            goals=goals,
        )


@asynccontextmanager
async def _model(choice: PluginChoice, context: BackendContext) -> AsyncIterator[ChatModel]:
    from agentflow_core.models import ModelsConfig, open_models
    from agentflow_core.plugins import PluginHost

    host = context.host
    if host is None:
        host = await anyio.to_thread.run_sync(PluginHost.load)
    async with open_models(ModelsConfig(model=choice), host=host, observe=context.observe) as models:
        yield models("solver")


def _no_cookies() -> CookieJar:
    """A jar that takes none: what one page sets must not reach another session."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


class _Providers:
    """Make the providers, each with its client."""

    def __init__(self, config: WebConfig, keys: Keys, clock: Clock, tls: ssl.SSLContext, stack: AsyncExitStack) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._tls = tls
        self._stack = stack
        self._apis: httpx.AsyncClient | None = None

    def search_names(self) -> tuple[str, ...]:
        """Those that are named, else those that can be asked."""
        if self._config.search is not None:
            return self._config.search
        has = {"serper": self._keys.serper, "searxng": self._keys.searxng}
        return tuple(name for name, value in has.items() if value)

    def visit_names(self) -> tuple[str, ...]:
        """Those that are named, else jina with a key, then local."""
        if self._config.visit is not None:
            return self._config.visit
        return ("jina", "local") if self._keys.jina else ("local",)

    async def search(self, name: str) -> SearchProvider:
        """The search provider of this name."""
        if name == "serper":
            settings = self._config.serper
            headers = {"X-API-KEY": self._keys.serper} if self._keys.serper else {}
            api = await self._api(name, settings.base_url, settings.timeout_s, headers, key="SERPER_API_KEY")
            return Serper(api, self._upstream(name, settings.requests_per_minute), settings.usd_per_credit)
        url, other = self._keys.searxng, self._config.searxng
        if url is None:
            raise SandboxError(
                "searxng is named, and no server",
                code="provider_unavailable",
                hint="set searxng.base_url, or the environment variable SEARXNG_URL",
            )
        return Searxng(await self._api(name, url, other.timeout_s, {}), self._upstream(name, other.requests_per_minute))

    async def visit(self, name: str, guard: Guard, blocked: Blocked) -> VisitProvider:
        """The page provider of this name."""
        config = self._config
        if name == "local":
            return await self._local(guard, blocked)
        key = self._keys.jina
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        api = await self._api(name, config.jina.base_url, config.jina.timeout_s, headers, key="JINA_API_KEY")
        per_minute = config.jina.requests_per_minute or (None if key else _JINA_WITHOUT_KEY_PER_MINUTE)
        return Jina(
            api,
            self._upstream(name, per_minute),
            has_key=key is not None,
            usd_per_million_tokens=config.jina.usd_per_million_tokens,
            max_chars=config.max_page_chars,
            max_links=config.max_links,
        )

    async def _local(self, guard: Guard, blocked: Blocked) -> Local:
        config = self._config
        local = config.local
        extractors = await self._stack.enter_async_context(
            Extractors(local.extractors, timeout_s=local.extract_timeout_s, memory_mb=local.extract_memory_mb)
        )
        client = httpx.AsyncClient(
            transport=GuardedTransport(guard, ssl_context=self._tls, connections=local.connections),
            timeout=httpx.Timeout(local.timeout_s, connect=local.connect_timeout_s),
            headers={
                "User-Agent": local.user_agent,
                "Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.5",
                "Accept-Language": "en;q=0.9,*;q=0.5",
            },
            cookies=_no_cookies(),
            trust_env=False,
        )
        await self._stack.enter_async_context(client)
        return Local(
            client,
            self._upstream("local", local.requests_per_minute),
            extractors,
            blocked,
            local,
            max_chars=config.max_page_chars,
            max_links=config.max_links,
        )

    async def _api(
        self, name: str, base_url: str, timeout_s: float, headers: Mapping[str, str], *, key: str = ""
    ) -> Api:
        if self._apis is None:
            # the providers' own limits say how long an answer may take
            client = httpx.AsyncClient(
                verify=self._tls, timeout=None, cookies=_no_cookies(), headers={"User-Agent": "agentflow-websearch"}
            )
            self._apis = await self._stack.enter_async_context(client)
        return Api(
            name=name,
            base_url=base_url,
            client=self._apis,
            timeout_s=timeout_s,
            max_bytes=self._config.max_answer_bytes,
            headers=headers,
            key=key,
        )

    def _upstream(self, name: str, requests_per_minute: float | None) -> Upstream:
        return Upstream(
            name,
            requests_per_minute=requests_per_minute,
            retries=self._config.retries,
            breaker=self._config.breaker,
            clock=self._clock,
        )
