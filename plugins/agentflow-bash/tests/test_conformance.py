"""The laws of the sandbox, tried on bash under each launcher."""

from __future__ import annotations

import pytest

from agentflow_bash.conformance import bash_subject
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.conformance import BackendConformance

pytestmark = pytest.mark.timeout(400)  # the attacks run for two seconds each, and are thirty


@pytest.mark.usefixtures("bwrap")
class TestUnderBubblewrap(BackendConformance):
    subject = bash_subject(LauncherConfig(kind="bwrap"))


@pytest.mark.serial
@pytest.mark.usefixtures("engine")
class TestUnderDocker(BackendConformance):
    subject = bash_subject(LauncherConfig(kind="docker", image="agentflow-bash-test:1"))


class TestUnconfined(BackendConformance):
    subject = bash_subject(LauncherConfig(kind="none"))
