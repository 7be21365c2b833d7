"""Desktops for AgentFlow: a table of contents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.contributions import BackendSpec, Check
from agentflow_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator


@hookimpl
def agentflow_backends() -> Iterator[BackendSpec]:
    """The backend ``vm``."""
    yield BackendSpec(
        "vm",
        target="agentflow_vm.backend:VmBackend",
        config="agentflow_vm.config:VmConfig",
        offline="agentflow_vm.offline:VmPolicy",
        subject="agentflow_vm.conformance:SUBJECT",
        summary="see and use a desktop: screen, mouse, keyboard, programs",
    )


@hookimpl
def agentflow_doctor() -> Iterator[Check]:
    """Which machines can be started here."""
    yield Check("vm-machines", target="agentflow_vm.doctor:check_machines", summary="desktops of agentflow-vm")
