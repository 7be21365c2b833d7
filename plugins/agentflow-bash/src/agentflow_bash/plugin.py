"""Shells in confined sessions, for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``bash``."""
    yield BackendSpec(
        "bash",
        target="agentflow_bash.backend:BashBackend",
        config="agentflow_bash.config:BashConfig",
        subject="agentflow_bash.conformance:SUBJECT",
        summary="run commands in a confined shell, and work on files",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Which bash there is, and whether files can be confined."""
    yield Check(
        "bash-shell", target="agentflow_bash.doctor:check_shell", summary="what sessions of agentflow-bash need"
    )
