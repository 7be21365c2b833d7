"""Every hook of AgentFlow. Each docstring holds an example that a test runs.

A hook answers *what do you contribute*, or is told *what happened*. Nothing here runs anything: a contribution
names an import path, which is resolved when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_core.contributions import (
        BackendSpec,
        Check,
        ExecutorSpec,
        ExporterSpec,
        GateSpec,
        MetricSpec,
        ModelSpec,
        ScorerSpec,
        SelectorSpec,
        ToolSpec,
    )
    from agentflow_core.records.events import Event

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("agentflow")
#: Marks a function of a plugin module as the implementation of the hook of the same name.
hookimpl = pluggy.HookimplMarker("agentflow")


@hookspec
def agentflow_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Environments with a life cycle.

    ``subject`` names what ``agentflow doctor --conformance counter`` tries the laws of the sandbox on.

    Example:
        >>> @hookimpl
        ... def agentflow_backends():
        ...     yield BackendSpec(
        ...         "counter", target="my_env:CounterBackend", subject="my_env:SUBJECT", summary="count things"
        ...     )
    """


@hookspec
def agentflow_tools() -> Iterable[ToolSpec]:  # type: ignore[empty-body]
    """API tools that need no session.

    Example:
        >>> @hookimpl
        ... def agentflow_tools():
        ...     yield ToolSpec("math:add", target="my_tools:add", summary="add two numbers")
    """


@hookspec
def agentflow_scorers() -> Iterable[ScorerSpec]:  # type: ignore[empty-body]
    """Scorers of paths, for trajectory selection.

    Example:
        >>> @hookimpl
        ... def agentflow_scorers():
        ...     yield ScorerSpec("brevity", target="my_scorers:Brevity", summary="prefer short observations")
    """


@hookspec
def agentflow_selectors() -> Iterable[SelectorSpec]:  # type: ignore[empty-body]
    """Selectors of scored paths.

    Example:
        >>> @hookimpl
        ... def agentflow_selectors():
        ...     yield SelectorSpec("first", target="my_selectors:First", summary="keep the first paths")
    """


@hookspec
def agentflow_gates() -> Iterable[GateSpec]:  # type: ignore[empty-body]
    """Gates of QA drafts.

    Example:
        >>> @hookimpl
        ... def agentflow_gates():
        ...     yield GateSpec("polite", target="my_gates:Polite", summary="the question says please")
    """


@hookspec
def agentflow_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]
    """Metrics of predictions, and aggregates over the samples of a task (``gives="aggregate"``).

    Example:
        >>> @hookimpl
        ... def agentflow_metrics():
        ...     yield MetricSpec("same_length", target="my_metrics:SameLength", summary="compare lengths")
    """


@hookspec
def agentflow_models() -> Iterable[ModelSpec]:  # type: ignore[empty-body]
    """Chat model providers.

    Example:
        >>> @hookimpl
        ... def agentflow_models():
        ...     yield ModelSpec("parrot", target="my_models:Parrot", summary="repeat the question")
    """


@hookspec
def agentflow_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Executors: where units of work run.

    Example:
        >>> @hookimpl
        ... def agentflow_executors():
        ...     yield ExecutorSpec("cluster", target="my_cluster:ClusterExecutor", summary="run on a cluster")
    """


@hookspec
def agentflow_exporters() -> Iterable[ExporterSpec]:  # type: ignore[empty-body]
    """Exporters to training formats.

    Example:
        >>> @hookimpl
        ... def agentflow_exporters():
        ...     yield ExporterSpec("plain", target="my_formats:PlainText", summary="question and answer as text")
    """


@hookspec
def agentflow_doctor() -> Iterable[Check]:  # type: ignore[empty-body]
    """Probes for ``agentflow doctor``: is what the plugin stands on there, and if not, what to install.

    Example:
        >>> @hookimpl
        ... def agentflow_doctor():
        ...     yield Check("chromium", target="my_env:find_chromium", summary="a Chromium that starts")
    """


@hookspec
def agentflow_observe(event: Event) -> None:
    """Be told of a run event. A failing observer is logged once and never fatal.

    Example:
        >>> @hookimpl
        ... def agentflow_observe(event):
        ...     if isinstance(event, DraftJudged) and event.accepted:
        ...         counts["accepted"] += 1
    """
