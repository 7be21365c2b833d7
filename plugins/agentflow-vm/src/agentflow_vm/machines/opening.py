"""Make the machine that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentflow_vm.config import VmConfig
    from agentflow_vm.machines.machine import Machine, MachineContext

__all__ = ["machine_of"]


def machine_of(config: VmConfig, context: MachineContext) -> Machine:
    """The machine, not started yet."""
    if config.machine == "qemu":
        from agentflow_vm.machines.qemu import QemuMachine

        return QemuMachine(config.qemu, context)
    if config.machine == "docker":
        from agentflow_vm.machines.docker import DockerMachine

        return DockerMachine(config.docker, context)
    if config.machine == "remote":
        from agentflow_vm.machines.remote import RemoteMachine

        return RemoteMachine(config.remote, context)
    from agentflow_vm.machines.xvnc import XvncMachine

    return XvncMachine(config.xvnc, context)
