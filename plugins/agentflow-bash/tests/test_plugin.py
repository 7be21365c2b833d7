"""What the plugin contributes, and that its README does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from agentflow_bash.backend import BashBackend
from agentflow_bash.config import BashConfig
from agentflow_bash.doctor import check_shell
from agentflow_bash.plugin import agentflow_backends, agentflow_doctor
from agentflow_core.config import config_schema, load_config
from agentflow_core.refs import resolve
from agentflow_core.testing.conformance import Subject

README = Path(__file__).parents[1] / "README.md"


def test_what_the_plugin_names_is_there():
    (spec,) = agentflow_backends()
    (check,) = agentflow_doctor()
    assert (spec.name, resolve(spec.target), resolve(spec.config)) == ("bash", BashBackend, BashConfig)
    assert isinstance(resolve(spec.subject), Subject)
    assert resolve(check.target) is check_shell


def test_the_table_of_contents_imports_nothing_heavy():
    code = (
        "import sys, agentflow_bash.plugin; print([name for name in sys.modules if name.startswith('agentflow_bash')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['agentflow_bash', 'agentflow_bash.plugin']"


async def test_the_doctor_says_which_bash_there_is():
    works, said = await check_shell()
    assert works
    assert re.search(r"bash 5\.\d", said)


def test_every_setting_and_tool_stands_in_the_readme():
    text = README.read_text()
    for name in config_schema(BashConfig)["properties"]:
        assert f"`{name}`" in text, name
    for name in BashBackend.tools():
        assert f"`bash:{name}`" in text, name


def test_a_configuration_is_read_with_paths_beside_it(tmp_path):
    (tmp_path / "sandbox.yaml").write_text("limits: {memory_bytes: 33554432}\nfiles: {data: data}\nenv: {A: b}\n")
    config = load_config(BashConfig, tmp_path / "sandbox.yaml").config
    assert config.files == {"data": tmp_path / "data"}
    assert (config.limits.memory_bytes, config.limits.pids) == (33_554_432, 128)


def test_the_example_of_the_readme_runs(bwrap, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    (expected,) = re.findall(r"prints\n\n```\n(.*?)```", README.read_text(), re.S)
    environ = {"PATH": "/usr/bin:/bin", "AGENTFLOW_STATE": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert ran.stdout == expected
