"""What the core contributes, through the same hooks as anyone's plugin: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import (
    Check,
    ExecutorSpec,
    ExporterSpec,
    GateSpec,
    MetricSpec,
    ModelSpec,
    ScorerSpec,
    SelectorSpec,
)
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_models() -> Iterator[ModelSpec]:
    """The model providers."""
    at = "agentflow_core.models"
    yield ModelSpec(
        "openai",
        target=f"{at}.openai:OpenAIModel",
        config=f"{at}.openai:OpenAIConfig",
        summary="any OpenAI-compatible URL",
    )
    yield ModelSpec(
        "offline",
        target=f"{at}.offline:OfflineModel",
        config=f"{at}.offline:OfflineConfig",
        summary="rules that plugins bring; no network, no weights: a baseline",
    )
    yield ModelSpec(
        "replay",
        target=f"{at}.replay:ReplayModel",
        config=f"{at}.replay:ReplayConfig",
        summary="answers from a recording",
    )
    yield ModelSpec(
        "mock", target=f"{at}.mock:MockModel", config=f"{at}.mock:MockConfig", summary="a script, for tests"
    )


@hookimpl
def agentflow_metrics() -> Iterator[MetricSpec]:
    """The metrics."""
    at = "agentflow_core.metrics"
    yield MetricSpec(
        "state_match",
        target=f"{at}.state_match:StateMatch",
        config=f"{at}.state_match:StateMatchConfig",
        summary="the state left behind is the one that the task asks for",
    )
    yield MetricSpec(
        "exact_match", target=f"{at}.squad:ExactMatch", summary="equal after SQuAD normalization, best reference"
    )
    yield MetricSpec("f1_score", target=f"{at}.squad:F1Score", summary="token F1 by SQuAD's rule, best reference")
    yield MetricSpec(
        "squad2_exact", target=f"{at}.squad:Squad2Exact", summary="SQuAD 2.0: no reference means no answer"
    )
    yield MetricSpec("squad2_f1", target=f"{at}.squad:Squad2F1", summary="SQuAD 2.0: token F1, no answer is an answer")
    yield MetricSpec("hotpotqa_em", target=f"{at}.squad:HotpotExact", summary="HotpotQA's exact match")
    yield MetricSpec("hotpotqa_f1", target=f"{at}.squad:HotpotF1", summary="HotpotQA's F1: yes and no match whole")
    yield MetricSpec(
        "contains_answer",
        target=f"{at}.contains:ContainsAnswer",
        config=f"{at}.contains:ContainsAnswerConfig",
        summary="the reference stands in the prediction as a sequence of tokens",
    )
    yield MetricSpec(
        "numeric_match",
        target=f"{at}.numeric:NumericMatch",
        config=f"{at}.numeric:NumericMatchConfig",
        summary="one number each, within a tolerance",
    )
    yield MetricSpec(
        "similarity",
        target=f"{at}.similarity:Similarity",
        config=f"{at}.similarity:SimilarityConfig",
        summary="likeness of letters in order, or of meaning by an embedding model",
    )
    yield MetricSpec(
        "llm_judgement", target=f"{at}.judge:LLMJudgement", needs="judge", summary="a model compares with the reference"
    )
    yield MetricSpec(
        "tool_use", target=f"{at}.tool_use:ToolUse", gives="figures", summary="calls, tools, errors, recovery, turns"
    )
    yield MetricSpec(
        "pass_at_k",
        target=f"{at}.attempts:PassAtK",
        config=f"{at}.attempts:AttemptsConfig",
        gives="aggregate",
        summary="the chance that one of k attempts passes",
    )
    yield MetricSpec(
        "pass_hat_k",
        target=f"{at}.attempts:PassHatK",
        config=f"{at}.attempts:AttemptsConfig",
        gives="aggregate",
        summary="the chance that k attempts all pass",
    )


@hookimpl
def agentflow_scorers() -> Iterator[ScorerSpec]:
    """The scorers."""
    at = "agentflow_core.scorers"
    yield ScorerSpec(
        "depth", target=f"{at}.shape:Depth", config=f"{at}.shape:DepthConfig", summary="number of steps, soft cap"
    )
    yield ScorerSpec("tool_diversity", target=f"{at}.shape:ToolDiversity", summary="entropy of the tools used")
    yield ScorerSpec("error_share", target=f"{at}.shape:ErrorShare", summary="1 minus the share of failed steps")
    yield ScorerSpec("staleness", target=f"{at}.shape:Staleness", summary="1 minus the share of stale steps")
    yield ScorerSpec("replayable", target=f"{at}.shape:Replayable", summary="0 where a replay of a step differed")
    yield ScorerSpec(
        "information", target=f"{at}.content:Information", summary="idf-weighted tokens that are new to the path"
    )
    yield ScorerSpec("entity_density", target=f"{at}.content:EntityDensity", summary="names per token")
    yield ScorerSpec(
        "chain", target=f"{at}.content:Chain", summary="share of steps that use what an earlier observation first said"
    )


@hookimpl
def agentflow_selectors() -> Iterator[SelectorSpec]:
    """The selectors."""
    at = "agentflow_core.selectors"
    yield SelectorSpec(
        "coverage", target=f"{at}.coverage:Coverage", summary="greedy gain of covered text per root of length"
    )
    yield SelectorSpec("agentflow", target=f"{at}.classic:Classic", summary="the classic formula: 40 / 30 / 30")
    yield SelectorSpec("topk", target=f"{at}.ranking:TopK", summary="the highest total scores")
    yield SelectorSpec(
        "mmr",
        target=f"{at}.ranking:MMR",
        config=f"{at}.ranking:MMRConfig",
        summary="score against likeness to the chosen",
    )
    yield SelectorSpec("stratified", target=f"{at}.ranking:Stratified", summary="the best of each depth and tool set")
    yield SelectorSpec("random", target=f"{at}.ranking:RandomChoice", summary="at random: a baseline")


@hookimpl
def agentflow_gates() -> Iterator[GateSpec]:
    """The gates: on form and evidence, against benchmarks, and those that ask models."""
    at = "agentflow_core.gates"
    yield GateSpec("schema", target=f"{at}.form:Schema", summary="all parts are there, the answer fits its type")
    yield GateSpec("leak", target=f"{at}.form:Leak", summary="the question does not hold the answer")
    yield GateSpec("self_contained", target=f"{at}.form:SelfContained", summary="no reference to a hidden context")
    yield GateSpec("grounded", target=f"{at}.evidence:Grounded", summary="every quote stands in its observation")
    yield GateSpec(
        "answer_supported", target=f"{at}.evidence:AnswerSupported", summary="the last hop's evidence gives the answer"
    )
    yield GateSpec("chain", target=f"{at}.hops:Chain", summary="each hop's result is used by a later one")
    yield GateSpec("multi_hop", target=f"{at}.hops:MultiHop", summary="no single observation answers the question")
    yield GateSpec(
        "duplicate", target=f"{at}.duplicate:Duplicate", scope="run", summary="no near-duplicate of an earlier question"
    )
    yield GateSpec(
        "contamination",
        target=f"{at}.contamination:Contamination",
        config=f"{at}.contamination:ContaminationConfig",
        summary="no long run of its words stands in the given benchmark files",
    )
    yield GateSpec(
        "closed_book",
        target=f"{at}.solving:ClosedBook",
        config=f"{at}.solving:ClosedBookConfig",
        needs="model",
        calls=1,
        summary="the solver without tools does not know the answer",
    )
    yield GateSpec(
        "round_trip",
        target=f"{at}.solving:RoundTrip",
        config=f"{at}.solving:RoundTripConfig",
        needs="model",
        calls=1,
        summary="the solver with only the evidence gets the answer",
    )
    yield GateSpec(
        "unique",
        target=f"{at}.solving:Unique",
        config=f"{at}.solving:UniqueConfig",
        needs="model",
        calls=2,
        summary="every answer that the evidence allows is the answer or an alias",
    )
    yield GateSpec(
        "leave_one_out",
        target=f"{at}.solving:LeaveOneOut",
        config=f"{at}.solving:LeaveOneOutConfig",
        needs="model",
        calls=3,
        summary="without the evidence of any one hop the solver fails",
    )
    yield GateSpec(
        "pass_rate",
        target=f"{at}.rollouts:PassRate",
        config=f"{at}.rollouts:PassRateConfig",
        needs="both",
        calls=20,
        summary="how often the solver succeeds with tools: the difficulty label",
    )


@hookimpl
def agentflow_executors() -> Iterator[ExecutorSpec]:
    """The executor."""
    yield ExecutorSpec(
        "local", target="agentflow_core.executors.local:LocalExecutor", summary="a bounded task group in this process"
    )


@hookimpl
def agentflow_exporters() -> Iterator[ExporterSpec]:
    """The training formats."""
    at = "agentflow_core.export"
    yield ExporterSpec("openai", target=f"{at}.openai:OpenAIExporter", summary="fine-tuning JSON Lines with tool calls")
    yield ExporterSpec("trl", target=f"{at}.trl:TRLExporter", summary="messages and tools for TRL, JSON Lines")
    yield ExporterSpec(
        "trl-dpo", target=f"{at}.preferences:PreferenceExporter", summary="preference pairs for TRL, JSON Lines"
    )
    yield ExporterSpec(
        "sharegpt", target=f"{at}.sharegpt:ShareGPTExporter", summary="conversations for LLaMA-Factory, JSON Lines"
    )
    yield ExporterSpec("atif", target=f"{at}.atif:ATIFExporter", summary="ATIF 1.7, a file for each trajectory")
    yield ExporterSpec("verl", target=f"{at}.verl:VerlExporter", summary="prompts with ground truth for verl, Parquet")
    yield ExporterSpec("parquet", target=f"{at}.tables:ParquetExporter", summary="a typed table, Parquet")
    yield ExporterSpec("csv", target=f"{at}.tables:CSVExporter", summary="a flat table, CSV")


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """What the core stands on."""
    yield Check("python", target="agentflow_core.cli.checks:check_python", summary="the interpreter and the machine")
    yield Check("state", target="agentflow_core.cli.checks:check_state", summary="where indexes and journals are kept")
    at = "agentflow_core.sandbox.launchers.probes"
    yield Check("bwrap", target=f"{at}:probe_bwrap", summary="sessions confined by bubblewrap, the default")
    yield Check("docker", target=f"{at}:probe_docker", summary="sessions confined by a Docker engine")
