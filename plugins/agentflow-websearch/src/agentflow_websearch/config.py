"""What a user says about the web: the ``backends: {web: …}`` part of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import frozen

from agentflow_core.config import PluginChoice, option
from agentflow_core.errors import ConfigError, Problem
from agentflow_core.sandbox.launchers.proxy.patterns import AllowList

__all__ = [
    "BreakerConfig",
    "CacheConfig",
    "JinaConfig",
    "LocalConfig",
    "RetryConfig",
    "SearxngConfig",
    "SerperConfig",
    "WebConfig",
]

SearchName = Literal["serper", "searxng"]
VisitName = Literal["jina", "local"]
MIB = 1024 * 1024


@frozen(kw_only=True)
class SerperConfig:
    """The Serper API: Google's results."""

    api_key: str | None = option(None, help="the key; default: SERPER_API_KEY", secret=True)
    base_url: str = option("https://google.serper.dev", help="where the API is", operational=True)
    timeout_s: float = option(20.0, help="seconds for one answer", at_least=0.1, operational=True)
    requests_per_minute: float | None = option(
        None, help="requests at most; default: no limit", at_least=0.1, operational=True
    )
    usd_per_credit: float | None = option(0.001, help="price of a credit; null: unknown", at_least=0)


@frozen(kw_only=True)
class SearxngConfig:
    """A SearXNG server whose settings allow the format ``json``."""

    base_url: str | None = option(None, help="where the server is; default: SEARXNG_URL", operational=True)
    timeout_s: float = option(20.0, help="seconds for one answer", at_least=0.1, operational=True)
    requests_per_minute: float | None = option(
        None, help="requests at most; default: no limit", at_least=0.1, operational=True
    )


@frozen(kw_only=True)
class JinaConfig:
    """Jina Reader, which fetches a page, runs its scripts and gives Markdown. It sees the URLs that are visited."""

    api_key: str | None = option(None, help="the key; default: JINA_API_KEY; it answers without one too", secret=True)
    base_url: str = option("https://r.jina.ai", help="where the API is", operational=True)
    timeout_s: float = option(45.0, help="seconds for one page", at_least=0.1, operational=True)
    requests_per_minute: float | None = option(
        None, help="requests at most; default: 20 without a key, else no limit", at_least=0.1, operational=True
    )
    usd_per_million_tokens: float | None = option(
        None, help="price of the tokens of a key; default: unknown", at_least=0
    )


@frozen(kw_only=True)
class LocalConfig:
    """Pages fetched from this machine, and their text taken out by trafilatura in processes of their own."""

    timeout_s: float = option(20.0, help="seconds for one page, redirects included", at_least=0.1, operational=True)
    connect_timeout_s: float = option(8.0, help="seconds for one connection", at_least=0.1, operational=True)
    resolve_timeout_s: float = option(10.0, help="seconds to look a name up", at_least=0.1, operational=True)
    max_bytes: int = option(5 * MIB, help="bytes of a page, unpacked; what is more is left out", at_least=1024)
    max_redirects: int = option(5, help="redirects that are followed", at_least=0, at_most=20)
    extract_timeout_s: float = option(10.0, help="seconds to take the text out", at_least=0.1, operational=True)
    extract_memory_mb: int = option(
        1024, help="memory that taking the text out may use", at_least=256, operational=True
    )
    extractors: int = option(2, help="processes that take texts out at once", at_least=1, at_most=64, operational=True)
    connections: int = option(64, help="connections at once", at_least=1, at_most=1000, operational=True)
    requests_per_minute: float | None = option(
        None, help="pages at most; default: no limit", at_least=0.1, operational=True
    )
    user_agent: str = option("Mozilla/5.0 (compatible; AgentFlow/0.1)", help="what servers are told of the client")


@frozen(kw_only=True)
class RetryConfig:
    """How an attempt that failed is made again: after 429, 5xx and failed connections only."""

    max_attempts: int = option(3, help="attempts for one answer", at_least=1, at_most=20)
    base_s: float = option(0.5, help="bound of the first wait; it doubles", at_least=0)
    cap_s: float = option(8.0, help="bound of any wait, but for what Retry-After asks", at_least=0)
    deadline_s: float = option(45.0, help="after which no further attempt begins", at_least=0)
    seed: int = option(0, help="of the jitter")


@frozen(kw_only=True)
class BreakerConfig:
    """When a provider that fails is left alone; of the local fetcher, each host by itself."""

    failures: int = option(5, help="failures in a row after which it is not asked", at_least=1)
    cooldown_s: float = option(30.0, help="for how long; then one request tries", at_least=0)


@frozen(kw_only=True)
class CacheConfig:
    """Whether answers are kept.

    ``live``: no. ``cache``: what succeeded is answered from the file. ``record``: everything, failures too, is written
    and answered from the file, for ``replay``, which asks nobody.
    """

    mode: Literal["live", "cache", "record", "replay"] = option("live", help="live, cache, record or replay")
    path: Path | None = option(
        None, help="the file; default: answers.sqlite in the backend's state folder", path=True, operational=True
    )


@frozen(kw_only=True)
class WebConfig:
    """Who is asked, in which order, and within which limits. Works without any setting where a key is in the environment."""

    search: tuple[SearchName, ...] | None = option(
        None, help="search providers in order; default: serper with a key, searxng with a URL"
    )
    visit: tuple[VisitName, ...] | None = option(
        None, help="page providers in order; default: jina with a key, then local"
    )
    serper: SerperConfig = option(SerperConfig(), help="settings of serper")
    searxng: SearxngConfig = option(SearxngConfig(), help="settings of searxng")
    jina: JinaConfig = option(JinaConfig(), help="settings of jina")
    local: LocalConfig = option(LocalConfig(), help="settings of local")
    retries: RetryConfig = option(RetryConfig(), help="how failed attempts are made again", operational=True)
    breaker: BreakerConfig = option(BreakerConfig(), help="when a provider is left alone", operational=True)
    cache: CacheConfig = option(CacheConfig(), help="whether answers are kept", operational=True)
    blocked_domains: tuple[str, ...] = option(
        (), help="domains, with or without a path, that are never shown or read, such as example.com/data"
    )
    allow_hosts: tuple[str, ...] = option(
        (), help="host:port that may be read though they are not public, such as 127.0.0.1:8080"
    )
    model: PluginChoice | None = option(
        None, help="the model that reads a page for a goal; default: none", plugin="model"
    )
    goal_max_chars: int = option(100_000, help="how much of a page the model reads for a goal", at_least=1000)
    goal_quotes: int = option(8, help="quotes for a goal", at_least=1, at_most=50)
    max_page_chars: int = option(1_000_000, help="characters of a page's text that are kept", at_least=1000)
    max_answer_bytes: int = option(8 * MIB, help="bytes of one answer of an API", at_least=1024)
    max_links: int = option(100, help="links of a page in the data", at_least=0)
    shown_links: int = option(20, help="links of a page that are shown below its text", at_least=0)
    find_passages: int = option(20, help="passages that web:find gives", at_least=1, at_most=1000)
    find_context_chars: int = option(200, help="characters that it gives on each side", at_least=0, at_most=10_000)
    remember_pages: int = option(
        64, help="pages that live mode keeps for reading on and for web:find", at_least=0, operational=True
    )
    remember_s: float = option(300.0, help="seconds that it keeps them", at_least=0, operational=True)

    def __attrs_post_init__(self) -> None:
        """Refuse a host that cannot be read and lists that name nobody or somebody twice."""
        problems = []
        for index, text in enumerate(self.allow_hosts):
            try:
                AllowList.read([text])
            except ValueError as error:
                problems.append(Problem(str(error), path=f"allow_hosts.{index}"))
        for name, listed in (("search", self.search), ("visit", self.visit)):
            if listed is not None and (not listed or len(set(listed)) < len(listed)):
                problems.append(Problem("names nobody, or somebody twice", path=name))
        if problems:
            raise ConfigError(problems)
