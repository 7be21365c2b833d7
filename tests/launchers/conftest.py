"""Real launchers, and what the tests ask of them."""

from __future__ import annotations

import os
import shutil
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest
from attrs import frozen

from agentflow_core.sandbox.launchers import Ended, LauncherConfig, LaunchSpec, Limits, launcher_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from agentflow_core.sandbox.launchers import Confined, Launcher

MIB = 1024 * 1024


@frozen(kw_only=True)
class Said:
    """What a session wrote, and how it ended."""

    out: str
    err: str
    ended: Ended


async def _said(confined: Confined, *, stdin: bytes = b"") -> Said:
    got: dict[str, bytes] = {}

    async def read(name: str) -> None:
        got[name] = await getattr(confined, name).read_all()

    async with anyio.create_task_group() as group:
        group.start_soon(read, "stdout")
        group.start_soon(read, "stderr")
        if stdin:
            await confined.stdin.send(stdin)
        await confined.stdin.aclose()
    return Said(out=got["stdout"].decode(), err=got["stderr"].decode(), ended=await confined.wait())


async def _ran(launcher: Launcher, spec: LaunchSpec, *, stdin: bytes = b"") -> Said:
    async with await launcher.start(spec) as confined:
        return await _said(confined, stdin=stdin)


def _shell(script: str, **spec: Any) -> LaunchSpec:
    return LaunchSpec(argv=("/bin/bash", "-c", script), **spec)


def _python(script: str, **spec: Any) -> LaunchSpec:
    return LaunchSpec(argv=("/usr/bin/python3", "-c", textwrap.dedent(script)), **spec)


@pytest.fixture
def said() -> Callable[..., Awaitable[Said]]:
    """Give a session its input, read all that it writes, wait for its end."""
    return _said


@pytest.fixture
def ran() -> Callable[..., Awaitable[Said]]:
    """Start a session, give it its input, read all that it writes, close it."""
    return _ran


@pytest.fixture
def shell() -> Callable[..., LaunchSpec]:
    """The spec of a bash script."""
    return _shell


@pytest.fixture
def python() -> Callable[..., LaunchSpec]:
    """The spec of a script for the system's Python."""
    return _python


@pytest.fixture
def uids_of() -> Callable[[int], set[str]]:
    """The uids of a process on the host; none if it is gone."""

    def look(pid: int) -> set[str]:
        try:
            lines = Path("/proc", str(pid), "status").read_text().splitlines()
        except OSError:
            return set()
        return next(set(line.split()[1:]) for line in lines if line.startswith("Uid:"))

    return look


@pytest.fixture
async def bwrap(missing: Callable[[str], NoReturn]) -> AsyncIterator[Launcher]:
    """The launcher ``bwrap``."""
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")
    async with launcher_of(LauncherConfig(kind="bwrap")) as launcher:
        yield launcher


@pytest.fixture
async def bare() -> AsyncIterator[Launcher]:
    """The launcher ``none``."""
    async with launcher_of(LauncherConfig(kind="none")) as launcher:
        yield launcher


class _Web(ThreadingHTTPServer):
    """A web server that says what it was asked, and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.asked: list[str] = []
        self.peers: list[str] = []

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Web

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():  # the trailer
                pass
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        told = f"{self.command} {self.path} for {self.headers['Host']}"
        self.server.asked.append(told)
        self.server.peers.append(str({name.lower() for name in self.headers}))
        text = told.encode() + (b" with %d" % len(body) if body else b"")
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web() -> Iterator[_Web]:
    """A real web server on this machine's loopback: ``port``, and what it was ``asked``."""
    with _Web() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def names() -> Callable[..., Any]:
    """A resolver of these names, which counts: ``names({"a.test": ["127.0.0.1"]})``; answers are taken in turn."""
    return _Names


class _Names:
    def __init__(self, known: dict[str, list[Any]]) -> None:
        self._known = known
        self.asked: list[str] = []

    async def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        if name not in self._known:
            raise OSError("no such name")
        answers = self._known[name]
        if isinstance(answers[0], list):
            return answers.pop(0) if len(answers) > 1 else answers[0]
        return answers


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder for a session."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def small() -> Limits:
    """Limits that a test reaches quickly."""
    return Limits(memory_bytes=64 * MIB, pids=32, cpus=0.5, disk_bytes=16 * MIB, tmp_bytes=MIB)


@pytest.fixture
def nothing_left() -> Callable[[], list[str]]:
    """What launchers have on this machine now that they had not when the test began."""
    before = _held()
    return lambda: sorted(_held() - before)


def _held() -> set[str]:
    groups = {
        folder for folder, names, _ in os.walk("/sys/fs/cgroup") if os.path.basename(folder).startswith("agentflow-")
    }
    folders = {str(path) for path in Path("/run/agentflow").glob("agentflow-*/*") if path.name != "etc"}
    processes = {f"{pid} {name}" for pid in os.listdir("/proc") if pid.isdigit() and (name := _command(pid))}
    fds = {f"fd {fd} {link}" for fd in os.listdir("/proc/self/fd") if (link := _link(fd)).startswith(("pipe", "anon"))}
    return groups | folders | processes | fds


def _command(pid: str) -> str:
    try:
        command = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return command if "bwrap" in command or "agentflow-test-child" in command else ""


def _link(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
