"""Sessions in containers of a real engine, which is started here where none runs; few, since each takes a while."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import Bind, LauncherConfig, LaunchSpec, Taken, launcher_of, reap
from agentflow_core.sandbox.launchers.probes import probe_docker

pytestmark = pytest.mark.serial

IMAGE = "agentflow-test:1"
PROGRAMS = ("bash", "sh", "cat", "env", "head", "tail", "id", "ls", "sleep", "stat", "setsid", "hostname", "dirname")


@pytest.fixture(scope="session")
def engine(request):
    """An engine with `IMAGE`, which is made of programs of this machine; its client."""
    missing = request.getfixturevalue("missing")
    docker = sdk(missing)
    with pytest.MonkeyPatch.context() as patch, ours(missing, patch):
        client = docker.from_env()
        client.api.import_image_from_data(rootfs(), repository=IMAGE.split(":")[0], tag="1")
        yield client
        client.images.remove(IMAGE, force=True)
        client.close()


def sdk(missing):
    """The Docker SDK."""
    try:
        import docker
    except ImportError:
        missing("no Docker SDK: pip install 'agentflow-core[docker]'")
    return docker


class ours:
    """The engine that runs already, or one of our own in a folder of its own, by the recipe without a bridge."""

    def __init__(self, missing, patch):
        self.missing = missing
        self.patch = patch
        self.engine = None
        self.folder = None

    def __enter__(self):
        if os.environ.get("DOCKER_HOST") or answers("/var/run/docker.sock"):
            return
        if shutil.which("dockerd") is None or os.geteuid() != 0:
            self.missing("no Docker engine: apt-get install docker.io (and run the tests as root)")
        self.folder = folder = Path(tempfile.mkdtemp(prefix="agentflow-dockerd-"))
        at = f"unix://{folder}/docker.sock"
        with open(folder / "log", "wb") as log:
            self.engine = subprocess.Popen(
                [
                    *("dockerd", "--data-root", folder / "data", "--exec-root", folder / "run", "-H", at),
                    *("--pidfile", folder / "pid", "--bridge=none", "--iptables=false", "--ip6tables=false"),
                ],
                stdout=log,
                stderr=log,
            )
        for _ in range(300):
            if answers(f"{folder}/docker.sock"):
                break
            time.sleep(0.1)  # it tells nobody when it is ready
        else:
            told = (folder / "log").read_text()[-2000:]
            self.__exit__()
            self.missing(f"the Docker engine did not start (apt-get install docker.io): {told}")
        self.patch.setenv("DOCKER_HOST", at)

    def __exit__(self, *_):
        if self.engine is not None:
            self.engine.terminate()
            self.engine.wait(30)
            shutil.rmtree(self.folder, ignore_errors=True)


def answers(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"OK" in client.recv(4096) + client.recv(4096)
        except OSError:
            return False


def rootfs():
    """A file system of a few programs of this machine, with the libraries that they need."""
    found = io.BytesIO()
    libraries: set[str] = set()
    with tarfile.open(fileobj=found, mode="w") as tar:
        for name in PROGRAMS:
            path = shutil.which(name, path="/usr/bin:/bin")
            tar.add(os.path.realpath(path), f"bin/{name}")
            told = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
            libraries |= {part for line in told.splitlines() for part in line.split() if part.startswith("/")}
        for library in sorted(libraries):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        for folder in ("tmp", "proc", "sys", "dev", "etc", "workspace", "control", "data"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
    return found.getvalue()


@pytest.fixture
async def docker(engine):
    async with launcher_of(LauncherConfig(kind="docker", image=IMAGE)) as launcher:
        yield launcher
        assert engine.containers.list(all=True, filters={"label": "agentflow.session"}) == []


async def test_a_command_runs_in_a_container_with_pipes_and_a_clean_environment(
    docker, ran, shell, workspace, tmp_path
):
    (tmp_path / "f").write_text("bound\n")
    script = """
    cat; echo err >&2; pwd; hostname; id -u; echo $HOME $CANARY $DOCKER_HOST; cat /data/f; echo new > new
    for f in / /bin /control /data /proc/sys/kernel/core_pattern /tmp /workspace; do test -w $f && echo writable $f; done
    ls -d /sys/class/net/*; test -e /var/run/docker.sock && echo docker; exit 7"""
    binds = (Bind(source=tmp_path / "f", target="/data/f"),)
    got = await ran(docker, shell(script, workspace=workspace, env={"CANARY": "c"}, binds=binds), stdin=b"in ")
    uid = os.geteuid() or LauncherConfig().first_uid
    assert got.out.split() == [
        *("in", "/workspace", "agentflow", str(uid), "/workspace", "c", "bound"),
        *("writable", "/tmp", "writable", "/workspace", "/sys/class/net/lo"),
    ]
    assert (got.err, got.ended.reason, got.ended.returncode) == ("err\n", "exit", 7)
    assert (workspace / "new").read_text() == "new\n"


async def test_the_control_folder_signals_usage_and_kill(docker, shell, uids_of):
    script = """
    trap 'echo interrupted' INT; setsid sleep 1000 & echo $$
    exec 3<>/control/commands; while true; do read -r line <&3 && echo "got $line" > /control/replies; done"""
    async with await docker.start(shell(script)) as confined:
        pid = int(await confined.stdout.receive())
        await confined.control.commands.send(b"one\n")
        assert await confined.control.replies.receive() == b"got one\n"
        assert await confined.signal(pid, signal.SIGINT)
        assert await confined.stdout.receive() == b"interrupted\n"
        assert not await confined.signal(4242, signal.SIGINT)
        used = await confined.usage()
        assert used.pids >= 2
        assert confined.enforced["memory"].startswith("cgroup-v")
        await confined.kill()
        assert confined.ended is not None
        assert confined.ended.reason == "killed"
        assert uids_of(confined.pid) == set()


async def test_the_memory_limit_is_told_from_a_kill(docker, ran, shell, small):
    got = await ran(docker, shell("exec tail /dev/zero", limits=small))
    assert (got.ended.reason, got.ended.returncode) == ("oom", 137)


async def test_a_workspace_that_outgrows_its_limit_ends_the_session(docker, ran, shell, small, workspace):
    script = "for i in 1 2 3; do head -c 10M /dev/zero > f$i; done; exec sleep 1000"
    assert (await ran(docker, shell(script, limits=small, workspace=workspace))).ended.reason == "disk"


async def test_cancelled_starts_and_closed_launchers_leave_nothing(docker, shell, engine, nothing_left):
    for moment in (0.01, 0.1, 0.2):
        with anyio.move_on_after(moment):
            async with await docker.start(shell("exec sleep 1000")):
                pass
    async with launcher_of(LauncherConfig(kind="docker", image=IMAGE)) as other:
        confined = await other.start(shell("exec sleep 1000"))
    assert (await confined.wait()).reason == "killed"
    await confined.aclose()
    assert engine.containers.list(all=True) == []
    assert [each for each in nothing_left() if not each.startswith("fd")] == []


async def test_what_a_killed_server_left_is_reaped(docker, shell, engine):
    container = engine.containers.run(IMAGE, ["sleep", "1000"], name="agentflow-left", detach=True, network_mode="none")
    taken = Taken(session="agentflow-left", launcher="docker", container=container.name)
    await reap(taken)
    await reap(taken)
    assert engine.containers.list(all=True) == []


async def test_what_it_cannot_do_is_said(engine, docker):
    with pytest.raises(SandboxError) as caught:
        await docker.start(LaunchSpec(argv=("true",), pass_fds=(3,)))
    assert caught.value.code == "unsupported"
    with pytest.raises(SandboxError) as caught:
        await docker.start(LaunchSpec(argv=("/no/such/program",)))
    assert "/no/such/program" in str(caught.value)
    with pytest.raises(SandboxError, match="docker pull no-such-image") as caught:
        async with launcher_of(LauncherConfig(kind="docker", image="no-such-image:1")):
            pass
    assert caught.value.code == "provider_unavailable"
    assert (await probe_docker())[0]


async def test_without_an_engine_the_error_says_how_to_get_one(monkeypatch, tmp_path, missing):
    sdk(missing)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxError, match=r"apt-get install docker\.io") as caught:
        async with launcher_of(LauncherConfig(kind="docker", image=IMAGE)):
            pass
    assert caught.value.code == "provider_unavailable"
    assert not (await probe_docker())[0]


def test_an_image_has_to_be_named():
    with pytest.raises(SandboxError, match="image"):
        launcher_of(LauncherConfig(kind="docker"))
