"""What the tests of faults share: real servers that are killed, and a look at all that sessions hold of the machine."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.to_thread
import httpx
import pytest
from attrs import define, field

from agentflow_core.sandbox.launchers.cgroups import kill_and_remove
from agentflow_core.sandbox.ownership import reap_left
from agentflow_core.sandbox.wire import decode_result

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from agentflow_core.records import ToolResult

HERE = Path(__file__).parent
DENS = HERE / "dens.py"


class Caller(httpx.AsyncClient):
    """Speaks to a server."""

    async def execute(self, tool: str, params: Any = None, **fields: Any) -> httpx.Response:
        """The answer to a call."""
        return await self.post("/v1/execute", json={"tool": tool, "params": params, **fields})

    async def result(self, tool: str, params: Any = None, **fields: Any) -> ToolResult:
        """The envelope of the answer to a call."""
        return decode_result((await self.execute(tool, params, **fields)).content)

    async def create(
        self, backend: str, worker: str = "main", settings: Any = None, call_id: str | None = None
    ) -> httpx.Response:
        """The answer to the request for a session."""
        body: dict[str, Any] = {"backends": {backend: settings}, "worker_id": worker}
        return await self.post("/v1/sessions", json=body if call_id is None else body | {"call_id": call_id})

    async def opened(self, backend: str, worker: str = "main", settings: Any = None) -> str:
        """The id of a new session."""
        created = await self.create(backend, worker, settings)
        assert created.status_code == 201, created.text
        return decode_result(created.content).data[backend]["id"]

    async def sessions(self, **query: str) -> list[dict[str, Any]]:
        """The open sessions."""
        return decode_result((await self.get("/v1/sessions", params=query)).content).data["sessions"]

    async def until_status(self, status: int) -> None:
        """Wait until the server says of itself that it is ready (200) or not (503)."""
        with anyio.fail_after(15):
            while (await self.get("/readyz")).status_code != status:
                pass


@define
class Server:
    """A running ``agentflow serve``."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def caller(self, **options: Any) -> Caller:
        """A client; so many connections as there are requests."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        return Caller(base_url=self.url, timeout=60, limits=limits, **options)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As ``kill -9`` does."""
        self.process.kill()
        self.process.wait()

    async def ended(self, within_s: float = 30) -> int:
        """The exit code."""
        with anyio.fail_after(within_s):
            return await anyio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)

    def rss_bytes(self) -> int:
        """The memory that it has."""
        pages = Path("/proc", str(self.process.pid), "statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@define
class Site:
    """Where the servers of one test stand, and what their sessions hold of the machine."""

    tag: str
    folder: Path
    running: list[Server] = field(factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def journals(self) -> list[Path]:
        """The ownership journals that are there."""
        return sorted((self.state / "ownership").glob("engine-*"))

    def serve(self, *arguments: object, port: int = 0, kind: str = "bwrap", **environ: str) -> Server:
        """Start a server; it is killed at the end of the test."""
        command = [sys.executable, "-m", "agentflow_core", "serve", "--load", DENS, "--port", port]
        command += ["--set", f"launcher.kind={kind}", "--set", f"launcher.folder={self.folder / 'runtime'}", *arguments]
        log = self.folder / f"server-{len(self.running)}.log"
        inherited = {name: value for name, value in os.environ.items() if name != "AGENTFLOW_TOKEN"}
        own = {
            "AGENTFLOW_STATE": str(self.state),
            "AGENTFLOW_PLUGINS": "core",
            "TMPDIR": str(self.folder / "tmp"),
            "DENS": self.tag,
            "CLEANED": str(self.folder / "cleaned"),
        }
        with log.open("w") as errors:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**inherited, **own, **environ},
            )
        assert process.stdout is not None
        server = Server(process=process, url=process.stdout.readline().strip(), log=log)
        process.stdout.close()
        self.running.append(server)
        assert server.url, log.read_text()
        return server

    def left(self) -> list[str]:
        """All that is there of sessions: processes, control groups, folders, mounts; and folders of killed servers."""
        return sorted({*self._processes(), *map(str, self.groups()), *self._folders(), *self._mounts()})

    async def nothing_is_left(self) -> None:
        """Wait until the last process of a session has vanished, which takes the kernel a moment; then fail if not."""
        with anyio.move_on_after(10):
            while self.left():  # noqa: ASYNC110 - they are no children of ours
                await anyio.sleep(0.02)
        assert self.left() == []

    def _processes(self) -> Iterator[str]:
        """By the environment of what runs inside, and by the groups of what runs around it."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = f"DEN={self.tag}".encode() in (entry / "environ").read_bytes().split(b"\0")
                is_ours = is_ours or self.tag in (entry / "cgroup").read_text()
                if is_ours and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    yield f"process {entry.name} {(entry / 'comm').read_text().strip()}"
            except OSError:  # it has ended, or is another user's
                continue

    def groups(self) -> list[Path]:
        """The control groups of sessions."""
        return [
            Path(folder, name) for folder, names, _ in os.walk("/sys/fs/cgroup") for name in names if self.tag in name
        ]

    def _folders(self) -> Iterator[str]:
        for parent in ("state/workspaces", "state/ownership", "runtime"):
            yield from (f"folder {path}" for path in (self.folder / parent).glob("*"))
        living = sum(server.process.poll() is None for server in self.running)
        scratch = sorted((self.folder / "tmp").glob("*"))
        if len(scratch) > living:
            yield from (f"folder {path}" for path in scratch)

    def _mounts(self) -> Iterator[str]:
        """Mounts of this test's folders, in whichever process's view."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                lines = (entry / "mountinfo").read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                root, point = line.split()[3:5]
                if any(path.startswith(f"{self.folder}/") for path in (root, point)) and "disk" not in point:
                    yield f"mount of {entry.name}: {point}"


@contextmanager
def _site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="agentflow-faults-"))
    folder.chmod(0o711)
    for name in ("runtime", "tmp"):
        (folder / name).mkdir(mode=0o711)
    site = Site(tag=f"den-{secrets.token_hex(4)}", folder=folder)
    try:
        yield site
    finally:
        for server in site.running:
            server.kill()
        try:
            anyio.run(_swept, site)
        finally:
            shutil.rmtree(folder)


async def _swept(site: Site) -> None:
    try:
        await reap_left(site.state)
    finally:
        for group in site.groups():  # of a journal that the test has damaged
            await kill_and_remove(group)


@pytest.fixture
def site() -> Iterator[Site]:
    """A state directory, a runtime folder and a place for temporary files, that sessions may pass through."""
    with _site() as made:
        yield made


@pytest.fixture(scope="module")
def lasting() -> Iterator[Server]:
    """A server for all tests of a module, which takes 11 MB at once."""
    with _site() as made:
        yield made.serve("--set", "server.max_body_bytes=11000000")


@pytest.fixture
def bwrap(missing: Callable[[str], NoReturn]) -> str:
    """The launcher's kind, where it can be used."""
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")
    return "bwrap"


@pytest.fixture
def disk(site: Site, missing: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A file system of 384 KB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        missing("a small file system needs root and mount")
    with _mounted(site.folder / "disk", 384) as folder:
        yield folder


@contextmanager
def _mounted(folder: Path, size_kb: int) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k,mode=711", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
