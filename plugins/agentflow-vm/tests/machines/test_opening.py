"""The machine that a configuration names, and what of the configuration it has."""

from __future__ import annotations

import pytest

from agentflow_core.errors import SandboxError
from agentflow_vm.config import VmConfig, XvncConfig
from agentflow_vm.machines.docker_config import DockerConfig
from agentflow_vm.machines.opening import machine_of
from agentflow_vm.machines.qemu_config import QemuConfig
from agentflow_vm.machines.remote_config import RemoteConfig
from agentflow_vm.machines.settings import argv_of


@pytest.mark.parametrize("kind", ["xvnc", "qemu", "docker", "remote"])
async def test_names_of_programs_are_those_of_the_machine_that_is_configured(premises, kind):
    config = VmConfig(
        machine=kind,
        xvnc=XvncConfig(programs={"name": "of xvnc"}),
        qemu=QemuConfig(programs={"name": "of qemu"}),
        docker=DockerConfig(image="any", programs={"name": "of docker"}),
        remote=RemoteConfig(host="any"),
    )
    async with premises("none") as context_of:
        machine = machine_of(config, context_of())
        assert machine.kind == kind
        assert argv_of("name", machine.programs) == (("name",) if kind == "remote" else ("of", kind))


@pytest.mark.parametrize("program", ["", "  ", "xterm 'a"])
def test_a_command_line_that_names_nothing_is_refused(program):
    with pytest.raises(SandboxError, match="program:") as caught:
        argv_of(program, {})
    assert caught.value.code == "invalid_argument"
