"""Real desktops in containers: of the launcher ``docker``, and of an image that serves RFB in the engine's bridge."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.docker_engine import docker_engine, machine_image
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig
from agentflow_vm.machines.docker import DockerMachine
from agentflow_vm.machines.docker_config import DockerConfig

pytestmark = [pytest.mark.serial, pytest.mark.timeout(120), pytest.mark.usefixtures("xvnc")]

_SHELL = ("sh", "cat", "stat", "tail", "head", "mkdir", "mv", "rm", "dirname", "setsid", "timeout", "sleep", "echo")
_DESKTOP = ("Xtigervnc", "xkbcomp", "openbox", "xterm")
#: What the programs of a desktop read.
_FOLDERS = (
    *("/usr/share/X11", "/lib/terminfo", "/usr/share/themes/Clearlooks"),
    *("/etc/fonts", "/usr/share/fontconfig", "/usr/share/fonts/truetype/dejavu", "/var/cache/fontconfig"),
)
_SERVES = """
Xtigervnc :0 -geometry 800x600 -SecurityTypes None &
while [ ! -S /tmp/.X11-unix/X0 ]; do sleep 0.05; done
DISPLAY=:0 openbox & wait
"""
_ENV = {"PATH": "/bin:/usr/bin", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def engine(missing):
    """The client of an engine of our own, with a bridge of our own."""
    with _bridge("agentflow-test", missing) as bridge, docker_engine(missing, bridge=bridge) as client:
        yield client


@contextmanager
def _bridge(name, missing):
    if shutil.which("ip") is None or os.geteuid() != 0:
        missing("no way to make a bridge: apt-get install iproute2 (and run the tests as root)")
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", "198.18.199.1/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture(scope="module")
def plain(engine):
    """An image with a shell and Python, and no desktop."""
    with machine_image(engine, "agentflow-vm-plain", programs=_SHELL) as name:
        yield name


@pytest.fixture(scope="module")
def image(engine):
    """An image of a desktop."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for folder in _FOLDERS:
            if Path(folder).exists():
                tar.add(folder, folder.lstrip("/"))
        link = tarfile.TarInfo("usr/bin/xkbcomp")  # where the server looks for it
        link.type, link.linkname = tarfile.SYMTYPE, "/bin/xkbcomp"
        tar.addfile(link)
    with machine_image(engine, "agentflow-vm-base", programs=(*_SHELL, *_DESKTOP)) as base:
        made = engine.containers.create(base, "true")
        made.put_archive("/", data.getvalue())
        committed = made.commit(repository="agentflow-vm-desktop", tag="1")
        made.remove()
        yield "agentflow-vm-desktop:1"
        left = engine.containers.list(all=True, filters={"label": "agentflow.session", "ancestor": committed.id})
        engine.images.remove(committed.id, force=True)
        assert not left


@pytest.fixture
def desktop(tmp_path):
    """A sandbox with a session: ``async with desktop(launcher, config) as call``."""

    @asynccontextmanager
    async def opened(launcher, config, **session):
        settings = SandboxConfig(state_dir=tmp_path, launcher=launcher)
        async with Sandbox(catalog=Catalog.of(vm=lambda: VmBackend(config)), config=settings) as sandbox:
            await sandbox.create_session({"vm": session})

            async def call(tool, **params):
                result = await sandbox.execute(f"vm:{tool}", params)
                assert result.ok, result.text
                return result

            call.sandbox = sandbox
            yield call

    return opened


async def _types(call):
    """Typed text reaches the program, and its window is seen."""
    with anyio.fail_after(30):
        while not (windows := (await call("windows")).data["windows"]):  # noqa: ASYNC110 - a window tells nobody
            await anyio.sleep(0.05)
    assert [each["title"] for each in windows] == ["notes"]
    await call("wait", until="stable")
    await call("type", text="grüße, 漢字 and 😀\n")
    with anyio.fail_after(30):
        while (await call("exec", command="cat notes.txt")).data["stdout"] != "grüße, 漢字 and 😀\n":  # noqa: ASYNC110 - a program tells nobody
            await anyio.sleep(0.05)
    before = (await call("screenshot")).data["frame_id"]
    started = await call("launch", program="terminal")
    assert started.data["windows"] == 2
    assert (await call("screenshot")).data["frame_id"] != before


APPS = ["xterm -T notes -e sh -c 'cat > notes.txt'"]


async def test_a_desktop_of_processes_runs_in_a_container_of_the_launcher(desktop, image):
    launcher = LauncherConfig(kind="docker", image=image)
    async with desktop(launcher, VmConfig(width=640, height=480), apps=APPS, files={"a/b.txt": "milk"}) as call:
        assert (await call("screenshot")).data["screen"] == [640, 480]
        assert (await call("exec", command="cat a/b.txt")).data["stdout"] == "milk"
        await _types(call)


async def test_an_image_without_a_server_is_told_which_packages_it_needs(desktop, plain):
    with pytest.raises(SandboxError, match="Xtigervnc") as caught:
        async with desktop(LauncherConfig(kind="docker", image=plain), VmConfig()):
            pass
    assert caught.value.code == "provider_unavailable"
    assert "sandbox.launcher.image" in caught.value.hint
    assert "tigervnc-standalone-server" in caught.value.hint


async def test_an_image_without_python_is_told_that_it_needs_it(desktop, engine):
    with (
        machine_image(engine, "agentflow-vm-shell", programs=("sh",), python=False) as shell,
        pytest.raises(SandboxError, match="no /usr/bin/python3") as caught,
    ):
        async with desktop(LauncherConfig(kind="docker", image=shell), VmConfig()):
            pass
    assert caught.value.code == "provider_unavailable"
    assert "sandbox.launcher.image" in caught.value.hint


@pytest.mark.parametrize("network", ["none", "bridge"])
async def test_a_container_that_serves_rfb_is_reached_in_its_network(desktop, image, network):
    programs = {"terminal": "xterm"}
    container = DockerConfig(
        image=image, command=("sh", "-c", _SERVES), home="/tmp", network=network, programs=programs, env=_ENV
    )
    async with desktop(LauncherConfig(), VmConfig(machine="docker", docker=container), apps=APPS) as call:
        assert (await call("screenshot")).data["screen"] == [800, 600]
        devices = (await call("exec", command="tail -n +3 /proc/net/dev")).data["stdout"]
        assert ("eth0" in devices) == (network == "bridge")
        await _types(call)


async def test_a_program_is_started_where_nothing_can_look_for_its_window(desktop, image):
    container = DockerConfig(
        image=image, command=("sh", "-c", f"rm /usr/bin/python3\n{_SERVES}"), home="/tmp", env=_ENV
    )
    async with desktop(LauncherConfig(), VmConfig(machine="docker", docker=container)) as call:
        started = await call("launch", program="xterm")
        assert started.data["windows"] is None
        assert started.text.startswith("started xterm;")
        looked = await call.sandbox.execute("vm:windows")
        assert (looked.code, looked.hint) == ("unsupported", "take a screenshot")
        unknown = await call.sandbox.execute("vm:launch", {"program": "terminal"})
        assert unknown.hint == "names that are configured: none; they are set by docker.programs"


async def test_an_engine_without_a_bridge_is_told(premises, missing):
    with (
        docker_engine(missing, bridge="none") as client,
        machine_image(client, "agentflow-vm-plain", programs=_SHELL) as name,
    ):
        async with premises("none") as context_of:
            config = DockerConfig(image=name, command=("sleep", "60"), network="bridge")
            with pytest.raises(SandboxError, match="no address in the network 'bridge'") as caught:
                await DockerMachine(config, context_of()).start()
    assert caught.value.code == "provider_unavailable"
    assert "docker.network: none" in caught.value.hint
