"""Search and read multimodal documents, for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check, MetricSpec
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``doc``."""
    yield BackendSpec(
        "doc",
        target="agentflow_doc.backend:DocBackend",
        config="agentflow_doc.config:DocConfig",
        offline="agentflow_doc.offline:DocPolicy",
        subject="agentflow_doc.conformance:SUBJECT",
        summary="search and read documents with their pages, tables and figures",
    )


@hookimpl
def agentflow_metrics() -> Iterator[MetricSpec]:
    """The metrics of DocVQA and MMLongBench-Doc."""
    yield MetricSpec(
        "anls",
        target="agentflow_doc.metrics.anls:Anls",
        config="agentflow_doc.metrics.anls:AnlsConfig",
        summary="normalized Levenshtein similarity of DocVQA, the best reference",
    )
    yield MetricSpec(
        "mmlongbench_acc",
        target="agentflow_doc.metrics.mmlongbench:MMLongBenchAcc",
        summary="the score of MMLongBench-Doc, by the type of the answer",
    )
    yield MetricSpec(
        "mmlongbench_f1",
        target="agentflow_doc.metrics.mmlongbench:MMLongBenchF1",
        gives="aggregate",
        summary="F1 of MMLongBench-Doc: the scores of questions that have an answer or were given one",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Which kinds of documents can be read."""
    yield Check("doc-formats", target="agentflow_doc.doctor:check_formats", summary="formats of agentflow-doc")
