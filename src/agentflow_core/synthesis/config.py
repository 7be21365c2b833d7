"""The configuration of a synthesis: one file a run, a section a stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from agentflow_core.config import PluginChoice, option
from agentflow_core.errors import ConfigError, Problem
from agentflow_core.gates.asking import GateBudgetConfig
from agentflow_core.runs import RunConfig
from agentflow_core.synthesis.obfuscating import ObfuscateConfig

__all__ = ["QAConfig", "SamplingConfig", "SeedsConfig", "SelectionConfig", "SynthesisConfig"]

_GATES = ("schema", "leak", "self_contained", "grounded", "answer_supported", "chain", "multi_hop", "duplicate")
_SCORERS = ("depth", "information", "tool_diversity")


@frozen(kw_only=True)
class SeedsConfig:
    """Where explorations start: a file, or the seeds themselves."""

    path: Path | None = option(
        None, help="JSON Lines, JSON, CSV or Parquet; one seed a row; '-' is standard input", path=True
    )
    items: tuple[Any, ...] = option((), help="seeds in place: texts, or objects {id, content, kwargs, session}")
    limit: int | None = option(None, help="take the first seeds only", at_least=1)


@frozen(kw_only=True)
class SamplingConfig:
    """How a trajectory tree grows from each seed."""

    max_depth: int = option(4, help="steps from the root to a leaf at most", at_least=1, at_most=200)
    branching_factor: int = option(
        2, help="different actions that a node is grown by, above the threshold", at_least=1, at_most=64
    )
    depth_threshold: int = option(
        2, help="nodes less deep than this branch; from there on each has one child", at_least=0
    )
    growth: Literal["uniform", "best_first"] = option(
        "uniform",
        help="which nodes are grown: 'uniform': all of them, depth by depth; 'best_first': the best of the whole tree, "
        "by the mean of their novelty and of their share of max_depth, until node_budget is spent",
    )
    node_budget: int | None = option(None, help="nodes of a tree at most, beside its root", at_least=1)
    width: int = option(4, help="nodes that best_first grows at once", at_least=1)
    stale_novelty: float = option(
        0.1,
        help="a node whose observation has a smaller share of new text is stale and not grown; where its tool changes "
        "the state of a session it has one child",
        at_least=0,
        at_most=1,
    )
    isolation: Literal["auto", "fork", "replay", "shared"] = option(
        "auto",
        help="what keeps the branches of a tree apart in backends with sessions: 'auto': forks where the backend has "
        "them, else fresh sessions in which the path is replayed; 'fork': the same, but an error at the start where a "
        "backend cannot fork; 'replay': every action in a fresh session after a replay of its path, so that each path "
        "is tried again; 'shared': nothing, the branches act in one session and their data is not replayable",
    )
    sessions_per_tree: int = option(
        4,
        help="sessions of a backend that a tree holds from wave to wave at most; further branches are closed, and "
        "their paths replayed when they are grown; a tree waits until it can have them all, so that with fewer of "
        "them more trees grow at once",
        at_least=1,
    )
    seed_description: str = option("", help="what the seeds are, told to the explorer")
    tips: str = option("", help="advice for the explorer")

    def __attrs_post_init__(self) -> None:
        """Refuse a growth that has no end but the depth."""
        if self.growth == "best_first" and self.node_budget is None:
            raise ConfigError([Problem("needs to be set where growth is 'best_first', such as 30", path="node_budget")])


@frozen(kw_only=True)
class SelectionConfig:
    """Which root-to-leaf paths are kept."""

    min_depth: int = option(2, help="steps that a path needs at least", at_least=1)
    max_selected_traj: int = option(3, help="paths kept of a seed at most", at_least=1)
    path_similarity_threshold: float = option(
        0.7, help="two paths whose content is more alike than this count as one", at_least=0, at_most=1
    )
    across_seeds: bool = option(
        True, help="leave out paths whose content is more alike than that to a path kept of an earlier seed"
    )
    require_replayable: bool = option(
        False, help="leave out paths of which a replay has given another observation than the tree holds"
    )
    selector: PluginChoice = option(PluginChoice("coverage"), help="how paths are chosen", plugin="selector")
    scorers: Mapping[str, PluginChoice] = option(
        factory=lambda: {name: PluginChoice(name) for name in _SCORERS},
        help="how paths are scored, with weights",
        plugin="scorer",
        weighted=True,
    )


@frozen(kw_only=True)
class QAConfig:
    """How questions are drafted from a path, and which gates a draft has to pass."""

    per_trajectory: int = option(1, help="drafts of a path at most", at_least=1, at_most=20)
    min_hops: int = option(2, help="source observations that a question rests on at least", at_least=1)
    gates: tuple[PluginChoice, ...] = option(
        tuple(PluginChoice(name) for name in _GATES), help="what a draft has to pass", plugin="gate"
    )
    answer_types: tuple[str, ...] = option((), help="answer types to ask for; default: any")
    tips: str = option("", help="advice for the synthesizer")
    examples: tuple[Mapping[str, Any], ...] = option((), help="example pairs {question, answer} for the synthesizer")
    context_tokens: int = option(
        24_000, help="tokens of observations that the synthesizer is shown at most, estimated", at_least=500
    )
    gate_budget: GateBudgetConfig = option(
        GateBudgetConfig(),
        help="what the gates may ask of models for one draft; a draft that would need more is not judged, nor accepted",
    )
    obfuscate: ObfuscateConfig | None = option(
        None,
        help="make a second version of each draft that passed the gates, harder to look up; it has to pass them too",
    )


@frozen(kw_only=True)
class SynthesisConfig(RunConfig):
    """A synthesis: seeds and tools in; a trajectory tree, selected paths and verified QA out."""

    seeds: SeedsConfig = option(SeedsConfig(), help="where explorations start")
    tools: tuple[str, ...] = option(("*",), help="the tools to explore with, such as 'rag:*'")
    sampling: SamplingConfig = option(SamplingConfig(), help="stage 1: how trees grow")
    selection: SelectionConfig = option(SelectionConfig(), help="stage 2: which paths are kept")
    qa: QAConfig = option(QAConfig(), help="stage 3: questions and their gates")
    target_qa_count: int | None = option(
        None,
        help="stop when so many questions are accepted, in seed order; what was done beyond is kept and not counted, "
        "and an obfuscated version counts with the question that it was made from",
        at_least=1,
    )
    seeds_per_wave: int = option(
        16,
        help="with target_qa_count, seeds that are taken up at once; then it is looked whether there are enough questions",
        at_least=1,
    )
    random_seed: int = option(0, help="seed of every random choice")
