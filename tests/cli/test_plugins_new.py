"""``agentflow plugins new``: the names of a plugin, what is refused, and the files that are written."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from agentflow_core import __version__
from agentflow_core.names import NAME
from agentflow_core.scaffold import KINDS, new_plugin, render


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("given", ["my-env", "my_env", "agentflow-my-env", "agentflow_my_env"])
def test_the_names_of_a_plugin_derive_from_one_another(given):
    plugin = new_plugin(given, "backend")
    assert plugin.distribution == "agentflow-my-env"
    assert plugin.package == "agentflow_my_env"
    assert plugin.name == "my_env"
    assert plugin.class_name == "MyEnv"
    assert NAME.fullmatch(plugin.name)


def test_a_name_that_ends_with_its_kind_says_it_once():
    assert "class MyMetric:" in render(new_plugin("my-metric", "metric"))["src/agentflow_my_metric/metric.py"]
    assert "class MetricMetric:" in render(new_plugin("metric", "metric"))["src/agentflow_metric/metric.py"]


def test_a_backend_is_written_whole(cli, tmp_path):
    ran = cli("plugins", "new", "my-env", "--dir", tmp_path)
    assert ran.code == 0, ran.err
    folder = tmp_path / "agentflow-my-env"
    assert list(tmp_path.iterdir()) == [folder]
    assert files(folder) == [
        "README.md",
        "pyproject.toml",
        "src/agentflow_my_env/__init__.py",
        "src/agentflow_my_env/backend.py",
        "src/agentflow_my_env/config.py",
        "src/agentflow_my_env/conformance.py",
        "src/agentflow_my_env/plugin.py",
        "src/agentflow_my_env/py.typed",
        "tests/test_backend.py",
        "tests/test_conformance.py",
    ]
    assert oct(folder.stat().st_mode & 0o777) == oct(0o777 & ~_umask())


def _umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_names_what_it_is_made_of(kind):
    made = render(new_plugin("my-env", kind))
    project = tomllib.loads(made["pyproject.toml"])
    assert project["project"]["name"] == "agentflow-my-env"
    assert project["project"]["entry-points"]["agentflow"] == {"my_env": "agentflow_my_env.plugin"}
    [core] = project["project"]["dependencies"]
    assert core.startswith(f"agentflow-core>={__version__},<")
    assert (
        "agentflow_my_env.plugin" in made["src/agentflow_my_env/plugin.py"]
        or f"def agentflow_{kind}s" in made["src/agentflow_my_env/plugin.py"]
    )
    assert any(path.startswith("tests/test_") for path in made)
    assert "src/agentflow_my_env/py.typed" in made


@pytest.mark.parametrize("name", ["x", "my-env", "a-name-that-is-quite-long"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_code_compiles_and_its_lines_stay_short(kind, name):
    for path, text in render(new_plugin(name, kind)).items():
        assert "${" not in text, path
        assert text == "" or text.endswith("\n"), path
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert max(map(len, text.splitlines())) <= 100, path


def test_what_is_there_already_is_left_alone(cli, tmp_path):
    (tmp_path / "agentflow-my-env").mkdir()
    ran = cli("plugins", "new", "my-env", "--dir", tmp_path)
    assert ran.code == 2
    assert "agentflow-my-env is there already" in ran.err
    assert list((tmp_path / "agentflow-my-env").iterdir()) == []


def test_a_link_that_leads_nowhere_is_there_already(cli, tmp_path):
    (tmp_path / "agentflow-my-env").symlink_to(tmp_path / "nowhere")
    assert cli("plugins", "new", "my-env", "--dir", tmp_path).code == 2


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("My Env", "my-env"),
        ("MyEnv", "my-env"),
        ("3d_Env!", "d-env"),
        ("agentflow-Bücher", "bucher"),
        ("my--env", "my-env"),
    ],
)
def test_what_is_no_name_has_a_suggestion(given, meant, cli, tmp_path):
    ran = cli("plugins", "new", given, "--dir", tmp_path)
    assert ran.code == 2
    assert f"did you mean {meant!r}?" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["", "!", "日本", "agentflow-", "../x/..", "x" * 33])
def test_what_cannot_be_meant_as_a_name_is_refused(given, cli, tmp_path):
    assert cli("plugins", "new", given, "--dir", tmp_path).code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        ("rag", "agentflow-rag"),
        ("agentflow-vm", "agentflow-vm"),
        ("core", "agentflow-core"),
        ("agentflow", "AgentFlow itself"),
    ],
)
def test_names_of_agentflow_are_taken(given, owner, cli, tmp_path):
    ran = cli("plugins", "new", given, "--dir", tmp_path)
    assert ran.code == 2
    assert f"belongs to {owner}" in ran.err


def test_names_of_what_is_installed_are_taken(cli, fake_dist, tmp_path):
    fake_dist("agentflow-orchard", "1 / 0")
    fake_dist("acme-tools", "1 / 0", entry_points={"grove": "acme_tools.plugin"})
    for name, owner in {"orchard": "agentflow-orchard 1.0", "grove": "acme-tools 1.0"}.items():
        ran = cli("plugins", "new", name, "--dir", tmp_path)
        assert ran.code == 2
        assert owner in ran.err


def test_names_of_contributions_of_the_kind_are_taken(cli, tmp_path):
    ran = cli("plugins", "new", "exact-match", "--kind", "metric", "--dir", tmp_path)
    assert ran.code == 2
    assert "metric 'exact_match' of agentflow-core" in ran.err
    assert cli("plugins", "new", "exact-match", "--kind", "scorer", "--dir", tmp_path).code == 0


def test_a_place_that_cannot_be_written_is_named(cli, tmp_path):
    (tmp_path / "file").write_text("")
    ran = cli("plugins", "new", "my-env", "--dir", tmp_path / "file" / "below")
    assert ran.code == 1
    assert "cannot write" in ran.err


def test_an_unknown_kind_is_refused_with_those_there_are(cli, tmp_path):
    ran = cli("plugins", "new", "my-env", "--kind", "scorers", "--dir", tmp_path)
    assert ran.code == 2
    assert "'scorer'" in ran.err


def test_what_to_type_next_is_printed_for_a_shell(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # neither python nor agentflow is found by its name
    ran = cli("plugins", "new", "my-env", "--dir", tmp_path / "a place")
    commands = [line.strip() for line in ran.out.splitlines() if line.startswith("  ")]
    assert commands[0] == f"cd '{tmp_path}/a place/agentflow-my-env'"
    assert commands[1] == f"{sys.executable} -m pip install -e . pytest"
    assert commands[3] == f"{sys.executable} -m agentflow_core doctor --conformance my_env"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert shutil.which("python")
    assert "  python -m pytest\n" in cli("plugins", "new", "my-env", "--dir", tmp_path / "b").out
