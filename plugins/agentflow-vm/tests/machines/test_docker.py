"""A container that serves RFB: here by a small server in Python, since there is no registry to take an image from."""

from __future__ import annotations

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.testing.docker_engine import docker_engine, machine_image
from agentflow_vm.keyboard import presses, stroke_of
from agentflow_vm.machines.docker import DockerMachine
from agentflow_vm.machines.docker_config import DockerConfig
from agentflow_vm.rfb.display import connected

pytestmark = [pytest.mark.serial, pytest.mark.timeout(120)]

PROGRAMS = (
    "sh",
    "bash",
    "cat",
    "stat",
    "tail",
    "head",
    "mkdir",
    "mv",
    "rm",
    "dirname",
    "setsid",
    "timeout",
    "sleep",
    "echo",
)
#: Shows a screen of one colour, and writes what is typed into a file.
SERVER = """
import socket, struct, threading
def need(peer, size):
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        if not part:
            raise SystemExit
        data += part
    return data
def serve(peer):
    peer.sendall(b"RFB 003.008\\n")
    need(peer, 12)
    peer.sendall(b"\\x01\\x01")
    need(peer, 1)
    peer.sendall(bytes(4))
    need(peer, 1)
    peer.sendall(struct.pack(">HHBBBBHHHBBB3xI", 64, 48, 32, 24, 0, 1, 255, 255, 255, 0, 8, 16, 4) + b"test")
    while True:
        kind = need(peer, 1)[0]
        if kind == 0:
            need(peer, 19)
        elif kind == 2:
            need(peer, 4 * struct.unpack(">xH", need(peer, 3))[0])
        elif kind == 3:
            if not need(peer, 9)[0]:
                peer.sendall(struct.pack(">BxHHHHHi", 0, 1, 0, 0, 64, 48, 0) + bytes((10, 20, 30, 0)) * 64 * 48)
        elif kind == 4:
            down, keysym = struct.unpack(">BxxI", need(peer, 7))
            if down:
                open("/tmp/typed", "a").write(chr(keysym))
        elif kind == 5:
            need(peer, 5)
        else:
            raise SystemExit
listener = socket.create_server(("127.0.0.1", 5900))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def image(missing):
    """A Docker engine with the image."""
    with docker_engine(missing) as client, machine_image(client, "agentflow-vm-test", programs=PROGRAMS) as name:
        yield name


@pytest.fixture
def config(image):
    """A machine of the image."""
    return DockerConfig(image=image, command=("python3", "-c", SERVER), home="/tmp", env={"PATH": "/bin:/usr/bin"})


async def test_its_screen_is_seen_and_its_keys_arrive(premises, config):
    async with premises("none") as context_of:
        machine = DockerMachine(config, context_of())
        await machine.start()
        try:
            await machine.begin()
            async with connected(await machine.connect_display()) as display:
                frame = await display.frame()
                assert (frame.width, frame.height, bytes(frame.pixels[:3])) == (64, 48, bytes((10, 20, 30)))
                await display.keys(presses([stroke_of(char) for char in "hello"]))
                with anyio.fail_after(20):
                    while (await machine.guest.run(("cat", "typed"), timeout_s=20)).stdout != b"hello":  # noqa: ASYNC110 - an emulated machine tells nobody
                        await anyio.sleep(0.05)
        finally:
            await machine.aclose()


async def test_programs_run_in_it_and_its_files_are_reached(premises, config):
    async with premises("none") as context_of:
        machine = DockerMachine(config, context_of(files={"notes/a.txt": "milk"}))
        await machine.start()
        try:
            await machine.begin()
            guest = machine.guest
            ran = await guest.run(("sh", "-c", "cat notes/a.txt; echo bad >&2; exit 4"), timeout_s=20)
            assert (ran.exit_code, ran.stdout, ran.stderr) == (4, b"milk", b"bad\n")
            data = bytes(range(256)) * 30_000
            await guest.write_file("data.bin", data)
            assert (await guest.read_file("data.bin", 0, None)).data == data
            part = await guest.read_file("/tmp/data.bin", 300, 310)
            assert (part.data, part.size) == (data[300:310], len(data))
            assert (await guest.run(("sleep", "60"), timeout_s=1)).timed_out
            assert await guest.launch(("sleep", "60")) > 1
            for path, code in (("none.txt", "not_found"), ("notes", "invalid_argument")):
                with pytest.raises(SandboxError) as caught:
                    await guest.read_file(path, 0, None)
                assert caught.value.code == code
            for call in (guest.run(("no-such",), timeout_s=20), guest.launch(("no-such",))):
                with pytest.raises(SandboxError) as caught:
                    await call
                assert caught.value.code == "not_found"
        finally:
            await machine.aclose()


async def test_a_container_that_has_ended_says_how(premises, config):
    from attrs import evolve

    async with premises("none") as context_of:
        machine = DockerMachine(evolve(config, command=("sh", "-c", "echo no display; exit 5")), context_of())
        with pytest.raises(SandboxError, match="it ended with code 5: no display") as caught:
            await machine.start()
        assert caught.value.code == "provider_unavailable"
        await machine.aclose()


async def test_an_image_that_is_not_there_is_named(premises, image):
    async with premises("none") as context_of:
        machine = DockerMachine(DockerConfig(image="agentflow-none:1"), context_of())
        with pytest.raises(SandboxError, match="no image 'agentflow-none:1'") as caught:
            await machine.start()
        assert caught.value.hint == "docker pull agentflow-none:1"
        await machine.aclose()


async def test_an_engine_on_another_machine_is_refused_where_its_containers_have_no_network(premises, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    async with premises("none") as context_of:
        machine = DockerMachine(DockerConfig(image="any:1"), context_of())
        with pytest.raises(SandboxError, match="runs on another machine") as caught:
            await machine.start()
        assert caught.value.code == "unsupported"
        assert "docker.network: bridge" in caught.value.hint
