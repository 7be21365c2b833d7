"""What a user says about browser sessions: the ``backends: {browser: …}`` part of a configuration."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from agentflow_browser.network import check_hosts
from agentflow_core.config import option

__all__ = ["MAX_TIMEOUT_S", "BrowserConfig", "Viewport"]

#: The longest that one call may wait for a page.
MAX_TIMEOUT_S = 300.0
MIB = 1024 * 1024


@frozen(kw_only=True)
class Viewport:
    """How much of a page is seen at once, in CSS pixels."""

    width: int = option(1280, help="pixels across", at_least=64, at_most=7680)
    height: int = option(800, help="pixels down", at_least=64, at_most=4320)


@frozen(kw_only=True)
class BrowserConfig:
    """Which browser runs, what its pages reach, and how much of them a model is shown."""

    executable: str | None = option(
        None, help="Chromium's program (default: chromium or google-chrome on PATH, else Playwright's own)"
    )
    headless: bool = option(True, help="without windows", operational=True)
    chromium_sandbox: Literal["auto"] | bool = option(
        "auto", help="Chromium's own sandbox; auto: on wherever this machine lets it"
    )
    allow_hosts: tuple[str, ...] = option(
        (), help="hosts that are reached though they are not public: a name, address or network, host or host:port"
    )
    public: bool = option(True, help="reach all public hosts; false: none but allow_hosts")
    allow_evaluate: bool = option(False, help="offer browser:evaluate, which runs JavaScript of the agent in the page")
    approximate_forks: bool = option(
        False, help="fork sessions by cookies, storage, address and scroll position; else paths are run again"
    )
    viewport: Viewport = option(Viewport(), help="of the pages, unless a session says otherwise")
    locale: str = option("en-US", help="what pages are told of the language")
    timezone: str = option("UTC", help="where pages believe to be")
    user_agent: str | None = option(None, help="what pages are told of the browser (default: Chromium's own)")
    ignore_https_errors: bool = option(False, help="open pages whose certificate is not valid")
    timeout_s: float = option(30.0, help="seconds for a page to load", at_least=0.1, at_most=MAX_TIMEOUT_S)
    action_timeout_s: float = option(
        5.0, help="seconds for an element to become visible, enabled and uncovered", at_least=0.1, at_most=60
    )
    settle_s: float = option(
        2.0, help="seconds at most to wait for what an action has set off: navigation and requests", at_least=0
    )
    max_chars: int = option(20_000, help="of a snapshot, where the call does not say", at_least=500, at_most=200_000)
    download_bytes: int = option(100 * MIB, help="the largest file that a page may download", at_least=1024)
    contexts_per_browser: int = option(
        20, help="sessions that one browser process serves before the next takes over", at_least=1, operational=True
    )
    browser_age_s: float = option(
        7200.0, help="seconds after which a browser process takes no new sessions", at_least=1, operational=True
    )

    def __attrs_post_init__(self) -> None:
        """Refuse hosts that cannot be read."""
        check_hosts(self.allow_hosts)
