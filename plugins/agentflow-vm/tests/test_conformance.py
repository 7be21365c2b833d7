"""The laws of the sandbox, tried on desktops under each launcher that this machine has for certain."""

from __future__ import annotations

import pytest
from attrs import evolve

from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.conformance import BackendConformance
from agentflow_vm.conformance import vm_subject

pytestmark = [pytest.mark.usefixtures("xvnc"), pytest.mark.timeout(400)]


class TestUnderBubblewrap(BackendConformance):
    subject = vm_subject(LauncherConfig(kind="bwrap"))


class TestUnconfined(BackendConformance):
    subject = evolve(vm_subject(LauncherConfig(kind="none")), parallel=2, cycles=3)
