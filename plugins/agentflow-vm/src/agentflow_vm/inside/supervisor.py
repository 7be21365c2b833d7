"""Start an X server and programs on its screen, and do what is asked for over stdin: one JSON object a line each way.

It is told what to start as JSON in its first argument. Nothing that it says can be trusted by who reads it: the programs
on the screen run under the same user.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import deque
from typing import Any

from agentflow_vm.inside.xclient import XClient

__all__ = ["main"]

_OUT = threading.Lock()
_CLIENTS = "_NET_CLIENT_LIST"
_FRAME_S = 0.03
_MARK = "AGENTFLOW_VM_COMMAND"
_LOOKS = 200  # a tree that grows faster than it is stopped is for the limit of processes
_STOPPED: deque[int] = deque(maxlen=1024)  # commands that nobody waits for; some of them have not begun yet
_HOST_FAMILY = 0xFFFF  # of an X authority entry that stands for every display


def say(message: dict[str, Any]) -> None:
    """Write a line, whole."""
    data = json.dumps(message).encode() + b"\n"
    with _OUT:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def write_authority(path: str) -> None:
    """A fresh cookie, without which nobody gets at the screen, in the form of Xauthority files."""
    cookie = os.urandom(16)
    parts = [b"", b"", b"MIT-MAGIC-COOKIE-1", cookie]
    data = struct.pack(">H", _HOST_FAMILY) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def spawn(argv: list[str], env: dict[str, str], cwd: str | None, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, with no way to our streams."""
    options.setdefault("stdout", subprocess.DEVNULL)
    options.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def start_server(told: dict[str, Any]) -> tuple[subprocess.Popen[bytes], str]:
    """Start the X server; its process and the number of its display."""
    os.makedirs("/tmp/.X11-unix", mode=0o1777, exist_ok=True)
    os.makedirs(os.path.dirname(told["authority"]), mode=0o700, exist_ok=True)
    write_authority(told["authority"])
    read_end, write_end = os.pipe()
    argv = [*told["server"], "-displayfd", str(write_end), "-auth", told["authority"]]
    with open(told["log"], "wb") as log:
        server = spawn(argv, dict(os.environ), None, stdout=log, stderr=log, pass_fds=(write_end,))
    os.close(write_end)
    with os.fdopen(read_end) as numbers:
        number = numbers.readline().strip()
    if not number:
        server.wait()
        with open(told["log"], errors="replace") as lines:
            raise RuntimeError("the X server did not start: " + lines.read()[-2000:])
    return server, number


def marked(mark: str) -> list[int]:
    """What a command has started, and what that has started, by a variable that they inherit."""
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as environ:
                    if wanted in environ.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                continue
    return found


def kill_all(mark: str) -> None:
    """Kill all of them: stopped first, so that none makes others meanwhile."""
    stopped: set[int] = set()
    for _ in range(_LOOKS):
        new = set(marked(mark)) - stopped
        if not new:
            break
        _signal(new, signal.SIGSTOP)
        stopped |= new
    _signal(stopped, signal.SIGKILL)
    _signal(set(marked(mark)), signal.SIGKILL)


def _signal(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


class Output:
    """One of a program's outputs: the first bytes are kept, the rest is read and counted."""

    def __init__(self, stream: Any, most: int) -> None:
        self.stream = stream
        self.most = most
        self.kept = bytearray()
        self.omitted = 0
        self.lock = threading.Lock()
        os.set_blocking(stream.fileno(), False)  # whoever has the lock must let it go
        self.thread = threading.Thread(target=self.drain, daemon=True)
        self.thread.start()

    def drain(self) -> None:
        """Read to the end."""
        poll = select.poll()
        with contextlib.suppress(OSError, ValueError):
            poll.register(self.stream, select.POLLIN)
            while poll.poll():
                with self.lock, contextlib.suppress(BlockingIOError):
                    if not self.take(65536):
                        return

    def take(self, most: int) -> int:
        """Read a part; how many bytes it has."""
        data = os.read(self.stream.fileno(), most)
        room = self.most - len(self.kept)
        self.kept += data[:room]
        self.omitted += max(0, len(data) - room)
        return len(data)

    def told(self, wait_s: float) -> tuple[bytes, int]:
        """What has been written, at its end or after so long: what is kept of it, and how much is not."""
        self.thread.join(wait_s)
        with self.lock:  # the thread may not have had its turn
            (left,) = struct.unpack("i", fcntl.ioctl(self.stream, termios.FIONREAD, bytes(4)))
            with contextlib.suppress(BlockingIOError):
                while left > 0:
                    left -= self.take(left)
            return bytes(self.kept), self.omitted


def run(asked: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Run a program to its end, or to the end of its time."""
    mark = f"{os.getpid()}-{asked['id']}"
    marking = {**env, _MARK: mark}
    process = spawn(asked["argv"], marking, asked.get("cwd"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        outputs = [Output(stream, asked["max_bytes"]) for stream in (process.stdout, process.stderr)]
    except RuntimeError:  # no room for a thread
        kill_all(mark)
        process.wait()
        raise
    if asked["id"] in _STOPPED:  # before it could be seen that it is ours
        kill_all(mark)
    timed_out = False
    try:
        code = process.wait(asked["timeout_s"])
    except subprocess.TimeoutExpired:
        timed_out = True
        kill_all(mark)
        process.wait()
        code = None
    until = time.monotonic() + 0.2  # what it left behind may hold its outputs open, and is not waited for
    told = [output.told(max(0.0, until - time.monotonic())) for output in outputs]
    if code is not None and code < 0:
        code = 128 - code
    stdout, stderr = (base64.b64encode(kept).decode() for kept, _ in told)
    omitted = sum(count for _, count in told)
    return {"code": code, "stdout": stdout, "stderr": stderr, "timed_out": timed_out, "omitted": omitted}


def launch(asked: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Start a program and leave it alone; somebody waits for it, so that it does not stay behind."""
    process = spawn(asked["argv"], env, asked.get("cwd"))
    threading.Thread(target=process.wait, daemon=True).start()
    return {"pid": process.pid}


def answer(asked: dict[str, Any], env: dict[str, str]) -> None:
    """Do one thing, and say how it went."""
    try:
        told = _OPERATIONS[asked["op"]](asked, env)
    except FileNotFoundError as error:
        told = {"error": "not_found", "message": str(error)}
    except BlockingIOError as error:  # what fork says
        told = {"error": "pids_limit", "message": str(error)}
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        is_full = "start new thread" in str(error)
        told = {"error": "pids_limit" if is_full else "internal", "message": str(error)}
    say({"id": asked.get("id"), **told})


def begin(asked: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Start programs one after the other, each when the one before has opened a window."""
    client = XClient() if asked["managed"] else None
    for argv in asked["apps"]:
        count = len(client.numbers(client.root, _CLIENTS)) if client else 0
        launch({"argv": argv}, env)
        if client and not client.wait(_CLIENTS, count + 1, asked["timeout_s"]):
            raise RuntimeError("{} opened no window within {:g} s".format(argv[0], asked["timeout_s"]))
    return {}


def sync(asked: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Wait until programs have taken in what was typed and clicked."""
    answered = 0
    with contextlib.suppress(OSError):  # without a server there is nobody to wait for, and others tell of that
        client = XClient()
        answered = client.ping(asked["timeout_s"])
        if answered:
            time.sleep(_FRAME_S)
            client.ping(asked["timeout_s"])  # who is drawing what came of it by now answers afterwards
    return {"answered": answered}


_OPERATIONS = {"run": run, "launch": launch, "begin": begin, "sync": sync}


def watch(server: subprocess.Popen[bytes]) -> None:
    """Say when the X server is gone."""
    code = server.wait()
    say({"gone": f"the X server ended with code {code}"})


def main() -> None:
    """Start, then serve until stdin ends."""
    told = json.loads(sys.argv[1])
    try:
        server, number = start_server(told)
    except (OSError, RuntimeError) as error:
        say({"failed": str(error), "missing": isinstance(error, FileNotFoundError)})
        return
    env = {**os.environ, **told["env"], "DISPLAY": ":" + number, "XAUTHORITY": told["authority"]}
    os.environ.update(DISPLAY=env["DISPLAY"], XAUTHORITY=env["XAUTHORITY"])  # for our own connections
    threading.Thread(target=watch, args=(server,), daemon=True).start()
    try:
        if told["manager"]:
            launch({"argv": told["manager"]}, env)
            if not XClient().wait("_NET_SUPPORTING_WM_CHECK", 1, told["timeout_s"]):
                raise RuntimeError("{} does not manage windows".format(told["manager"][0]))
    except (OSError, RuntimeError) as error:
        missing = isinstance(error, FileNotFoundError)
        say({"failed": f"the window manager did not start: {error}", "missing": missing})
        return
    say({"display": number})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if asked["op"] == "stop":  # here: there may be no room for a thread
            _STOPPED.append(asked["command"])
            kill_all(f"{os.getpid()}-{asked['command']}")
            say({"id": asked["id"]})
            continue
        try:
            threading.Thread(target=answer, args=(asked, env), daemon=True).start()
        except RuntimeError as error:
            say({"id": asked["id"], "error": "pids_limit", "message": str(error)})
