"""Web browsing in isolated browser contexts, for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``browser``."""
    yield BackendSpec(
        "browser",
        target="agentflow_browser.backend:BrowserBackend",
        config="agentflow_browser.config:BrowserConfig",
        offline="agentflow_browser.offline:BrowserPolicy",
        subject="agentflow_browser.conformance:browser_subject",
        summary="browse the web: pages as accessibility trees, with references to act on",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Whether a browser starts, and how it is held apart."""
    yield Check("browser", target="agentflow_browser.doctor:check_browser", summary="the browser of agentflow-browser")
