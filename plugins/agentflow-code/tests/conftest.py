"""What the tests of agentflow-code share: sandboxes with the backend, and a Docker engine with an image that fits."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_code.backend import CodeBackend
from agentflow_code.config import CodeConfig
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

IMAGE = "agentflow-code-test:1"
PROGRAMS = ("bash", "sh", "cat", "env", "ls", "sleep", "kill")


@pytest.fixture
def opened(tmp_path: Path, missing: Callable[[str], None]) -> Callable[..., Any]:
    """Open a sandbox with the backend ``code``: ``async with opened(kind="none", warm=False, …) as sandbox``."""

    @asynccontextmanager
    async def run(
        *, kind: str = "bwrap", launcher: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Sandbox]:
        if kind == "bwrap" and shutil.which("bwrap") is None:
            missing("no bubblewrap: apt-get install bubblewrap")
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        config = SandboxConfig(state_dir=state, launcher=LauncherConfig(kind=kind, **(launcher or {})))
        catalog = Catalog.of(code=lambda: CodeBackend(CodeConfig(**settings)))
        async with Sandbox(catalog=catalog, config=config) as sandbox:
            yield sandbox

    return run


@pytest.fixture(scope="session")
def engine(missing: Callable[[str], None]) -> Iterator[str]:
    """A Docker engine with `IMAGE`, which is made of programs and libraries of this machine; gives the image."""
    try:
        import docker
    except ImportError:
        missing("no Docker SDK: pip install 'agentflow-core[docker]'")
    with pytest.MonkeyPatch.context() as patch, _running(missing, patch):
        client = docker.from_env()
        client.api.import_image_from_data(_rootfs(), repository=IMAGE.split(":")[0], tag="1")
        yield IMAGE
        client.images.remove(IMAGE, force=True)
        client.close()


@contextmanager
def _running(missing: Callable[[str], None], patch: pytest.MonkeyPatch) -> Iterator[None]:
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
    """Some programs, and the system libraries that they, Python and its wheels need."""
    programs = [shutil.which(name, path="/usr/bin:/bin") for name in PROGRAMS]
    modules = [*Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so")]
    for pattern in ("numpy/**/*.so", "pandas/_libs/*.so", "_duckdb*.so", "duckdb/**/*.so"):
        modules += list(Path(sysconfig.get_path("platlib")).glob(pattern))
    wanted = [os.path.realpath(sys.executable), *filter(None, programs), *map(str, modules)]
    told = subprocess.run(["ldd", *wanted], capture_output=True, text=True, check=False).stdout
    libraries = {
        part
        for line in told.splitlines()
        for part in line.split()
        if part.startswith(("/lib", "/usr")) and not part.endswith(":")
    }
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for program in filter(None, programs):
            tar.add(os.path.realpath(program), f"bin/{Path(program).name}")
        for library in sorted(libraries):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        for folder in ("tmp", "proc", "sys", "dev", "etc", "workspace", "control", "data", "opt"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
    return found.getvalue()
