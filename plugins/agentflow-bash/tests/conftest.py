"""What the tests of agentflow-bash share: a sandbox with the backend under each launcher, and a Docker engine."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agentflow_bash.backend import BashBackend
from agentflow_bash.config import BashConfig
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import ModuleType

    from agentflow_core.records import ToolResult

IMAGE = "agentflow-bash-test:1"
PROGRAMS = (
    *(
        "bash",
        "sh",
        "cat",
        "cp",
        "dd",
        "env",
        "grep",
        "head",
        "id",
        "ls",
        "mkdir",
        "ln",
        "mkfifo",
        "mktemp",
        "od",
        "rm",
        "touch",
        "chmod",
        "date",
        "readlink",
        "seq",
        "setsid",
    ),
    *("sleep", "stat", "stty", "tail", "tr", "true", "wc", "yes"),
)
LEFT_OUT = ("config-", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test")


class Shells:
    """A sandbox with the backend ``bash``, spoken to in few words."""

    def __init__(self, sandbox: Sandbox, kind: str) -> None:
        self.sandbox = sandbox
        self.kind = kind

    async def call(self, tool: str, _session: str | None = None, **params: Any) -> ToolResult:
        return await self.sandbox.execute(f"bash:{tool}", params, session=_session)

    async def run(self, command: str, _session: str | None = None, **params: Any) -> ToolResult:
        return await self.call("run", _session, command=command, **params)

    async def out(self, command: str, _session: str | None = None, **params: Any) -> str:
        """What a command prints that succeeds."""
        result = await self.run(command, _session, **params)
        assert result.ok, result.text
        return result.data["stdout"]


@pytest.fixture(scope="session")
def engine(missing: Callable[[str], NoReturn], needed: Callable[[str], ModuleType]) -> Iterator[str]:
    """A Docker engine with an image that is made of programs of this machine; gives the image."""
    docker = needed("docker")
    with pytest.MonkeyPatch.context() as patch, _running(missing, patch):
        client = docker.from_env()
        client.api.import_image_from_data(_rootfs(), repository=IMAGE.split(":")[0], tag="1")
        yield IMAGE
        assert client.containers.list(all=True, filters={"label": "agentflow.session", "ancestor": IMAGE}) == []
        client.images.remove(IMAGE, force=True)
        client.close()


@pytest.fixture(scope="session")
def bwrap(missing: Callable[[str], NoReturn]) -> None:
    """Bubblewrap is installed."""
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Open a sandbox: ``async with opened(kind="bwrap", limits=…) as shells``."""

    @asynccontextmanager
    async def run(*, kind: str = "bwrap", **settings: Any) -> AsyncIterator[Shells]:
        if kind == "bwrap":
            request.getfixturevalue("bwrap")
        image = request.getfixturevalue("engine") if kind == "docker" else None
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        config = SandboxConfig(state_dir=state, launcher=LauncherConfig(kind=kind, image=image))
        catalog = Catalog.of(bash=lambda: BashBackend(BashConfig(**settings)))
        async with Sandbox(catalog=catalog, config=config) as sandbox:
            yield Shells(sandbox, kind)

    return run


@pytest.fixture(params=["bwrap", "none", pytest.param("docker", marks=pytest.mark.serial)])
async def shells(request: pytest.FixtureRequest, opened: Callable[..., Any]) -> AsyncIterator[Shells]:
    """A sandbox under each launcher."""
    async with opened(kind=request.param) as found:
        yield found


@pytest.fixture
async def confined(opened: Callable[..., Any]) -> AsyncIterator[Shells]:
    """A sandbox under bubblewrap."""
    async with opened() as found:
        yield found


@contextmanager
def _running(missing: Callable[[str], NoReturn], patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine that runs already, or one of our own in a folder of its own."""
    if os.environ.get("DOCKER_HOST") or _answers("/var/run/docker.sock"):
        yield
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        missing("no Docker engine: apt-get install docker.io (and run the tests as root)")
    folder = Path(tempfile.mkdtemp(prefix="agentflow-dockerd-"))
    at = f"unix://{folder}/docker.sock"
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [
                *("dockerd", "--data-root", folder / "data", "--exec-root", folder / "run", "-H", at),
                *("--pidfile", folder / "pid", "--bridge=none", "--iptables=false", "--ip6tables=false"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(300):
            if _answers(f"{folder}/docker.sock"):
                break
            time.sleep(0.1)  # it tells nobody when it is ready
        else:
            missing(f"the Docker engine did not start: {(folder / 'log').read_text()[-2000:]}")
        patch.setenv("DOCKER_HOST", at)
        yield
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"OK" in client.recv(4096) + client.recv(4096)
        except OSError:
            return False


def _rootfs() -> bytes:
    """A file system of a few programs of this machine and its Python, with the libraries that they need."""
    programs = {f"bin/{name}": shutil.which(name, path="/usr/bin:/bin") for name in PROGRAMS}
    programs["usr/bin/python3"] = "/usr/bin/python3"
    ask = ["/usr/bin/python3", "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
    stdlib = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    modules = [str(path) for path in (stdlib / "lib-dynload").glob("*.so")]
    told = subprocess.run(
        ["ldd", *filter(None, programs.values()), *modules], capture_output=True, text=True, check=False
    )
    libraries = {
        part
        for line in told.stdout.splitlines()
        for part in line.split()
        if part.startswith("/") and not part.endswith(":")
    }
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for target, program in programs.items():
            assert program is not None, target
            tar.add(os.path.realpath(program), target)
        for library in sorted(libraries):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        for locale in Path("/usr/lib/locale").glob("C.[uU]*"):  # by which a shell counts characters, not bytes
            tar.add(locale, str(locale).lstrip("/"))
        for entry in sorted(stdlib.iterdir()):
            if not entry.name.startswith(LEFT_OUT):
                tar.add(entry, str(entry).lstrip("/"))
        for folder in ("tmp", "proc", "sys", "dev", "etc", "workspace", "control"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(made)
    return found.getvalue()
