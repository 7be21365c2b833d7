"""What the laws of the sandbox try on ``bash``: its calls, what its sessions keep apart, and what attacks them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from agentflow_bash.backend import BashBackend
from agentflow_bash.config import BashConfig
from agentflow_core.sandbox.launchers import LauncherConfig, Limits
from agentflow_core.testing.shell_canaries import shell_canaries
from agentflow_core.testing.subjects import Call, Canary, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["HOSTILE", "SMALL", "SUBJECT", "bash_subject"]

_MIB: Final = 1 << 20
#: Limits that an attack reaches quickly.
SMALL: Final = Limits(memory_bytes=64 * _MIB, pids=40, disk_bytes=16 * _MIB, tmp_bytes=4 * _MIB)


def _run(command: str) -> tuple[Call, ...]:
    return (("run", {"command": command}),)


#: What the workspace and the shell keep apart, under every launcher.
_OWN: Final[Mapping[str, Canary]] = {
    "files": Canary(
        plant=lambda text: (("write_file", {"path": "notes/canary", "content": text}),),
        look=(("read_file", {"path": "notes/canary"}),),
    ),
    "log": Canary(plant=lambda text: _run(f"echo {text} >> ~/log"), look=_run("cat ~/log")),
    "env": Canary(plant=lambda text: _run(f"export CANARY={text}"), look=_run("env")),
    "variables": Canary(plant=lambda text: _run(f"declare -A held; held[{text}]=1"), look=_run('echo "${!held[@]}"')),
    "functions": Canary(plant=lambda text: _run(f"tell() {{ echo {text}; }}"), look=_run("tell")),
    "jobs": Canary(
        plant=lambda text: (("start", {"command": f"echo {text}; sleep 600", "ready_regex": "canary"}),),
        look=(("jobs", {}), ("run", {"command": "jobs -p"})),
        is_forked=False,
    ),
}

_DEAF: Final = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; time.sleep(600)"
_IN_C: Final = "sum(iter(int, 1))"

#: Command lines that take all that they get, will not end, or turn against the shell, its supervisor and its channels.
HOSTILE: Final[Mapping[str, str]] = {
    "fork bomb": ":(){ :|:& };:",
    "fork bomb in the foreground": "f() { f | f; }; f",
    "fork bomb that leaves its group": "while :; do setsid sleep 600 & done",
    "memory bomb": "tail /dev/zero",
    "memory bomb in the shell": "x=a; while :; do x=$x$x; done",
    "disk bomb": "i=0; while :; do head -c 4000000 /dev/zero > file$i; i=$((i + 1)); done",
    "one large file": "head -c 1000000000 /dev/zero > file",
    "bomb in temporary files": "cat /dev/zero > /tmp/bomb",
    "output bomb": "yes",
    "output bomb in the background": "yes & yes >&2 & sleep 60",
    "kill everything": "kill -9 -1; sleep 60",
    "kill the shell": "kill -9 $$; sleep 60",
    "kill the own group": "kill -9 0; sleep 60",
    "stop everything": "kill -STOP -1; kill -STOP $$",
    "ignore signals": "trap '' HUP INT QUIT TERM; setsid sleep 600 & while :; do sleep 1; done",
    "deaf child": shlex.join(("/usr/bin/python3", "-I", "-S", "-c", _DEAF)),
    "loop in C": shlex.join(("/usr/bin/python3", "-I", "-S", "-c", _IN_C)),
    "loop in the shell": "while :; do :; done",
    "recursion": "f() { f; }; f",
    "no builtins": "builtin() { sleep 600; }; enable -n printf read eval",
    "answer for the shell": "printf 'r\\0%s\\0000\\0\\0' $__agentflow_token > /control/replies; sleep 60",
    "say that the shell is gone": "printf 'g\\0000\\0' > /control/replies; sleep 60",
    "babble": "cat /dev/zero > /control/replies",
    "babble about jobs": "cat /dev/zero > /control/state & yes > /control/replies",
    "steal the commands": "cat /control/commands",
    "steal the orders": "cat /control/orders & cat /control/starts & sleep 60",
    "order": "while :; do echo x end $$ 100 > /control/orders; done",
    "hold the output": "exec sleep 600 &",
    "hold all outputs": "for i in {1..2000}; do exec {fd}>&1; done; sleep 60",
}


#: Those that are tried in containers, of which each takes some seconds.
_IN_CONTAINERS: Final = (
    *("fork bomb", "memory bomb", "disk bomb", "output bomb", "kill everything", "stop everything", "deaf child"),
    "steal the commands",
)


def _hostile(launcher: LauncherConfig) -> Iterable[str]:
    return _IN_CONTAINERS if launcher.kind == "docker" else HOSTILE


def bash_subject(launcher: LauncherConfig) -> Subject:
    """The subject under a launcher; sessions that are containers take long, so there are few."""
    is_confined = launcher.kind != "none"
    return Subject(
        backend=lambda: BashBackend(BashConfig(limits=SMALL)),
        name="bash",
        launcher=launcher,
        calls=(
            ("run", {"command": "echo hello; echo trouble >&2; (exit 3)"}),
            ("run", {"command": "export GREETING=hello; greet() { echo $GREETING $1; }; mkdir -p notes; cd notes"}),
            (
                "start",
                {"command": "greet job; while read line; do greet $line; done", "name": "echo", "ready_regex": "job"},
            ),
            ("output", {"job_id": "echo", "max_bytes": 10}),
            ("jobs", {}),
            ("input", {"job_id": "echo", "text": "you\n"}),
            ("signal", {"job_id": "echo", "signal": "KILL"}),
            ("write_file", {"path": "notes/hello", "content": "hello\nworld\n"}),
            ("edit_file", {"path": "notes/hello", "old": "world", "new": "there"}),
            ("read_file", {"path": "notes/hello"}),
            ("list_files", {"path": "notes"}),
            ("glob", {"pattern": "**/h*"}),
            ("grep", {"pattern": "the.e"}),
            ("restart", {}),
        ),
        canaries={**_OWN, **(shell_canaries(_run) if is_confined else {})},
        hostile={what: ("run", {"command": HOSTILE[what]}) for what in _hostile(launcher)},
        slow=("run", {"command": "sleep 60 & sleep 60"}),
        loud=("run", {"command": "head -c 40000 /dev/zero | tr '\\0' x"}),
        broken_settings={"setup": "echo there is no such thing; exit 3"},
        parallel=2 if launcher.kind == "docker" else 32,
        cycles=5 if launcher.kind == "docker" else 200,
    )


#: Under the launcher that is the default.
SUBJECT: Final = bash_subject(LauncherConfig())
