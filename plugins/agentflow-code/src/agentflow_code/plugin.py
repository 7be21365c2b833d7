"""Python and SQL in confined sessions, for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check, GateSpec, MetricSpec
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``code``."""
    yield BackendSpec(
        "code",
        target="agentflow_code.backend:CodeBackend",
        config="agentflow_code.config:CodeConfig",
        offline="agentflow_code.offline:CodePolicy",
        subject="agentflow_code.conformance:code_subject",
        summary="run Python and SQL in confined sessions",
    )


@hookimpl
def agentflow_gates() -> Iterator[GateSpec]:
    """The gates that run what a draft was computed with."""
    at = "agentflow_code.gates"
    yield GateSpec(
        "executes",
        target=f"{at}.executes:Executes",
        config=f"{at}.executes:ExecutesConfig",
        needs="sandbox",
        summary="the SQL or code, run again in fresh sessions, gives the stated answer",
    )
    yield GateSpec(
        "clauses_necessary",
        target=f"{at}.necessity:ClausesNecessary",
        config=f"{at}.necessity:ClausesConfig",
        needs="sandbox",
        summary="dropping any filter, join or other clause of the SQL changes the result",
    )


@hookimpl
def agentflow_metrics() -> Iterator[MetricSpec]:
    """The metric of Text2SQL."""
    at = "agentflow_code.metrics.sql_execution"
    yield MetricSpec(
        "sql_execution",
        target=f"{at}:SqlExecution",
        config=f"{at}:SqlExecutionConfig",
        needs="sandbox",
        summary="the predicted SQL gives what the gold SQL gives, by the rules of Spider or BIRD",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Which interpreter sessions run, and how they start."""
    yield Check(
        "code-interpreter", target="agentflow_code.doctor:check_interpreter", summary="sessions of agentflow-code"
    )
