"""``agentflow config upgrade`` writes what loads to the same configuration."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentflow_core.config import load_config, option, upgrade
from agentflow_core.errors import UsageError
from agentflow_core.evaluation import RolloutConfig
from agentflow_core.plugins import PluginHost
from agentflow_core.sandbox.server import ServeConfig
from agentflow_core.synthesis import SynthesisConfig

if TYPE_CHECKING:
    from collections.abc import Callable

text = st.text(max_size=20) | st.sampled_from(["${X}", "$$", "${X:-y}", "$", "no", "12:30", "1e3", "#", "a: b", "-"])
words = text | st.lists(text | st.integers(-9, 9) | st.none(), max_size=3)
paths = st.sampled_from(
    ["s.jsonl", "data/s.jsonl", "../s.jsonl", "./s", "/abs/s", "~/s", "${HERE}/s", "d/${HERE}", "-"]
)
urls = st.sampled_from(["http://127.0.0.1:1", "http://127.0.0.1:18890/"])
variables = st.sampled_from(["${HERE}", "${GONE:-fallback}", "plain", ""])
tools = st.lists(st.sampled_from(["rag-search", "rag_get", "x", "code:*", "text2sql-execute", "*"]), max_size=4)
flags = st.booleans()
common = {
    "model_name": variables,
    "api_key": variables,
    "base_url": variables,
    "available_tools": tools,
    "output_dir": paths,
    "resource_types": st.just(["rag"]),
    "resource_init_configs": st.just({"rag": {"content": {"top_k": 1}}}),
    "sandbox_server_url": urls,
    "sandbox_auto_start": flags,
    "sandbox_config_path": st.sampled_from(["server.json", "configs/other.json"]),
    "sandbox_timeout": st.integers(0, 600),
    "_comment": text,
    "unheard_of": text,
}
synthesis = {
    "seeds_file": paths,
    "number_of_seed": st.none() | st.integers(1, 9),
    "branching_factor": st.integers(1, 9),
    "depth_threshold": st.integers(0, 9),
    "min_depth": st.integers(1, 9),
    "max_selected_traj": st.integers(1, 9),
    "path_similarity_threshold": st.floats(0, 1) | st.integers(0, 1),
    "seed_description": words,
    "sampling_tips": words,
    "synthesis_tips": words,
    "qa_examples": st.lists(st.dictionaries(text, text, max_size=2), max_size=2),
}
rollout = {
    "max_turns": st.integers(1, 99),
    "max_retries": st.integers(0, 9),
    "max_workers": st.integers(1, 9),
    "parallel": flags,
    "system_prompt": words,
    "system_prompt_file": paths,
    "evaluate_results": flags,
    "evaluation_metric": st.sampled_from(["f1_score", "llm_judgement"]),
    "evaluator_model_name": variables,
    "evaluator_api_key": variables,
    "evaluator_temperature": st.floats(0, 2),
    "evaluator_extra_params": st.dictionaries(st.sampled_from(["seed", "stop"]), st.integers(0, 9)),
    "number_of_tasks": st.integers(1, 9),
    "task_ids": st.lists(st.integers(0, 99) | st.sampled_from(["a", "01"]), max_size=3),
    "save_results": flags,
    "benchmark_name": text,
}
resource = st.fixed_dictionaries(
    {},
    optional={
        "enabled": flags,
        "config": st.fixed_dictionaries({}, optional={"corpus_path": paths, "device": text, "_comment": text}),
        "description": text,
    },
)
resources = st.dictionaries(st.sampled_from(["rag", "vm", "bash"]), resource)
server = {
    "server": st.fixed_dictionaries(
        {},
        optional={
            "url": urls,
            "host": st.just("127.0.0.1"),
            "port": st.integers(0, 99),
            "session_ttl": st.integers(0, 10**6),
        },
    ),
    "apis": st.fixed_dictionaries(
        {}, optional={"text2sql": st.fixed_dictionaries({"databases": st.dictionaries(st.just("d"), paths)})}
    ),
    "warmup": st.fixed_dictionaries({}, optional={"enabled": flags, "resources": st.lists(st.just("rag"))}),
}
fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
ENVIRON = {"HERE": "here", "HOME": "/home/me"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with files that some paths name, as the working directory; old files stand in ``configs``."""
    for name in ("configs", "data", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "s.jsonl").touch()
    (tmp_path / "configs" / "s").touch()
    given = {"server": {"session_ttl": 5}, "resources": {"rag": {"config": {"corpus_path": "data/s.jsonl"}}}}
    (tmp_path / "server.json").write_text(json.dumps(given))
    (tmp_path / "configs" / "other.json").write_text(json.dumps({"apis": {"ds": {}}}))
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@frozen(kw_only=True)
class Corpus:
    path: str = option(help="a file, a folder or a glob", path=True)


@frozen(kw_only=True)
class Backend:
    """Settings of any backend."""

    corpora: Mapping[str, Corpus] = option(factory=dict, help="corpora by name")
    databases: Mapping[str, Path] = option(factory=dict, help="databases by name", path=True)


class Installed:
    """The plugins of the core, and any backend that is asked for."""

    def __init__(self) -> None:
        self._core = PluginHost.load(environ={"AGENTFLOW_PLUGINS": "core"}).registry

    def names(self, kind: str) -> tuple[str, ...]:
        return self._core.names(kind)

    def get(self, kind: str, name: str) -> Any:
        return self if kind == "backend" else self._core.get(kind, name)

    def resolve_config(self) -> type:
        return Backend


@pytest.fixture(scope="module")
def installed() -> Installed:
    return Installed()


@pytest.fixture
def is_the_same(
    folder: Path, installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type, dict[str, Any]], bool]:
    """Whether loading an old file and its upgrades, written in three places, gives one configuration."""

    monkeypatch.setattr(logging.getLogger("agentflow_core.config.documents"), "disabled", True)

    def is_the_same(cls: type, keys: dict[str, Any]) -> bool:
        old = folder / "configs" / "old.json"
        old.write_text(json.dumps(keys, indent=1), encoding="utf-8")
        whole = load_config(cls, old, environ=ENVIRON, registry=installed)
        found = []
        for place in (folder, folder / "configs", folder / "elsewhere"):
            new = place / "new.yaml"
            new.write_text(upgrade(old, folder=place), encoding="utf-8")
            found.append(load_config(cls, new, environ=ENVIRON, registry=installed))
        return all(loaded.config == whole.config for loaded in found)

    return is_the_same


@fuzzed
@given(keys=st.fixed_dictionaries({"max_depth": st.integers(1, 9)}, optional=common | synthesis))
@example(keys={"max_depth": 1, "sampling_tips": ["${X}", "$$", ""], "seeds_file": "../s.jsonl"})
def test_an_upgraded_synthesis_is_the_same(is_the_same, keys):
    assert is_the_same(SynthesisConfig, keys)


@fuzzed
@given(keys=st.fixed_dictionaries({"data_path": paths}, optional=common | rollout))
@example(keys={"data_path": "d/${HERE}", "evaluate_results": False, "task_ids": [7]})
def test_an_upgraded_rollout_is_the_same(is_the_same, keys):
    assert is_the_same(RolloutConfig, keys)


@fuzzed
@given(keys=st.fixed_dictionaries({"resources": resources}, optional=server))
def test_an_upgraded_server_is_the_same(is_the_same, keys):
    assert is_the_same(ServeConfig, keys)


# ---- the command


def test_the_command_prints_yaml_with_a_comment_for_what_was_ignored(cli, folder):
    old = folder / "configs" / "old.json"
    old.write_text(
        '{"seeds_file": "data/s.jsonl", "max_depth": 3,\n "available_tools": ["rag-search"],\n "api_key": "${KEY}", "parallel": true}'
    )
    ran = cli("config", "upgrade", old)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "# Translated from old.json, a file of the earlier AgentFlow.\n"
        "# It said, without effect here:\n"
        "#   parallel (line 3): a synthesis has no such setting\n"
        "model:\n  provider: openai\n  name: gpt-4.1-2025-04-14\n  api_key: ${KEY}\n"
        f"tools:\n- rag:search\nseeds:\n  path: {folder}/data/s.jsonl\n"
        "sampling:\n  max_depth: 3\n  depth_threshold: 3\n"
    )


def test_the_command_writes_a_file_and_replaces_none(cli, folder):
    old = folder / "old.json"
    old.write_text('{"seeds_file": "data/s.jsonl"}')
    ran = cli("config", "upgrade", old, "-o", "new.yaml")
    assert (ran.code, ran.out) == (0, "wrote new.yaml; see agentflow config check new.yaml\n")
    assert "path: data/s.jsonl" in (folder / "new.yaml").read_text()
    again = cli("config", "upgrade", old, "-o", "new.yaml")
    assert (again.code, "new.yaml is there already" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new.yaml"], "no file of the earlier AgentFlow"),
        (["gone.json"], "no such file"),
        (["."], "is a directory"),
        (["old.json", "-o", "new.json"], "the new file is YAML"),
        (["old.json", "-o", "gone/new.yaml"], "cannot be written"),
        (["broken.json"], "expected true or false"),
    ],
)
def test_what_cannot_be_upgraded_is_said_so(cli, folder, arguments, said):
    (folder / "new.yaml").write_text("seeds: {items: [a]}\n")
    (folder / "old.json").write_text('{"max_depth": 3}')
    (folder / "broken.json").write_text('{"max_depth": 3, "sandbox_auto_start": 7}')
    ran = cli("config", "upgrade", *arguments)
    assert ran.code == 2
    assert said in ran.err


def test_every_command_takes_an_old_file(cli, folder, monkeypatch):
    monkeypatch.setenv("AGENTFLOW_PLUGINS", "core")
    old = folder / "old.json"
    old.write_text('{"seeds_file": "data/s.jsonl", "max_depth": 3, "save_results": true}')
    ran = cli("config", "check", old)
    assert ran.out == f"ok  {old}  synthesis\n"
    assert ran.err == f"WARNING: {old}:1:64  save_results  is ignored: a synthesis has no such setting\n"
    assert "max_depth: 3" in cli("config", "show", old).out
    server = folder / "server.json"
    server.write_text('{"server": {"port": 0}, "resources": {}}')
    assert cli("config", "check", server).out == f"ok  {server}  sandbox\n"
    rollout = folder / "rollout.json"
    rollout.write_text('{"data_path": "data/s.jsonl", "max_turns": 3}')
    assert cli("config", "check", rollout).out == f"ok  {rollout}  rollout\n"


def test_upgrading_twice_is_refused(folder):
    old = folder / "old.json"
    old.write_text('{"max_depth": 3}')
    new = folder / "new.yaml"
    new.write_text(upgrade(old))
    with pytest.raises(UsageError, match="no file of the earlier AgentFlow"):
        upgrade(new)
