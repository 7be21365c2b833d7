"""A Docker engine for tests, and images made of programs of this machine, for which no registry is needed."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["docker_engine", "machine_image"]

_SOCKET: Final = "/var/run/docker.sock"
_START_S: Final = 30.0
_PYTHON: Final = "/usr/bin/python3"
_FOLDERS: Final = ("tmp", "proc", "sys", "dev", "etc", "opt", "workspace", "control", "data")
#: What of Python's library is large and needed by no session of a test.
_LEFT_OUT: Final = (
    "config-",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
)


@contextmanager
def docker_engine(missing: Callable[[str], NoReturn], *, bridge: str | None = None) -> Iterator[Any]:
    """The client of the engine that runs already, or of one of our own, which ``DOCKER_HOST`` names meanwhile.

    Args:
        missing: is told what is not there, and raises: skips the test, or fails it.
        bridge: of an engine of our own, whatever runs already; ``none`` for none, which is that of ours by default.
    """
    try:
        import docker
    except ImportError:
        missing("no Docker SDK: pip install 'agentflow-core[docker]'")
    before = os.environ.get("DOCKER_HOST")
    if bridge is None and (before or _answers(_SOCKET)):
        with closing(docker.from_env()) as client:
            yield client
        return
    with _engine_of_our_own(missing, bridge or "none") as host:
        os.environ["DOCKER_HOST"] = host
        try:
            with closing(docker.from_env()) as client:
                yield client
        finally:
            del os.environ["DOCKER_HOST"]
            if before is not None:
                os.environ["DOCKER_HOST"] = before


@contextmanager
def _engine_of_our_own(missing: Callable[[str], NoReturn], bridge: str) -> Iterator[str]:
    """Start an engine in a folder of its own, which changes nothing of the machine's network."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        missing("no Docker engine: apt-get install docker.io (and run the tests as root)")
    folder = Path(tempfile.mkdtemp(prefix="agentflow-dockerd-"))
    with open(folder / "log", "wb") as log:
        engine = subprocess.Popen(
            [
                *("dockerd", "--data-root", folder / "data", "--exec-root", folder / "run"),
                *("-H", f"unix://{folder}/docker.sock", "--pidfile", folder / "pid"),
                *(f"--bridge={bridge}", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + _START_S
        while not _answers(f"{folder}/docker.sock"):
            if time.monotonic() > until:
                missing(f"the Docker engine did not start (apt-get install docker.io): {_end_of(folder / 'log')}")
            time.sleep(0.1)  # it tells nobody when it is ready
        yield f"unix://{folder}/docker.sock"
    finally:
        engine.terminate()
        engine.wait(_START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _end_of(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:]


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"OK" in client.recv(4096) + client.recv(4096)
        except OSError:
            return False


@contextmanager
def machine_image(
    client: Any, name: str, *, programs: Iterable[str], python: bool = True, libraries_of: Iterable[Path | str] = ()
) -> Iterator[str]:
    """An image that is removed at the end, and with it the assurance that no container of a session is left.

    Args:
        client: of the engine.
        name: of the image.
        programs: are found in ``/usr/bin`` and ``/bin`` and put into ``/bin``.
        python: also the machine's Python with its standard library.
        libraries_of: programs and modules that are bound in from outside, and whose libraries have to be there.
    """
    client.api.import_image_from_data(_root(programs, python, libraries_of), repository=name, tag="1")
    yield f"{name}:1"
    left = client.containers.list(all=True, filters={"label": "agentflow.session", "ancestor": f"{name}:1"})
    client.images.remove(f"{name}:1", force=True)
    if left:
        raise AssertionError(f"containers of sessions are left: {left}")


def _root(programs: Iterable[str], python: bool, libraries_of: Iterable[Path | str]) -> bytes:
    """The file system as a tar archive."""
    files = {f"bin/{name}": _found(name) for name in programs}
    stdlib: Path | None = None
    modules: list[str] = [os.path.realpath(path) for path in libraries_of]
    if python:
        files[_PYTHON.lstrip("/")] = _PYTHON
        ask = [_PYTHON, "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
        stdlib = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
        modules += map(str, (stdlib / "lib-dynload").glob("*.so"))
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for target, path in files.items():
            tar.add(os.path.realpath(path), target)
        for library in _libraries([*files.values(), *modules]):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        for locale in Path("/usr/lib/locale").glob("C.[uU]*"):  # by which a shell counts characters, not bytes
            tar.add(locale, str(locale).lstrip("/"))
        for entry in sorted(stdlib.iterdir()) if stdlib is not None else ():
            if not entry.name.startswith(_LEFT_OUT):
                tar.add(entry, str(entry).lstrip("/"))
        for folder in _FOLDERS:
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(made)
    return found.getvalue()


def _found(program: str) -> str:
    path = shutil.which(program, path="/usr/bin:/bin")
    if path is None:
        raise FileNotFoundError(f"this machine has no {program}")
    return path


def _libraries(files: Iterable[str]) -> list[str]:
    """The system's libraries that the programs and modules are linked to."""
    told = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    parts = {part for line in told.splitlines() for part in line.split()}
    return sorted(part for part in parts if part.startswith(("/lib", "/usr")) and not part.endswith(":"))
