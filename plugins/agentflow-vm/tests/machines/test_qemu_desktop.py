"""The Debian desktop that ``build-image`` makes, through the tools of ``vm``: it goes on from its kept state."""

from __future__ import annotations

import string
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig
from agentflow_vm.image.images import Image, images_folder
from agentflow_vm.machines.qemu import QemuMachine
from agentflow_vm.machines.qemu_config import QemuConfig

pytestmark = [pytest.mark.usefixtures("qemu"), pytest.mark.timeout(1800)]

#: A window with a text field; what is in it stands in a file.
FIELD = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
window, entry = Gtk.Window(title="field"), Gtk.Entry()
entry.connect("changed", lambda entry: open("field.txt", "w").write(entry.get_text()))
window.add(entry)
window.show_all()
open("field.txt", "w").close()
Gtk.main()
"""
ASCII = "".join(char for char in string.printable if char not in string.whitespace) + " "


@pytest.fixture
def desktop(tmp_path, images):
    """A sandbox with a session on the machine: ``async with desktop() as call``."""

    @asynccontextmanager
    async def opened(programs=None, **session):
        config = VmConfig(machine="qemu", qemu=QemuConfig() if programs is None else QemuConfig(programs=programs))
        settings = SandboxConfig(state_dir=tmp_path / "state", launcher=LauncherConfig())
        catalog = Catalog.of(vm=lambda: VmBackend(config))
        async with Sandbox(catalog=catalog, config=settings) as sandbox:
            made = await sandbox.create_session({"vm": session})

            async def call(tool, *, session=made["vm"].id, **params):
                result = await sandbox.execute(f"vm:{tool}", params, session=session, timeout_s=120)
                assert result.ok, result.text
                return result

            call.sandbox, call.session = sandbox, made["vm"].id
            yield call

    return opened


async def has(call, path, text, **session):
    """Wait until a file of the machine holds a text."""
    with anyio.fail_after(90):
        while (await call("exec", command=f"cat {path}", **session)).data["stdout"] != text:  # noqa: ASYNC110 - an emulated machine tells nobody
            await anyio.sleep(0.2)


async def test_a_session_goes_on_from_the_kept_desktop_and_shows_it(desktop):
    async with desktop() as call:
        shot = await call("screenshot")
        assert shot.data["screen"] == [1280, 800]
        ran = await call("exec", command="id -un; echo $DISPLAY; exit 3")
        assert ran.data["stdout"] == "agent\n:0\n"
        assert ran.data["exit_code"] == 3


async def test_programs_are_started_by_the_names_of_the_machine(desktop):
    async with desktop(programs={"notes": "xterm -T notes -e cat"}) as call:
        started = await call("launch", program="notes", timeout_s=90)
        assert started.data["windows"] == 1
        assert [each["title"] for each in (await call("windows")).data["windows"]] == ["notes"]
        unknown = await call.sandbox.execute("vm:launch", {"program": "terminal"}, session=call.session)
        assert (unknown.code, unknown.hint) == ("not_found", "names that are configured: notes")


async def test_typed_text_is_what_a_program_receives(desktop):
    async with desktop(files={"field.py": FIELD}, apps=["python3 field.py"]) as call:
        with anyio.fail_after(90):
            while not any(  # noqa: ASYNC110 - an emulated machine tells nobody
                each["title"] == "field" and each["active"] for each in (await call("windows")).data["windows"]
            ):
                await anyio.sleep(0.2)
        await call("wait", until="stable")
        for text in (ASCII, "é", "漢", "😀"):
            await call("wait", until="stable")
            await call("key", keys=["ctrl+a", "Delete"])
            await has(call, "field.txt", "")
            await call("type", text=text)
            await has(call, "field.txt", text)


async def test_a_kept_state_comes_back_with_its_files_and_programs(desktop):
    async with desktop() as call:
        await call("exec", command="echo before > state.txt")
        await call("snapshot", name="before")
        await call("exec", command="echo after > state.txt; sleep 600 > /dev/null 2>&1 &")
        await call("restore", name="before")
        ran = await call("exec", command="cat state.txt; pgrep -x sleep")
        assert ran.data["stdout"] == "before\n"
        await call("screenshot")


async def test_a_fork_has_the_files_and_shares_nothing(desktop):
    async with desktop() as call:
        await call("exec", command="echo shared > file.txt")
        child = (await call.sandbox.fork(call.session)).id
        await call("exec", command="echo child >> file.txt", session=child)
        await call("exec", command="echo parent >> file.txt")
        assert (await call("exec", command="cat file.txt", session=child)).data["stdout"] == "shared\nchild\n"
        assert (await call("exec", command="cat file.txt")).data["stdout"] == "shared\nparent\n"
        await call("screenshot", session=child)


async def test_a_clock_goes_right_after_a_start_a_restore_and_a_fork(premises, images):
    async def behind(machine):
        ran = await machine.guest.run(("date", "+%s"), timeout_s=60)
        return abs(time.time() - int(ran.stdout))

    async with premises() as context_of, AsyncExitStack() as stack:
        machine = QemuMachine(QemuConfig(), context_of("first"))
        await machine.start()
        stack.push_async_callback(machine.aclose)
        assert await behind(machine) < 120
        await machine.as_root("date -s @1000000000")
        assert await behind(machine) > 120
        await machine.snapshot("past")
        assert await behind(machine) < 120
        await machine.restore("past")
        assert await behind(machine) < 120
        await machine.as_root("date -s @1000000000")
        child = await machine.fork(context_of("child"))
        stack.push_async_callback(child.aclose)
        assert await behind(child) < 120
        assert await behind(machine) < 120


async def test_files_of_the_machine_are_read_and_written_in_parts(desktop):
    async with desktop() as call:
        data = bytes(range(256)) * 40_000
        await call.sandbox.write_file(call.session, "a folder/data.bin", data)
        assert await call.sandbox.read_file(call.session, "a folder/data.bin") == data
        assert await call.sandbox.read_file(call.session, "a folder/data.bin", 1000, 1010) == data[1000:1010]


async def test_a_program_whose_time_is_over_is_killed_with_what_it_started(desktop):
    async with desktop() as call:
        # a machine whose code is not translated yet takes seconds to begin
        params = {"command": "echo begun; sleep 500 & sleep 500", "timeout_s": 15.0}
        ran = await call.sandbox.execute("vm:exec", params, session=call.session)
        assert ran.code == "timeout"
        assert ran.data["stdout"] == "begun\n"
        assert (await call("exec", command="pgrep -x sleep; true")).data["stdout"] == ""


def test_an_image_that_stands_is_not_built_again(images):
    (folder, *_) = sorted(images.glob("desktop-*"))
    image = Image.read(folder)
    ran = subprocess.run(
        [sys.executable, "-m", "agentflow_vm", "build-image", "--folder", images, "--accel", image.accel],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "it stands already" in ran.stdout


@pytest.mark.soak
def test_an_image_is_built_from_nothing(tmp_path):
    command = [sys.executable, "-m", "agentflow_vm", "build-image", "--folder", tmp_path]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (folder,) = tmp_path.glob("desktop-*")
    assert Image.read(folder).state is not None
    assert not list(folder.glob("part-*"))


def test_images_stand_where_the_variable_says():
    assert images_folder({"AGENTFLOW_VM_IMAGES": "/images"}) == Path("/images")
    assert images_folder({"AGENTFLOW_STATE": "/state"}) == Path("/state/vm-images")
