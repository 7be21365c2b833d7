"""What the laws are tried on for `ProcessBackend`, by launcher: what its sessions keep apart, and what attacks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentflow_core.sandbox.launchers import LauncherConfig, Limits
from agentflow_core.testing.processes import ProcessBackend
from agentflow_core.testing.shell_canaries import shell_canaries
from agentflow_core.testing.subjects import Call, Canary, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOSTILE", "process_subject"]

_MIB: Final = 1 << 20
#: Limits that an attack reaches quickly.
SMALL: Final = Limits(memory_bytes=64 * _MIB, pids=32, disk_bytes=16 * _MIB, tmp_bytes=4 * _MIB)


def _run(command: str) -> tuple[Call, ...]:
    return (("run", {"command": command}),)


#: What the workspace and the driver keep apart, under every launcher.
_OWN: Final[Mapping[str, Canary]] = {
    "files": Canary(
        plant=lambda text: (("write", {"path": "notes/canary", "text": text}),),
        look=(("read", {"path": "notes/canary"}),),
    ),
    "log": Canary(plant=lambda text: _run(f"echo {text} >> log"), look=_run("cat log")),
    "variables": Canary(plant=lambda text: (("set", {"name": "CANARY", "value": text}),), look=_run("env")),
}

#: Command lines that take all that they get, will not end, or turn against the driver and its channel.
HOSTILE: Final[Mapping[str, str]] = {
    "fork bomb": "f() { f & f; }; f",
    "fork bomb that leaves its group": "while :; do setsid sleep 600 & done",
    "memory bomb": "tail /dev/zero",
    "disk bomb": "i=0; while :; do head -c 4000000 /dev/zero > file$i; i=$((i + 1)); done",
    "bomb in temporary files": "cat /dev/zero > /tmp/bomb",
    "output bomb": "yes",
    "kill everything": "kill -9 -1; sleep 60",
    "kill the own group": "kill -9 0; sleep 60",
    "ignore signals": "trap '' HUP INT QUIT TERM; setsid sleep 600 & while :; do sleep 1; done",
    "stop the driver": "kill -STOP 1 2; sleep 60",
    "answer for the driver": "echo 0123456789abcdef 0 0 999999999 > /control/replies; sleep 60",
    "babble": "cat /dev/zero > /control/replies",
    "steal the commands": "cat /control/commands",
    "hold the output": "exec sleep 600 &",
}


def process_subject(launcher: LauncherConfig) -> Subject:
    """The subject under a launcher; sessions that are containers take long, so there are few."""
    is_confined = launcher.kind != "none"
    return Subject(
        backend=lambda: ProcessBackend(SMALL),
        name="processes",
        launcher=launcher,
        calls=(
            ("run", {"command": "echo hello"}),
            ("set", {"name": "GREETING", "value": "hello"}),
            ("write", {"path": "notes/hello", "text": "hello\n"}),
            ("read", {"path": "notes/hello"}),
        ),
        canaries={**_OWN, **(shell_canaries(_run) if is_confined else {})},
        hostile={what: ("run", {"command": command}) for what, command in HOSTILE.items()},
        slow=("run", {"command": "sleep 60 & sleep 60"}),
        loud=("run", {"command": "head -c 40000 /dev/zero | tr '\\0' x"}),
        broken_settings={"setup": "echo there is no such thing; exit 3"},
        parallel=2 if launcher.kind == "docker" else 32,
        cycles=5 if launcher.kind == "docker" else 100,
    )
