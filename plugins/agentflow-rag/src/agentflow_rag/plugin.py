"""Retrieval over document corpora, for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``rag``."""
    yield BackendSpec(
        "rag",
        target="agentflow_rag.backend:RagBackend",
        config="agentflow_rag.config:RagConfig",
        offline="agentflow_rag.offline:RagPolicy",
        demo="agentflow_rag.demo:demo",
        subject="agentflow_rag.conformance:SUBJECT",
        summary="search and read document corpora",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Which search engines are installed."""
    yield Check("rag-engines", target="agentflow_rag.doctor:check_engines", summary="search engines of agentflow-rag")
