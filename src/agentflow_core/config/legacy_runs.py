"""Translate the flat synthesis and rollout files of the earlier AgentFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from attrs import evolve

from agentflow_core.config.legacy_keys import Old, listed
from agentflow_core.config.legacy_names import tools_of
from agentflow_core.config.legacy_sandbox import RUN_KEYS, sandbox_of_run
from agentflow_core.config.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.config.legacy_keys import New, Translator

__all__ = ["is_run_file", "run_file", "run_kind"]

_MODEL: Final = ("model_name", "api_key", "base_url")
_BOTH: Final = (*_MODEL, "available_tools", "output_dir", *RUN_KEYS)
_SYNTHESIS: Final[Mapping[str, tuple[str, ...]]] = {
    "number_of_seed": ("seeds", "limit"),
    "max_depth": ("sampling", "max_depth"),
    "branching_factor": ("sampling", "branching_factor"),
    "depth_threshold": ("sampling", "depth_threshold"),
    "min_depth": ("selection", "min_depth"),
    "max_selected_traj": ("selection", "max_selected_traj"),
    "path_similarity_threshold": ("selection", "path_similarity_threshold"),
}
_SYNTHESIS_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "seed_description": ("sampling", "seed_description"),
    "sampling_tips": ("sampling", "tips"),
    "synthesis_tips": ("qa", "tips"),
}
_OF_SYNTHESIS: Final = (*_SYNTHESIS, *_SYNTHESIS_TEXTS, "seeds_file", "qa_examples")
_EVALUATOR: Final = (
    "evaluator_model_name",
    "evaluator_api_key",
    "evaluator_base_url",
    "evaluator_temperature",
)
#: What a run keeps in any case, or has no name for.
_NEVER_ASKED: Final = {
    "benchmark_name": "a run is named by its directory",
    "save_results": "a run keeps results.jsonl",
    "save_trajectories": "a run keeps trajectories.jsonl",
    "trajectory_only": "a run keeps trajectories.jsonl; agentflow export writes other forms",
    "save_summary": "a run keeps summary.json and summary.md",
    "evaluator_max_retries": "retries.max_attempts counts for every model",
}
_OF_ROLLOUT: Final = (
    *("data_path", "number_of_tasks", "task_ids", "max_turns", "max_retries", "max_workers", "parallel"),
    *("system_prompt", "system_prompt_file", "evaluate_results", "evaluation_metric"),
    *(*_EVALUATOR, "evaluator_extra_params", *_NEVER_ASKED),
)
#: What the earlier AgentFlow did where the file did not say.
_DEFAULT_MODEL: Final = "gpt-4.1-2025-04-14"
_SYNTHESIS_DEFAULTS: Final = {("sampling", "max_depth"): 5, ("sampling", "depth_threshold"): 3}
_DEFAULT_TURNS: Final = 100
_DEFAULT_METRIC: Final = "exact_match"
#: Sections that only files of today have.
_NEW: Final = frozenset(
    {"model", "roles", "budget", "retries", "sandbox", "executor", "plugins", "run_dir", "random_seed"}
    | {"seeds", "tools", "sampling", "selection", "qa", "data", "rollout", "metrics", "cluster_by", "breakdown"}
    | {"backends", "enabled", "limits", "launcher", "state_dir", "url", "token"}
)
#: Keys that files of today have too.
_SHARED: Final = frozenset({"max_workers"})
_KNOWN: Final = (*_BOTH, *_OF_SYNTHESIS, *_OF_ROLLOUT)
#: Parameters of the judge that are settings of a model; any others are sent as they are.
_SAMPLING: Final = ("temperature", "top_p", "max_tokens", "seed")


def is_run_file(root: Node) -> bool:
    """Whether the document is a flat synthesis or rollout file: it has keys of those, and no section of today."""
    keys = set(root.value) if isinstance(root.value, dict) else set()
    return not keys & _NEW and bool(keys & (set(_KNOWN) - _SHARED))


def run_kind(root: Node) -> Literal["synthesis", "rollout"]:
    """What a flat file configures, by the keys that only one of the two has."""
    keys = set(root.value) if isinstance(root.value, dict) else set()
    return "rollout" if len(keys & set(_OF_ROLLOUT)) > len(keys & set(_OF_SYNTHESIS)) else "synthesis"


def run_file(root: Node, new: New, translator: Translator) -> None:
    """Translate a flat file into ``new``."""
    old = Old(root, translator)
    kind = run_kind(root)
    _model(old, new)
    new.put(("run_dir",), old.take("output_dir", translator.made_path))
    if kind == "synthesis":
        tools = _tools(old, new, ("tools",))
        _synthesis(old, new, translator)
        old.ignore(_OF_ROLLOUT, "a synthesis has no such setting")
    else:
        tools = _tools(old, new, ("rollout", "tools"))
        _rollout(old, new, translator)
        old.ignore(_OF_SYNTHESIS, "a rollout has no such setting")
    sandbox_of_run(old, new, translator, tools)
    old.ignore_rest(_KNOWN)


def _model(old: Old, new: New) -> None:
    """One model for every role, of a server that speaks OpenAI's protocol."""
    model = new.at("model", was="model_name")
    model.constant(("provider",), "openai")
    name, key, url = (old.take(each) for each in _MODEL)
    model.put(("name",), name or Node(value=_DEFAULT_MODEL, mark=old.mark))
    model.put(("base_url",), url)
    model.put(("api_key",), key)


def _tools(old: Old, new: New, place: tuple[str, ...]) -> list[str]:
    """The tools as they are called now, as texts; the key that names resources stays."""
    node = old.take("available_tools")
    if node is None:
        return []
    named = tools_of(node, old.texts("resource_types"))
    new.put(place, named)
    return [part.value for part in listed(named) if isinstance(part.value, str)]


def _synthesis(old: Old, new: New, translator: Translator) -> None:
    new.at("seeds", was="seeds_file").put(("path",), old.take("seeds_file", translator.path))
    for default, value in _SYNTHESIS_DEFAULTS.items():
        new.constant(default, value)
    for key, place in _SYNTHESIS.items():
        new.put(place, old.take(key))
    for key, place in _SYNTHESIS_TEXTS.items():
        new.put(place, old.take(key, translator.text))
    new.put(("qa", "examples"), old.take("qa_examples", lambda examples: evolve(examples, expanded=True)))


def _rollout(old: Old, new: New, translator: Translator) -> None:
    data = new.at("data", was="data_path")
    data.put(("path",), old.take("data_path", translator.path))
    data.put(("limit",), old.take("number_of_tasks"))
    data.put(("ids",), old.take("task_ids", lambda ids: evolve(ids, value=tuple(map(_as_text, listed(ids))))))
    new.put(("rollout", "max_turns"), old.take("max_turns") or Node(value=_DEFAULT_TURNS, mark=old.mark))
    _prompt(old, new, translator)
    _workers(old, new, translator)
    new.put(("retries", "max_attempts"), old.take("max_retries", _attempts))
    _evaluation(old, new, translator)
    for key, reason in _NEVER_ASKED.items():
        old.ignore([key], reason)


def _attempts(retries: Node) -> Node:
    """Tries in all: the first and its retries."""
    if type(retries.value) is not int or retries.value < 0:
        return retries
    return evolve(retries, value=retries.value + 1, written="")


def _as_text(node: Node) -> Node:
    return evolve(node, value=node.written or str(node.value), written="") if type(node.value) is int else node


def _prompt(old: Old, new: New, translator: Translator) -> None:
    """The prompt, or its file: the file came first."""
    file = old.take("system_prompt_file")
    if file is None:
        new.put(("rollout", "system_prompt"), old.take("system_prompt", translator.text))
    else:
        new.put(("rollout", "system_prompt_file"), translator.path(file))
        old.ignore(["system_prompt"], "system_prompt_file comes first")


def _workers(old: Old, new: New, translator: Translator) -> None:
    """How many tasks at once: one where ``parallel`` says no."""
    parallel = old.take("parallel")
    if parallel is not None and translator.flag(parallel) is False:
        old.ignore(["max_workers"], "parallel is false")
        new.put(("max_workers",), evolve(parallel, value=1, written=""))
    new.put(("max_workers",), old.take("max_workers"))


def _evaluation(old: Old, new: New, translator: Translator) -> None:
    metric, evaluates = old.take("evaluation_metric"), old.take("evaluate_results")
    if translator.flag(evaluates) is False:
        assert evaluates is not None  # a missing one says nothing
        new.put(("metrics",), evolve(evaluates, value=(), written=""))
        if metric is not None:
            translator.ignore(metric, "evaluate_results is false")
    else:
        metric = metric or Node(value=_DEFAULT_METRIC, mark=old.mark)
        new.put(("metrics",), evolve(metric, value=(metric,)))
    _judge(old, new, translator)


def _judge(old: Old, new: New, translator: Translator) -> None:
    """The model that judges, where it is another one; what it does not say is as of the main model."""
    extra = old.section("evaluator_extra_params")
    if not extra.left and not any(key in old.left for key in _EVALUATOR):
        return
    judge = new.at("roles").at("judge", was="evaluator_model_name")
    judge.constant(("provider",), "openai")
    judge.constant(("temperature",), 0.0)
    main = new.at("model")
    for setting, key in (("name", "model_name"), ("base_url", "base_url"), ("api_key", "api_key")):
        judge.put((setting,), old.take(f"evaluator_{key}") or main.get(setting))
    for key in extra.left:
        judge.put((key,) if key in _SAMPLING else ("extra", key), extra.take(key))
    judge.put(("temperature",), old.take("evaluator_temperature"))
