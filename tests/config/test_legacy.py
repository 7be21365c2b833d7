"""Flat files of the earlier AgentFlow load as they are; every key either counts or is named as ignored."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentflow_core.config import load_config, load_document
from agentflow_core.errors import ConfigError
from agentflow_core.evaluation import RolloutConfig
from agentflow_core.sandbox import SandboxConfig
from agentflow_core.sandbox.server import ServeConfig
from agentflow_core.synthesis import SynthesisConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SYNTHESIS = {
    "model_name": "openai/gpt-oss-120b",
    "api_key": "sk-mine",
    "base_url": "http://127.0.0.1:9/v1",
    "max_depth": 7,
    "branching_factor": 3,
    "depth_threshold": 1,
    "min_depth": 4,
    "max_selected_traj": 5,
    "path_similarity_threshold": 0.5,
    "number_of_seed": 6,
    "resource_types": ["rag"],
    "resource_init_configs": {"rag": {"content": {"top_k": 10}}},
    "sandbox_server_url": "http://127.0.0.1:18891",
    "sandbox_auto_start": False,
    "sandbox_config_path": "server.json",
    "sandbox_timeout": 90,
    "available_tools": ["rag-search", "rag_get", "rag:search"],
    "seed_description": "names",
    "sampling_tips": ["Explore deeply.", "", "Costs $5 or ${LESS}."],
    "synthesis_tips": "Ask for dates.",
    "qa_examples": [{"question": "Who?", "answer": "${NOBODY}"}],
    "seeds_file": "seeds.jsonl",
    "output_dir": "out",
}
ROLLOUT = {
    "model_name": "m",
    "api_key": "sk-mine",
    "base_url": "http://127.0.0.1:9/v1",
    "data_path": "benchmark.jsonl",
    "output_dir": "out",
    "max_turns": 50,
    "max_retries": 3,
    "max_workers": 4,
    "available_tools": ["rag_*"],
    "system_prompt": ["You are", "careful."],
    "evaluate_results": True,
    "evaluation_metric": "llm_judgement",
    "evaluator_model_name": "judge",
    "evaluator_api_key": "sk-other",
    "evaluator_base_url": "http://127.0.0.1:8/v1",
    "evaluator_temperature": 0.5,
    "evaluator_max_retries": 3,
    "evaluator_extra_params": {"max_tokens": 1024, "reasoning": {"effort": "low"}},
    "resource_types": ["rag"],
    "sandbox_server_url": "http://127.0.0.1:18890",
    "sandbox_timeout": 120,
    "benchmark_name": "b",
    "number_of_tasks": 9,
    "task_ids": ["t1", 2],
    "parallel": True,
    "save_results": True,
    "save_trajectories": True,
    "trajectory_only": False,
    "save_summary": True,
}
SERVER = {
    "server": {"url": "http://127.0.0.1:18891", "title": "T", "session_ttl": 600, "log_level": "DEBUG"},
    "resources": {
        "rag": {
            "enabled": True,
            "description": "documents",
            "backend_class": "sandbox.server.backends.resources.rag.RAGBackend",
            "config": {"corpus_path": "corpus.jsonl", "device": "cpu", "_comment_device": ["cpu", "cuda:0"]},
        },
        "counter": {"config": {"start": 3}},
        "vm": {"enabled": False, "config": {"provider": "docker"}},
    },
    "apis": {"text2sql": {"databases": {"shop": "shop.sqlite"}}},
    "warmup": {"enabled": True, "resources": ["rag"]},
}


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a flat file, in a folder of its own; the working directory is the one above."""
    monkeypatch.chdir(tmp_path)

    def write(keys: dict[str, Any], name: str = "configs/old.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(keys, indent=1), encoding="utf-8")
        return path

    return write


def ignored(path: Path) -> dict[str, str]:
    """The ignored keys and why; each is there once."""
    found = [(one.mark.key, one.reason) for one in load_document(path).ignored]
    assert len(found) == len(dict(found))
    return dict(found)


# ---- synthesis


def test_a_flat_synthesis_file_is_a_synthesis(old, tmp_path):
    config = load_config(SynthesisConfig, old(SYNTHESIS)).config
    assert config.model.name == "openai"
    assert config.model.settings == {
        "name": "openai/gpt-oss-120b",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "sk-mine",
    }
    assert config.sampling == attrs.evolve(
        config.sampling,
        max_depth=7,
        branching_factor=3,
        depth_threshold=1,
        seed_description="names",
        tips="Explore deeply.\n\nCosts $5 or ${LESS}.",
    )
    assert (config.selection.min_depth, config.selection.max_selected_traj) == (4, 5)
    assert config.selection.path_similarity_threshold == 0.5
    assert config.seeds.limit == 6
    assert config.qa.tips == "Ask for dates."
    assert config.qa.examples == ({"question": "Who?", "answer": "${NOBODY}"},)
    assert config.tools == ("rag:search", "rag:get")
    assert config.sandbox.url == "http://127.0.0.1:18891"
    assert config.run_dir == tmp_path / "out"


def test_every_key_that_a_synthesis_does_not_take_is_named_once(old):
    assert ignored(old(SYNTHESIS)) == {
        "resource_types": "a session starts when the first tool in it is called",
        "resource_init_configs.rag.content.top_k": "set sandbox.backends.rag, or the session of each seed",
        "sandbox_config_path": "the server has its own configuration",
        "sandbox_timeout": "the server has its own configuration",
    }


def test_what_a_file_does_not_say_is_as_the_earlier_agentflow_had_it(old):
    config = load_config(SynthesisConfig, old({"seeds_file": "s.jsonl"})).config
    assert config.model.settings == {"name": "gpt-4.1-2025-04-14"}
    assert (config.sampling.max_depth, config.sampling.depth_threshold) == (5, 3)
    assert config.sandbox == SandboxConfig()
    rollout = load_config(RolloutConfig, old({"data_path": "t.jsonl"})).config
    assert rollout.rollout.max_turns == 100
    assert [metric.name for metric in rollout.metrics] == ["exact_match"]


def test_empty_values_say_nothing(old):
    empty = {"api_key": "", "base_url": "", "available_tools": [], "number_of_seed": None, "sandbox_config_path": None}
    written, bare = old({"max_depth": 3} | empty, "a.json"), old({"max_depth": 3}, "b.json")
    assert load_config(SynthesisConfig, written).config == load_config(SynthesisConfig, bare).config
    assert not ignored(written)


def test_comments_are_left_out_without_a_word(old):
    comments = {"_comment": "x", "_comment_model": ["y"], "$schema": "z"}
    examples = [{"question": "q", "answer": "a", "_comment": "no part of it"}]
    path = old({"max_depth": 3, "qa_examples": examples} | comments)
    assert load_config(SynthesisConfig, path).config.qa.examples == ({"question": "q", "answer": "a"},)
    assert not ignored(path)


def test_unknown_keys_are_ignored_with_a_suggestion(old):
    found = ignored(old({"max_depth": 3, "max_selected_trajs": 4, "data_path": "x"}))
    assert found == {
        "max_selected_trajs": "no key of AgentFlow, did you mean 'max_selected_traj'?",
        "data_path": "a synthesis has no such setting",
    }


@pytest.mark.parametrize(
    ("written", "called"),
    [
        (["rag-search", "rag_search", "rag:search"], ("rag:search",)),
        (["code-*", "vm_double_click"], ("code:*", "vm:double_click")),
        (["my_tool", "python-execute"], ("my_tool", "python-execute")),
        (["counter_add"], ("counter:add",)),
        (["text2sql-list_databases", "text2sql-execute"], ("code:list_databases", "code:sql")),
        (["ds_run_python"], ("code:run",)),
        (["websearch:visit"], ("web:visit",)),
        (["bash"], ("bash:*",)),
        (["*"], ("*",)),
        ("rag-search", ("rag:search",)),
    ],
)
def test_tools_have_one_spelling(old, written, called):
    path = old({"max_depth": 3, "available_tools": written, "resource_types": ["counter"]})
    assert load_config(SynthesisConfig, path).config.tools == called


def test_variables_are_expanded_except_in_what_models_read(old):
    path = old({"max_depth": 3, "api_key": "${KEY}", "synthesis_tips": "${KEY}"})
    loaded = load_config(SynthesisConfig, path, environ={"KEY": "sk-hush"})
    assert loaded.config.model.settings["api_key"] == "sk-hush"
    assert loaded.config.qa.tips == "${KEY}"
    assert "hush" not in str(loaded.resolved)


def test_a_path_is_looked_for_in_the_working_directory_and_then_beside_the_file(old, tmp_path):
    path = old({"seeds_file": "seeds.jsonl", "output_dir": "out"})
    assert load_config(SynthesisConfig, path).config.seeds.path == path.parent / "seeds.jsonl"
    (tmp_path / "seeds.jsonl").touch()
    config = load_config(SynthesisConfig, path).config
    assert config.seeds.path == tmp_path / "seeds.jsonl"
    assert config.run_dir == tmp_path / "out"


# ---- rollout


def test_a_flat_rollout_file_is_a_rollout(old, tmp_path):
    path = old(ROLLOUT)
    config = load_config(RolloutConfig, path).config
    assert config.data.path == path.parent / "benchmark.jsonl"
    assert (config.data.limit, config.data.ids) == (9, ("t1", "2"))
    assert config.rollout.system_prompt == "You are\ncareful."
    assert (config.rollout.max_turns, config.rollout.tools) == (50, ("rag:*",))
    assert (config.max_workers, config.retries.max_attempts) == (4, 4)
    assert [metric.name for metric in config.metrics] == ["llm_judgement"]
    assert config.roles["judge"].settings == {
        "name": "judge",
        "api_key": "sk-other",
        "base_url": "http://127.0.0.1:8/v1",
        "temperature": 0.5,
        "max_tokens": 1024,
        "extra": {"reasoning": {"effort": "low"}},
    }
    assert config.sandbox.url == "http://127.0.0.1:18890"
    assert set(ignored(path)) == {
        "evaluator_max_retries",
        "resource_types",
        "sandbox_timeout",
        "benchmark_name",
        "save_results",
        "save_trajectories",
        "trajectory_only",
        "save_summary",
    }


def test_a_judge_is_the_main_model_where_it_does_not_say(old):
    path = old({"data_path": "t", "model_name": "m", "base_url": "http://h/v1", "evaluator_temperature": 0})
    judge = load_config(RolloutConfig, path).config.roles["judge"]
    assert judge.settings == {"name": "m", "base_url": "http://h/v1", "temperature": 0}
    assert not load_config(RolloutConfig, old({"data_path": "t"})).config.roles


def test_results_that_are_not_evaluated_have_no_metrics(old):
    path = old({"data_path": "t", "evaluate_results": False, "evaluation_metric": "f1_score"})
    assert load_config(RolloutConfig, path).config.metrics == ()
    assert ignored(path) == {"evaluation_metric": "evaluate_results is false"}


@pytest.mark.parametrize(
    ("keys", "workers", "unused"),
    [
        ({"parallel": False, "max_workers": 8}, 1, ["max_workers"]),
        ({"parallel": True, "max_workers": 8}, 8, []),
        ({"max_workers": 8}, 8, []),
        ({"parallel": True}, 64, []),
    ],
)
def test_parallel_and_max_workers_say_how_many_at_once(old, keys, workers, unused):
    path = old({"data_path": "t"} | keys)
    assert load_config(RolloutConfig, path).config.max_workers == workers
    assert list(ignored(path)) == unused


def test_the_file_of_a_prompt_comes_before_the_prompt(old, tmp_path):
    (tmp_path / "prompt.txt").write_text("Be brief.")
    path = old({"data_path": "t", "system_prompt": "Be long.", "system_prompt_file": "prompt.txt"})
    config = load_config(RolloutConfig, path).config
    assert (config.rollout.system_prompt, config.rollout.system_prompt_file) == (None, tmp_path / "prompt.txt")
    assert ignored(path) == {"system_prompt": "system_prompt_file comes first"}


# ---- the sandbox


def test_a_server_file_is_served(old, tmp_path):
    path = old(SERVER)
    config = load_config(ServeConfig, path).config
    assert (config.server.host, config.server.port) == ("127.0.0.1", 18891)
    assert config.enabled == ("rag", "counter", "code")
    assert config.warmup == ("rag",)
    assert {name: limits.idle_ttl_s for name, limits in config.limits.items()} == dict.fromkeys(config.enabled, 600)
    backends = {name: choice.settings for name, choice in config.backends.items()}
    assert backends == {
        "rag": {"corpora": {"corpus": {"path": "corpus.jsonl"}}},
        "counter": {"start": 3},
        "code": {"databases": {"shop": "shop.sqlite"}},
    }
    assert set(ignored(path)) == {
        "server.title",
        "server.log_level",
        "resources.rag.description",
        "resources.rag.backend_class",
        "resources.rag.config.device",
        "resources.vm.config",
    }


@pytest.mark.parametrize("server", [{"host": "127.0.0.2", "port": 7}, {"url": "http://127.0.0.2:7", "port": 7}])
def test_a_server_listens_where_it_did(old, server):
    config = load_config(ServeConfig, old({"server": server, "resources": {}})).config
    assert (config.server.host, config.server.port) == ("127.0.0.2", 7)
    assert config.enabled is None


@pytest.mark.parametrize(
    ("warmup", "names"),
    [({"enabled": False, "resources": ["rag"]}, ()), ({"resources": ["ds"]}, ("code",)), (["rag"], ("rag",)), ({}, ())],
)
def test_only_what_is_to_be_warm_is_started_at_once(old, warmup, names):
    path = old({"resources": {"rag": {}, "ds": {}}, "warmup": warmup})
    assert load_config(ServeConfig, path).config.warmup == names


def test_a_sandbox_that_was_started_on_demand_is_inside_of_the_run(old, tmp_path):
    old(SERVER, "server.json")
    keys = {"sandbox_auto_start": True, "sandbox_config_path": "server.json", "sandbox_timeout": 90}
    path = old({"max_depth": 3, "sandbox_server_url": "http://127.0.0.1:1", "available_tools": ["bash-run"]} | keys)
    sandbox = load_config(SynthesisConfig, path).config.sandbox
    assert sandbox.url is None
    assert sandbox.enabled == ("rag", "counter", "code")
    assert {name: limits.timeout_s for name, limits in sandbox.limits.items()} == dict.fromkeys(
        ("rag", "counter", "code", "bash"), 90
    )
    assert sandbox.limits["rag"].idle_ttl_s == 600
    found = ignored(path)
    assert found["sandbox_server_url"] == "the sandbox is inside of the run; there is no server to start"
    assert found["server.url"] == "the sandbox is inside of the run"
    assert "sandbox_timeout" not in found


def test_a_sandbox_file_of_today_can_be_named_too(old, write):
    write("backends: {counter: {start: 1}}\nserver: {port: 1}\n", "server.yaml")
    path = old({"max_depth": 3, "sandbox_auto_start": True, "sandbox_config_path": "server.yaml"})
    assert load_config(SynthesisConfig, path).config.sandbox.backends["counter"].settings == {"start": 1}


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ({}, None),
        ({"sandbox_auto_start": True}, None),
        ({"sandbox_auto_start": False}, "http://127.0.0.1:18890"),
        ({"sandbox_server_url": "http://127.0.0.1:7"}, "http://127.0.0.1:7"),
        ({"sandbox_server_url": "http://127.0.0.1:7", "sandbox_auto_start": True}, None),
    ],
)
def test_a_server_is_used_where_one_is_to_be_there(old, keys, url):
    assert load_config(SynthesisConfig, old({"max_depth": 3} | keys)).config.sandbox.url == url


# ---- what is wrong


def test_problems_point_at_the_old_file_and_the_old_keys(old, tmp_path):
    path = old(
        {
            "max_depth": "seven",
            "min_depth": 0,
            "sampling_tips": [["a"]],
            "qa_examples": [7],
            "model_name": 4,
            "sandbox_auto_start": "yes",
            "available_tools": [1],
        }
    )
    with pytest.raises(ConfigError) as raised:
        load_config(SynthesisConfig, path)
    assert str(raised.value).replace(f"{path}", "old.json").split("\n") == [
        "old.json:2:15  max_depth  expected a whole number, got text 'seven'",
        "old.json:3:15  min_depth  expected at least 1, got 0",
        "old.json:4:19  sampling_tips  expected text, got a list",
        "old.json:10:3  qa_examples.0  expected a mapping (key: value), got the number 7",
        "old.json:13:24  sandbox_auto_start  expected true or false, got text 'yes'",
        'old.json:15:3  available_tools.0  expected text, got the number 1; quote it if it is text: "1"',
    ]


def test_settings_of_plugins_are_checked_and_point_at_the_old_file(old, registry):
    from agentflow_core.models.openai import OpenAIConfig

    known = registry({"model": {"openai": OpenAIConfig}, "metric": {"exact_match": None}, "executor": {"local": None}})
    path = old({"data_path": "t", "model_name": 4, "evaluation_metric": "exact_mach"})
    with pytest.raises(ConfigError) as raised:
        load_config(RolloutConfig, path, registry=known)
    assert [(one.line, one.path) for one in raised.value.problems] == [(3, "model_name"), (4, "evaluation_metric")]
    assert "did you mean 'exact_match'" in str(raised.value)


def test_a_benchmark_that_is_not_named_is_missed_by_its_old_key(old):
    with pytest.raises(ConfigError, match=r"data_path  is missing"):
        load_config(RolloutConfig, old({"max_turns": 3}))


def test_a_sandbox_file_that_is_not_there_is_said_so(old):
    path = old({"max_depth": 3, "sandbox_auto_start": True, "sandbox_config_path": "gone.json"})
    with pytest.raises(ConfigError, match=r"sandbox_config_path  no such file: gone\.json"):
        load_config(SynthesisConfig, path)


def test_problems_of_the_server_file_point_at_it(old):
    old({"resources": {"rag": {"enabled": "yes"}}}, "server.json")
    path = old({"max_depth": 3, "sandbox_auto_start": True, "sandbox_config_path": "server.json"})
    with pytest.raises(ConfigError, match=r"server\.json:4:15  resources\.rag\.enabled  expected true or false"):
        load_config(SynthesisConfig, path)


# ---- which files they are


def test_overrides_are_those_of_today(old):
    path = old({"max_depth": 3})
    sets = ["sampling.max_depth=2", "model=offline", "seeds.items=[a]"]
    config = load_config(SynthesisConfig, path, sets=sets).config
    assert (config.sampling.max_depth, config.model.name, config.seeds.items) == (2, "offline", ("a",))


def test_old_keys_in_a_file_of_today_are_unknown_keys(write):
    with pytest.raises(ConfigError, match="max_depth  unknown key"):
        load_config(SynthesisConfig, write("model: offline\nmax_depth: 3\n"))


def test_settings_in_python_are_never_taken_for_an_old_file():
    with pytest.raises(ConfigError, match="max_depth  unknown key"):
        load_config(SynthesisConfig, {"max_depth": 3})


def test_a_flat_mapping_is_translated_where_a_document_is_asked_for():
    document = load_document({"max_depth": 3})
    assert load_config(SynthesisConfig, document).config.sampling.max_depth == 3


@pytest.mark.parametrize("cls", [SynthesisConfig, RolloutConfig, ServeConfig])
def test_no_section_of_today_is_an_old_key(cls):
    from agentflow_core.config.fields import fields_of
    from agentflow_core.config.legacy_runs import is_run_file
    from agentflow_core.config.nodes import Node

    for key in fields_of(cls):
        assert not is_run_file(Node(value={key: Node(value=None)})), key


def test_each_ignored_key_is_a_warning_with_its_place(old, caplog):
    path = old({"max_depth": 3, "save_results": True})
    with caplog.at_level(logging.WARNING):
        load_document(path)
    assert caplog.messages == [f"{path}:3:18  save_results  is ignored: a synthesis has no such setting"]
