"""What the plugin contributes, and that its README does what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentflow_core.config import config_schema, load_config
from agentflow_core.errors import ConfigError
from agentflow_core.refs import resolve
from agentflow_core.testing.conformance import Subject
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig
from agentflow_vm.doctor import check_machines
from agentflow_vm.plugin import agentflow_backends, agentflow_doctor

README = Path(__file__).parents[1] / "README.md"


def test_what_the_plugin_names_is_there():
    (spec,) = agentflow_backends()
    (check,) = agentflow_doctor()
    assert (spec.name, resolve(spec.target), resolve(spec.config)) == ("vm", VmBackend, VmConfig)
    assert isinstance(resolve(spec.subject), Subject)
    assert resolve(check.target) is check_machines


def test_the_table_of_contents_imports_nothing_heavy():
    code = "import sys, agentflow_vm.plugin; print([name for name in sys.modules if name.startswith('agentflow_vm')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "['agentflow_vm', 'agentflow_vm.plugin']"


@pytest.mark.usefixtures("xvnc")
async def test_the_doctor_says_which_server_there_is():
    works, said = await check_machines()
    assert works
    assert re.search(r"TigerVNC \d", said)


async def test_the_doctor_says_which_whole_machines_there_are(tmp_path, monkeypatch, missing):
    if shutil.which("qemu-img") is None:
        missing("no QEMU: apt-get install qemu-system-x86 qemu-utils")
    monkeypatch.setenv("AGENTFLOW_VM_IMAGES", str(tmp_path))
    assert f"without an image in {tmp_path}: python -m agentflow_vm build-image" in (await check_machines())[1]
    (tmp_path / "desktop-1").mkdir()
    (tmp_path / "desktop-1" / "image.json").write_text("{}")
    assert f"with 1 image in {tmp_path}" in (await check_machines())[1]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install qemu-system-x86 qemu-utils" in (await check_machines())[1]


def test_every_setting_and_tool_stands_in_the_readme():
    text = README.read_text()
    for name in config_schema(VmConfig)["properties"]:
        assert f"`{name}`" in text, name
    for name in VmBackend.tools():
        assert f"`vm:{name}`" in text, name


def test_a_configuration_is_read_with_paths_beside_it(tmp_path):
    (tmp_path / "sandbox.yaml").write_text("xvnc: {apps: [xterm], files: {data: data}}\n")
    config = load_config(VmConfig, tmp_path / "sandbox.yaml").config
    assert config.xvnc.files == {"data": tmp_path / "data"}


@pytest.mark.parametrize("machine", ["docker", "remote"])
def test_a_machine_that_is_not_told_enough_is_refused(machine):
    with pytest.raises(ConfigError, match=machine):
        load_config(VmConfig, {"machine": machine})


@pytest.mark.usefixtures("xvnc")
def test_the_example_of_the_readme_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    (expected,) = re.findall(r"prints\n\n```\n(.*?)```", README.read_text(), re.S)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=100
    )
    assert ran.stdout == expected, ran.stderr
