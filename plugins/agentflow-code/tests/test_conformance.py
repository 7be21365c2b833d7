"""The laws of the sandbox, tried on code under each launcher."""

from __future__ import annotations

import pytest
from attrs import evolve

from agentflow_code.backend import CodeBackend
from agentflow_code.config import CodeConfig
from agentflow_code.conformance import code_subject
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.conformance import BackendConformance


class TestForked(BackendConformance):
    """Under bubblewrap: as root, sessions are forked from the zygote."""

    subject = code_subject()


class TestPlain(BackendConformance):
    """Under bubblewrap, an interpreter started for each session."""

    subject = evolve(
        code_subject(), backend=lambda: CodeBackend(CodeConfig(warm=False)), parallel=2, cycles=5, hostile={}
    )


class TestBare(BackendConformance):
    """Under the launcher ``none``; ports and processes are everybody's there."""

    subject = evolve(
        code_subject(),
        launcher=LauncherConfig(kind="none"),
        parallel=2,
        cycles=5,
        canaries={
            kind: canary for kind, canary in code_subject().canaries.items() if kind not in ("ports", "processes")
        },
    )


@pytest.mark.serial
@pytest.mark.usefixtures("engine")
class TestDocker(BackendConformance):
    """In containers, with the server's interpreter bound into an image that has none."""

    subject = evolve(
        code_subject(),
        launcher=LauncherConfig(kind="docker", image="agentflow-code-test:1"),
        parallel=2,
        cycles=3,
        hostile={
            what: code_subject().hostile[what] for what in ("memory bomb", "kill everything", "deaf loop", "exit")
        },
    )
