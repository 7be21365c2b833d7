"""What the tests of agentflow-websearch share: a sandbox over servers on loopback, a clock and a resolver of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import define, field, frozen

from agentflow_core.config import load_config
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_websearch.backend import WebBackend
from agentflow_websearch.config import WebConfig
from agentflow_websearch.small_web import Heard, Reply, SmallWeb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@define
class FakeClock:
    """Time that passes only where somebody waits."""

    at: float = 1000.0
    slept: list[float] = field(factory=list)

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        await anyio.lowlevel.checkpoint()


@define
class FakeResolver:
    """Names with their addresses; a list of lists answers one after the other."""

    names: Mapping[str, Sequence[Any]] = field(factory=dict)
    asked: list[str] = field(factory=list)

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        if name not in self.names:
            raise OSError(f"no such name: {name}")
        found = self.names[name]
        if found and isinstance(found[0], list):
            turn = min(self.asked.count(name), len(found)) - 1
            return found[turn]
        return found


@frozen(kw_only=True)
class Played:
    """The server, and the sandbox that reads it."""

    web: SmallWeb
    sandbox: Sandbox
    clock: FakeClock
    resolver: FakeResolver


def paths(routes: Mapping[str, Any]) -> Callable[[Heard], Any]:
    """Answer by path: a reply, a list of replies in turn (the last one stays), or a function of the request."""
    counts: dict[str, int] = {}

    async def answer(heard: Heard) -> Reply:
        found = routes.get(heard.path, Reply(status=404))
        if isinstance(found, list):
            turn = counts.get(heard.path, 0)
            counts[heard.path] = turn + 1
            found = found[min(turn, len(found) - 1)]
        return found(heard) if callable(found) else found

    return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def played(tmp_path: Path, clock: FakeClock) -> Callable[..., Any]:
    """``async with played({path: reply}, settings…) as it``: ``it.sandbox`` reads ``it.web``.

    In settings ``{url}`` and ``{host}`` stand for the server's. Keys of the environment are not seen.
    """

    @asynccontextmanager
    async def run(
        routes: Mapping[str, Any] | SmallWeb,
        *,
        names: Mapping[str, Sequence[Any]] | None = None,
        real_clock: bool = False,
        host: Any = None,
        **settings: Any,
    ) -> AsyncIterator[Played]:
        web = routes if isinstance(routes, SmallWeb) else SmallWeb(paths(routes))
        resolver = FakeResolver(names or {})

        @asynccontextmanager
        async def sandbox_over(web: SmallWeb) -> AsyncIterator[Played]:
            filled = _filled(settings, {"url": web.url, "host": web.host, "port": str(web.port)})
            config = load_config(WebConfig, filled, registry=None if host is None else host.registry).config
            catalog = Catalog.of(
                web=lambda: WebBackend(config, environ={}, resolver=resolver, clock=None if real_clock else clock)
            )
            state = SandboxConfig(state_dir=tmp_path / "state")
            async with Sandbox(catalog=catalog, config=state, host=host) as sandbox:
                yield Played(web=web, sandbox=sandbox, clock=clock, resolver=resolver)

        if isinstance(routes, SmallWeb):  # the caller opens it, or leaves it closed
            async with sandbox_over(web) as it:
                yield it
        else:
            async with web, sandbox_over(web) as it:
                yield it

    return run


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {key: _filled(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, names) for item in value]
    return value


@pytest.fixture
def serper() -> dict[str, Any]:
    """Settings that ask a Serper-shaped server on loopback."""
    return {"search": ["serper"], "serper": {"api_key": "serper-key", "base_url": "{url}", "timeout_s": 5}}


@pytest.fixture
def jina() -> dict[str, Any]:
    """Settings that ask a Jina-shaped server on loopback."""
    return {"visit": ["jina"], "jina": {"api_key": "jina-key", "base_url": "{url}", "timeout_s": 5}}


@pytest.fixture
def local() -> dict[str, Any]:
    """Settings that fetch pages of the server on loopback."""
    return {"visit": ["local"], "allow_hosts": ["{host}"], "local": {"extractors": 1}}
