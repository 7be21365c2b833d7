"""What the laws of the sandbox try on ``code``: its calls, and what a session can do to its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_code.backend import CodeBackend
from agentflow_core.testing.subjects import Call, Canary, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOSTILE", "code_subject"]

_LOOK_FILES = """
import glob
for pattern in ("*", "/tmp/*", "/dev/shm/*", "/workspace/*"):
    for path in glob.glob(pattern):
        try:
            print(path, open(path).read(10_000))
        except OSError:
            pass
"""
_LOOK_PROCESSES = """
import glob
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        print(open(path).read().replace(chr(0), " "))
    except OSError:
        pass
"""
#: One process at any time, which a shell that waits for another would not be between its fork and the other's exec.
_WAITER = """
import subprocess
subprocess.Popen(["tail", "-f", "/dev/null", "{text}"], stderr=subprocess.DEVNULL)
None
"""
_LISTEN = """
import socket, threading
def listen():
    listener = socket.create_server(("127.0.0.1", 4711))
    def answer():
        while True:
            peer, _ = listener.accept()
            peer.sendall(" ".join(words).encode())
            peer.close()
    threading.Thread(target=answer, daemon=True).start()
if "words" not in globals():
    words = []
    listen()
words.append({text!r})
"""
_CONNECT = """
import socket
peer = socket.create_connection(("127.0.0.1", 4711), 5)
print(peer.recv(1000).decode())
peer.close()
"""


def _run(code: str) -> tuple[Call, ...]:
    return (("run", {"code": code}),)


#: Calls that try to break out or to take too much, by what they try.
HOSTILE: Mapping[str, Call] = {
    what: ("run", {"code": code})
    for what, code in {
        "fork bomb": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "thread bomb": "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(100,)).start()",
        "memory bomb": "held = []\nwhile True:\n    held.append(bytearray(10**8))",
        "disk bomb": "n = 0\nwhile True:\n    n += 1\n    open(f'f{n}', 'wb').write(b'x' * 10**8)",
        "kill everything": "import os\nos.kill(-1, 9)",
        "exit": "import os\nos._exit(7)",
        "crash": "import ctypes\nctypes.string_at(0)",
        "deaf loop": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass",
        "loop in C": "sum(iter(int, 1))",
        "recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef down():\n    down()\ndown()",
        "half a gigabyte of output": "import os\nfor _ in range(500):\n    os.write(1, b'x' * 2**20)",
        "closed descriptors": "import os\nos.closerange(0, 1000)",
        "garbled control": "import os\nfor fd in range(3, 100):\n    try:\n        os.write(fd, b'\\xff' * 1000)\n"
        "    except OSError:\n        pass",
        "input": "input('name? ')",
    }.items()
}


def code_subject() -> Subject:
    """The subject, under the default launcher."""
    return Subject(
        backend=CodeBackend,
        name="code",
        calls=(
            ("run", {"code": "rows = [{'n': 1}, {'n': 2}]\nprint('two rows')\nlen(rows)"}),
            ("inspect", {}),
            ("profile", {"variable": "rows"}),
            ("sql", {"query": "SELECT 40 + 2 AS answer"}),
            ("list_databases", {}),
            ("install", {}),
            ("reset", {}),
        ),
        canaries={
            "files": Canary(
                plant=lambda text: _run(f"open('secret.txt', 'a').write({text!r})\nNone"),
                look=_run(_LOOK_FILES),
            ),
            "variables": Canary(
                plant=lambda text: _run(f"secrets = globals().get('secrets', []) + [{text!r}]"),
                look=_run("print(secrets)"),
            ),
            "env": Canary(
                plant=lambda text: _run(f"import os\nos.environ['SECRET'] = {text!r}"),
                look=_run(
                    "import os, subprocess\nprint(subprocess.run(['env'], capture_output=True, text=True).stdout)"
                ),
            ),
            "processes": Canary(
                plant=lambda text: _run(_WAITER.format(text=text)),
                look=_run(_LOOK_PROCESSES),
            ),
            "ports": Canary(plant=lambda text: _run(_LISTEN.format(text=text)), look=_run(_CONNECT)),
        },
        hostile=HOSTILE,
        slow=("run", {"code": "import time\ntime.sleep(60)"}),
        loud=("run", {"code": "print('many words ' * 10_000)"}),
        broken_settings={"files": ["no-such-file"]},
        parallel=16,
        cycles=60,
    )
