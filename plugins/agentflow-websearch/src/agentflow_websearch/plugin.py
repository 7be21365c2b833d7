"""Web search and page reading, for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``web``."""
    yield BackendSpec(
        "web",
        target="agentflow_websearch.backend:WebBackend",
        config="agentflow_websearch.config:WebConfig",
        offline="agentflow_websearch.offline:WebPolicy",
        subject="agentflow_websearch.conformance:SUBJECT",
        summary="search the web and read its pages",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Which providers can be asked."""
    yield Check(
        "web-providers",
        target="agentflow_websearch.doctor:check_providers",
        summary="keys and libraries of agentflow-websearch",
    )
