"""QEMU for real, with a guest of 512 bytes: display, keys, kept states, forks, and its death."""

from __future__ import annotations

import os
import signal
import string
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import evolve

from agentflow_core.errors import SandboxError
from agentflow_vm.image.images import Image
from agentflow_vm.keyboard import presses, stroke_of
from agentflow_vm.machines.qemu import QemuMachine
from agentflow_vm.machines.qemu_config import QemuConfig
from agentflow_vm.rfb.display import connected

pytestmark = [pytest.mark.usefixtures("qemu"), pytest.mark.timeout(120)]

#: What the BIOS has a key for.
TYPED = "".join(sorted(set(string.printable) - set(string.whitespace))) + " "


@pytest.fixture
def machine_of(premises, echo):
    """A machine that has begun: ``async with machine_of("bwrap") as machine``."""

    @asynccontextmanager
    async def opened(kind="bwrap", **settings):
        async with premises(kind) as context_of:
            config = QemuConfig(image=echo, memory_mb=64, cpus=1, accel="tcg", **settings)
            machine = QemuMachine(config, context_of("first"))
            machine.context_of = context_of
            await machine.start()
            try:
                await until(machine, lambda _, still: (still.width, still.height) == (720, 400))
                yield machine
            finally:
                await machine.aclose()

    return opened


async def until(machine, is_so):
    """Look at the machine until it is so: emulated, it takes its time and tells nobody."""
    with anyio.fail_after(60):
        while not is_so(said := await machine.console(), still := await machine.still()):  # noqa: ASYNC110 - an emulated machine tells nobody
            await anyio.sleep(0.02)
    return said, still


async def typed(machine, text):
    """Type over RFB, each character when the guest has said the one before: a BIOS that is emulated drops others."""
    before = len(await machine.console())
    async with connected(await machine.connect_display()) as display:
        for count, char in enumerate(text, 1):
            await display.keys(presses([stroke_of(char)]))
            with anyio.fail_after(60):
                while len(said := await machine.console()) < before + count:  # noqa: ASYNC110 - an emulated machine tells nobody
                    await anyio.sleep(0.02)
    return said[before:]


def rgb(frame):
    return b"".join(bytes(frame.pixels[at : at + 3]) for at in range(0, len(frame.pixels), 4))


async def begun(machine):
    """The guest takes keys, and all that were sent have arrived: before that the BIOS swallows some."""
    async with connected(await machine.connect_display()) as display:
        with anyio.fail_after(60):
            while not await machine.console():
                await display.keys(presses([stroke_of(".")]))
                await anyio.sleep(0.1)
            await display.keys(presses([stroke_of("/")]))
            while not (await machine.console()).endswith("/"):  # noqa: ASYNC110 - an emulated machine tells nobody
                await anyio.sleep(0.02)


async def test_every_printable_character_arrives(machine_of):
    async with machine_of() as machine:
        await begun(machine)
        assert await typed(machine, TYPED) == TYPED


async def test_a_machine_that_nothing_confines_works_the_same(machine_of):
    async with machine_of("none") as machine:
        await begun(machine)
        assert await typed(machine, "Abc") == "Abc"


async def test_a_kept_state_comes_back_with_what_was_on_the_screen(machine_of):
    async with machine_of() as machine:
        await begun(machine)
        await machine.snapshot("before")
        before = await machine.still()
        await typed(machine, "changed")
        assert (await machine.still()).rgb != before.rgb
        await machine.restore("before")
        assert (await machine.still()).rgb == before.rgb
        assert await typed(machine, "again") == "again"


async def test_a_state_kept_under_a_name_again_is_the_later_one(machine_of):
    async with machine_of() as machine:
        await begun(machine)
        await machine.snapshot("here")
        await typed(machine, "more")
        later = await machine.still()
        await machine.snapshot("here")
        await typed(machine, "and more")
        await machine.restore("here")
        assert (await machine.still()).rgb == later.rgb


async def test_a_state_that_nobody_kept_is_not_found_and_those_that_are_kept_are_named(machine_of):
    async with machine_of() as machine:
        await machine.snapshot("one")
        with pytest.raises(SandboxError, match="'two'; there are: one") as caught:
            await machine.restore("two")
        assert caught.value.code == "not_found"


async def test_a_fork_begins_where_its_parent_is_and_shares_nothing_with_it(machine_of):
    async with machine_of() as machine:
        await begun(machine)
        await machine.snapshot("mark")
        marked = await machine.still()
        await typed(machine, "parent")
        child = await machine.fork(machine.context_of("second"))
        try:
            assert (await child.still()).rgb == (await machine.still()).rgb
            assert await typed(child, "child") == "child"
            assert "child" not in await machine.console()
            assert await typed(machine, "still here") == "still here"
            await child.restore("mark")
            assert (await child.still()).rgb == marked.rgb
            assert (await machine.still()).rgb != marked.rgb
        finally:
            await child.aclose()


async def test_a_still_shows_what_rfb_shows(machine_of):
    async with machine_of() as machine, connected(await machine.connect_display()) as display:
        await begun(machine)
        still = await machine.still()
        with anyio.fail_after(30):
            while rgb(frame := await display.frame()) != still.rgb:  # noqa: ASYNC110 - an emulated machine tells nobody
                await anyio.sleep(0.05)
        assert (frame.width, frame.height) == (still.width, still.height)


async def test_a_machine_whose_process_is_killed_says_so(machine_of):
    async with machine_of() as machine:
        assert await machine.failure() is None
        os.kill(_process(machine), signal.SIGKILL)
        assert "it ended with code" in (await _failure(machine))
        with pytest.raises(SandboxError) as caught:
            await machine.still()
        assert caught.value.code == "session_lost"
        with pytest.raises(SandboxError) as caught:
            await machine.connect_display()
        assert caught.value.code == "session_lost"


async def _failure(machine):
    with anyio.fail_after(20):
        while (why := await machine.failure()) is None:  # noqa: ASYNC110 - an emulated machine tells nobody
            await anyio.sleep(0.02)
    return why


def _process(machine):
    """QEMU itself, which bubblewrap or the shell may stand around."""
    from agentflow_core.sandbox.launchers.processes import below

    for pid in below(machine.process):
        with open(f"/proc/{pid}/comm") as name:
            if name.read().startswith("qemu"):
                return pid
    raise AssertionError("no QEMU")


async def test_nothing_is_left_when_a_machine_is_closed(premises, echo):
    async with premises() as context_of:
        machine = QemuMachine(QemuConfig(image=echo, memory_mb=64, cpus=1, accel="tcg"), context_of())
        await machine.start()
        process, folder = _process(machine), machine.folder
        await machine.aclose()
        await machine.aclose()
        assert not folder.exists()
        assert not await anyio.Path(f"/proc/{process}").exists()


async def test_a_start_that_is_cancelled_leaves_nothing(premises, echo, tmp_path):
    async with premises() as context_of:
        for seconds in (0.0, 0.02, 0.05):
            machine = QemuMachine(QemuConfig(image=echo, memory_mb=64, cpus=1, accel="tcg"), context_of())
            with anyio.move_on_after(seconds):
                await machine.start()
            await machine.aclose()
        assert not list(tmp_path.glob("*/workspaces/*"))


async def test_a_disk_that_is_none_is_refused_with_what_qemu_says(premises, tmp_path):
    disk = tmp_path / "broken.qcow2"
    disk.write_bytes(b"QFI\xfb" + bytes(1000))
    async with premises() as context_of:
        with pytest.raises(SandboxError) as caught:
            await QemuMachine(QemuConfig(image=disk, accel="tcg"), context_of()).start()
    assert caught.value.code == "provider_unavailable"
    assert "broken.qcow2" in caught.value.message


async def test_qemu_that_cannot_start_says_why(premises, echo):
    async with premises() as context_of:
        config = QemuConfig(image=echo, memory_mb=64, cpus=1, accel="tcg", executable="qemu-img")
        with pytest.raises(SandboxError, match="QEMU could not start: it ended with code 1") as caught:
            await QemuMachine(config, context_of()).start()
    assert caught.value.code == "provider_unavailable"


async def test_a_program_that_is_missing_is_named_with_the_package_that_has_it(premises, echo):
    async with premises() as context_of:
        config = QemuConfig(image=echo, executable="qemu-system-none", accel="tcg")
        with pytest.raises(SandboxError, match="qemu-system-none") as caught:
            await QemuMachine(config, context_of()).start()
    assert "apt-get install qemu-system-x86" in caught.value.hint


async def test_apps_and_files_of_a_session_need_a_way_in(premises, echo):
    async with premises() as context_of:
        context = evolve(context_of(), settings={"apps": ["xterm"]})
        machine = QemuMachine(QemuConfig(image=echo, memory_mb=64, cpus=1, accel="tcg"), context)
        await machine.start()
        try:
            with pytest.raises(SandboxError, match="way into the machine"):
                await machine.begin()
        finally:
            await machine.aclose()


async def test_a_state_that_this_qemu_cannot_go_on_from_is_told_with_what_to_do(premises, echo, machine_of, tmp_path):
    state = tmp_path / "state.qcow2"
    async with machine_of() as machine:
        await machine.keep("ready", state)
    state.chmod(0o644)
    image = Image(
        folder=tmp_path,
        base=echo,
        format="raw",
        memory_mb=128,  # it was made with another amount
        cpus=1,
        guest_agent=False,
        state=state,
        accel="tcg",
        qemu="1.0",
    )
    async with premises() as context_of:
        with pytest.raises(SandboxError, match="QEMU could not start: it ended with code 1") as caught:
            await QemuMachine(QemuConfig(accel="tcg"), context_of(), image=image).start()
    assert caught.value.code == "provider_unavailable"
    assert "build-image" in caught.value.hint


async def test_a_session_goes_on_from_the_kept_state_of_its_image(premises, echo, machine_of, tmp_path):
    state = tmp_path / "state.qcow2"
    async with machine_of() as machine:
        await begun(machine)
        await typed(machine, "before")
        shown = await machine.still()
        await machine.keep("ready", state)
    state.chmod(0o644)
    made = {"folder": tmp_path, "base": echo, "format": "raw", "memory_mb": 64, "cpus": 1, "guest_agent": False}
    image = Image(**made, state=state, accel="tcg", width=1280, height=800)
    (tmp_path / "image.json").write_text(image.written())
    async with premises() as context_of:
        machine = QemuMachine(QemuConfig(image=tmp_path, accel="auto"), context_of())
        await machine.start()
        try:
            assert (await machine.still()).rgb == shown.rgb
            assert await typed(machine, "after") == "after"
        finally:
            await machine.aclose()
