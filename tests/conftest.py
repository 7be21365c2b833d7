"""What the core's tests share: the command line, run in this process, and a Docker engine."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from attrs import frozen

from agentflow_core.cli import main
from agentflow_core.testing.plugins import loaded_files_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType


@frozen(kw_only=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """Run ``agentflow`` with the arguments, in this process: ``cli("plugins", "list")``."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code=code, out=captured.out, err=captured.err)

    with loaded_files_forgotten():
        yield run


@frozen(kw_only=True)
class DockerEngine:
    """An engine that answers at ``DOCKER_HOST``, by its client, and an image that it has."""

    client: Any
    image: str


@pytest.fixture(scope="session")
def docker_engine(missing: Callable[[str], NoReturn], needed: Callable[[str], ModuleType]) -> Iterator[DockerEngine]:
    """The engine that runs already, or one of our own, with an image that is made of programs of this machine."""
    docker = needed("docker")
    name = "agentflow-test"
    with pytest.MonkeyPatch.context() as patch, _engine_of_our_own(missing) as host:
        if host:
            patch.setenv("DOCKER_HOST", host)
        client = docker.from_env()
        client.api.import_image_from_data(_rootfs(), repository=name, tag="1")
        yield DockerEngine(client=client, image=f"{name}:1")
        client.images.remove(f"{name}:1", force=True)
        client.close()


@contextmanager
def _engine_of_our_own(missing: Callable[[str], NoReturn]) -> Iterator[str]:
    """Start an engine in a folder of its own, by the recipe without a bridge; nothing, where one runs already."""
    if os.environ.get("DOCKER_HOST") or _answers("/var/run/docker.sock"):
        yield ""
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        missing("no Docker engine: apt-get install docker.io (and run the tests as root)")
    folder = Path(tempfile.mkdtemp(prefix="agentflow-dockerd-"))
    at = f"unix://{folder}/docker.sock"
    with open(folder / "log", "wb") as log:
        engine = subprocess.Popen(
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
            told = (folder / "log").read_text()[-2000:]
            missing(f"the Docker engine did not start (apt-get install docker.io): {told}")
        yield at
    finally:
        engine.terminate()
        engine.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"OK" in client.recv(4096) + client.recv(4096)
        except OSError:
            return False


_PROGRAMS = (
    *("bash", "sh", "cat", "dirname", "env", "grep", "head", "hostname", "id", "ln", "ls", "mkdir", "mkfifo", "rm"),
    *("setsid", "sleep", "stat", "tail", "tr", "truncate", "wc", "yes"),
)
_PYTHON = "/usr/bin/python3"
_FOLDERS = ("tmp", "proc", "sys", "dev", "etc", "workspace", "control", "data")
#: What of Python's library is large and needed by no session of the tests.
_LEFT_OUT = ("config-", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test")


def _rootfs() -> bytes:
    """A file system of a few programs of this machine and its Python, with the libraries that they need."""
    found = io.BytesIO()
    libraries: set[str] = set()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for path in [*(shutil.which(name, path="/usr/bin:/bin") for name in _PROGRAMS), _PYTHON]:
            assert path is not None
            target = path if path == _PYTHON else f"bin/{Path(path).name}"
            tar.add(os.path.realpath(path), target.lstrip("/"))
            told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
            libraries |= {part for line in told.splitlines() for part in line.split() if part.startswith("/")}
        for library in sorted(libraries):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        ask = [_PYTHON, "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
        stdlib = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
        for entry in sorted(stdlib.iterdir()):
            if not entry.name.startswith(_LEFT_OUT):
                tar.add(entry, str(entry).lstrip("/"))
        for folder in _FOLDERS:
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(made)
    return found.getvalue()
