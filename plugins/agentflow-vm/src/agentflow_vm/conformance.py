"""What the laws of the sandbox try on ``vm``: its calls, what its sessions keep apart, and what attacks them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from agentflow_core.sandbox.launchers import LauncherConfig, Limits
from agentflow_core.testing.shell_canaries import shell_canaries
from agentflow_core.testing.subjects import Call, Canary, Subject
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig, XvncConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOSTILE", "SUBJECT", "vm_subject"]

_MIB: Final = 1 << 20
#: Limits that an attack reaches quickly; an X server with its window manager takes some 110 MB.
_SMALL: Final = Limits(memory_bytes=320 * _MIB, pids=60, disk_bytes=32 * _MIB, tmp_bytes=16 * _MIB)

#: When the shell has done what was typed.
_WRITTEN: Final = "for _ in $(seq 200); do [ -s greeting ] && break; sleep 0.1; done; cat greeting; exit 3"


def _exec(command: str) -> tuple[Call, ...]:
    return (("exec", {"command": command}),)


def _apart(command: str) -> tuple[Call, ...]:
    """A command line in a session of its own, so that what it leaves behind is not ended with it."""
    return _exec(f"setsid --wait sh -c {shlex.quote(command)} 2>&1")


_OWN: Final[Mapping[str, Canary]] = {
    "files": Canary(plant=lambda text: _exec(f"echo {text} >> canary"), look=_exec("cat canary"), is_forked=False),
    "clipboard": Canary(
        plant=lambda text: (("clipboard", {"text": text}),), look=(("clipboard", {}),), is_forked=False
    ),
    "windows": Canary(
        plant=lambda text: (("launch", {"program": f"xterm -T {text}"}),), look=(("windows", {}),), is_forked=False
    ),
}

#: Commands that take all that they get, or turn against the display, its supervisor and its channels.
HOSTILE: Final[Mapping[str, str]] = {
    "fork bomb": ":(){ :|:& };:",
    "memory bomb": "tail /dev/zero",
    "disk bomb": "i=0; while :; do head -c 4000000 /dev/zero > file$i; i=$((i + 1)); done",
    "output bomb": "yes",
    "kill everything": "kill -9 -1; sleep 60",
    "stop everything": "kill -STOP -1; sleep 60",
    "kill the display": "pkill -9 Xtigervnc || killall -9 Xtigervnc; kill -9 $(pidof Xtigervnc); sleep 1",
    "stop the display": "kill -STOP $(pidof Xtigervnc)",
    "answer for the supervisor": 'for out in /proc/[0-9]*/fd/1; do echo \'{"id": 1, "code": [[\' > $out; done; sleep 60',
    "babble for the supervisor": "for out in /proc/[0-9]*/fd/1; do cat /dev/zero > $out & done; sleep 60",
    "steal what the supervisor is told": "for in in /proc/[0-9]*/fd/0; do cat $in > /dev/null & done; sleep 60",
    "windows without end": "while :; do xterm & done",
    "another display": "rm -rf .desktop; ln -s / .desktop",
}


def vm_subject(launcher: LauncherConfig) -> Subject:
    """The subject with the machine ``xvnc`` under a launcher."""
    is_confined = launcher.kind != "none"
    config = VmConfig(xvnc=XvncConfig(apps=("terminal",), limits=_SMALL), width=640, height=480, stable_ms=40)
    return Subject(
        backend=lambda: VmBackend(config),
        name="vm",
        launcher=launcher,
        calls=(
            ("screenshot", {}),
            ("click", {"x": 100, "y": 100}),
            ("type", {"text": "echo hello > greeting\n"}),
            ("wait", {"until": "stable"}),
            ("exec", {"command": _WRITTEN}),
            (
                "key",
                {"keys": ["Up", "ctrl+u"]},
            ),  # in turn; what ctrl+c takes from a shell depends on what that has read
            ("move", {"x": 5, "y": 5}),
            ("scroll", {"x": 100, "y": 100, "dy": -3}),
            ("drag", {"path": [[10, 200], [90, 200]]}),
            ("zoom", {"region": [0, 0, 100, 100]}),
            ("clipboard", {"text": "grüße"}),
            ("clipboard", {}),
            ("windows", {}),
            ("exec", {"command": "cat greeting"}),
            ("launch", {"program": "true", "timeout_s": 0.0}),
            ("record", {"action": "start"}),
            ("actions", {"steps": [{"tool": "move", "x": 1, "y": 1}, {"tool": "screenshot", "scale": 0.5}]}),
            ("record", {"action": "stop"}),
        ),
        canaries={**_OWN, **(shell_canaries(_apart) if is_confined else {})},
        hostile={what: ("exec", {"command": command}) for what, command in HOSTILE.items()},
        slow=("exec", {"command": "sleep 60 & sleep 60"}),
        loud=("exec", {"command": "head -c 40000 /dev/zero | tr '\\0' x"}),
        broken_settings={"apps": "xterm"},
        parallel=3,
        cycles=6,
        growth_mb=48,
    )


#: Under the launcher that is the default.
SUBJECT: Final = vm_subject(LauncherConfig())
