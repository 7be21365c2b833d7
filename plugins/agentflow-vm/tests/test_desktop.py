"""Desktops on a real Xvnc: what applications receive is what was typed, and what goes wrong is said."""

from __future__ import annotations

import io
from pathlib import Path

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.records.results import ImageContent
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig

PAD = (Path(__file__).parent / "pad.py").read_text()
ASCII = "".join(map(chr, range(32, 127)))
#: Far more characters than an X server has keys to spare.
MANY = "".join(chr(0x4E00 + number) for number in range(60))


@pytest.fixture
def pad(desktop, gtk):
    """A desktop with a text field that fills the screen and writes what it receives to ``received``."""
    return lambda **settings: desktop(
        apps=("/usr/bin/python3 pad.py",), files={"pad.py": PAD}, width=640, height=480, **settings
    )


def picture(result):
    from PIL import Image

    (data,) = [part.data for part in result.content if isinstance(part, ImageContent)]
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("method", ["keys", "paste"])
async def test_typed_text_equals_what_the_application_receives(pad, method):
    text = f"{ASCII}\né漢😀 ß→Ω\tend{ASCII[::-1]}"
    async with pad() as it:
        result = await it.done("type", text=text, method=method)
        assert result.data["method_used"] == method
        assert await it.until("cat received", text) == text


async def test_more_characters_than_the_keyboard_has_keys_are_typed(pad):
    async with pad() as it:
        await it.done("type", text=MANY)
        assert await it.until("cat received", MANY) == MANY


async def test_a_terminal_receives_what_is_typed(desktop):
    async with desktop() as it:
        await it.done("launch", program="xterm -e sh -c 'cat > received'")
        await it.done("type", text=f"{ASCII}\né\n")
        assert await it.until("cat received", f"{ASCII}\né\n") == f"{ASCII}\né\n"


async def test_keys_work_together(pad):
    async with pad() as it:
        await it.done("type", text="one two")
        await it.done("key", keys=["ctrl+a", "ctrl+c", "End", "ctrl+v"])
        assert await it.until("cat received", "one twoone two") == "one twoone two"
        assert (await it.done("clipboard")).data["text"] == "one two"
        await it.done("key", keys="shift+Home")
        await it.done("key", keys="BackSpace", repeat=2)
        assert await it.until("cat received; test -f received", "") == ""


async def test_the_clipboard_is_shared(pad):
    async with pad() as it:
        await it.done("clipboard", text="für 漢 😀")
        await it.done("key", keys="ctrl+v")
        assert await it.until("cat received", "für 漢 😀") == "für 漢 😀"


async def test_clicks_drags_and_wheels_reach_the_application(pad):
    async with pad() as it:
        await it.done("type", text="alpha beta gamma")
        await it.done("click", x=9, y=30, count=2)  # selects a word
        await it.done("type", text="omega")
        assert await it.until("cat received", "omega beta gamma") == "omega beta gamma"
        await it.done("drag", path=[[1, 30], [300, 31]])
        await it.done("type", text="x")
        assert await it.until("cat received", "x") == "x"
        for tool, more in (("click", {"button": "right"}), ("scroll", {"dy": 2, "dx": -1}), ("move", {})):
            await it.done(tool, x=200, y=200, **more)
        told = "button 1\nbutton 3\nwheel 5\nwheel 6\n"
        assert await it.until("grep -xE 'button [13]|wheel [56]' events | sort -u", told) == told


async def test_modifiers_are_let_go_after_a_click(pad):
    async with pad() as it:
        await it.done("click", x=50, y=100, modifiers=["ctrl", "shift"])
        await it.done("type", text="plain")
        assert await it.until("cat received", "plain") == "plain"


async def test_a_button_can_be_held_over_several_calls(pad):
    async with pad() as it:
        await it.done("type", text="some text")
        await it.done("click", x=1, y=30, press="down")
        await it.done("move", x=400, y=31)
        await it.done("click", x=400, y=31, press="up")
        await it.done("key", keys="Delete")
        assert await it.until("cat received; test -f received", "") == ""


async def test_screenshots_show_what_is_there_and_know_when_nothing_changed(pad):
    async with pad() as it:
        first = await it.done("screenshot")
        assert picture(first).size == (640, 480)
        while (again := await it.done("screenshot")).data["changed_since"]:
            first = again  # it still starts
        assert (again.data["frame_id"], again.data["changed_since"]) == (first.data["frame_id"], False)
        typed = await it.done("type", text="W" * 20, observe=True)
        assert typed.data["changed"]
        assert picture(typed).tobytes() != picture(first).tobytes()
        part = await it.done("screenshot", region=[10, 20, 100, 50])
        assert picture(part).size == (100, 50)
        assert picture(await it.done("screenshot", scale=0.5)).size == (320, 240)
        assert picture(await it.done("zoom", region=[0, 0, 100, 50])).size == (400, 200)
        stable = await it.done("wait", until="stable")
        assert stable.data["waited_ms"] >= 100


async def test_a_screen_that_does_not_change_is_waited_for_in_vain(desktop):
    async with desktop() as it:
        result = await it.done("wait", until="change", timeout_s=0.2, region=[0, 0, 10, 10])
        assert not result.data["changed"]
        assert "did not change" in result.text


@pytest.mark.parametrize(
    ("tool", "params", "said"),
    [
        ("click", {"x": 640, "y": 3}, "(640, 3) is off the screen, which is 640x480"),
        ("click", {"x": -1, "y": 3}, "off the screen"),
        ("move", {"x": 1, "y": 480}, "off the screen"),
        ("scroll", {"x": 1, "y": 99999}, "off the screen"),
        ("drag", {"path": [[1, 1], [641, 1]]}, "path[1] (641, 1) is off the screen"),
        ("screenshot", {"region": [600, 400, 100, 10]}, "is not on the screen"),
        ("zoom", {"region": [0, 0, 0, 0]}, "is not on the screen"),
        ("key", {"keys": "ctrl+shft+x"}, "no key is called 'shft'; did you mean 'shift'?"),
        ("key", {"keys": ["a", "hyper"]}, "no key is called 'hyper'"),
        ("type", {"text": "a\x1bb"}, "U+001B"),
        ("launch", {"program": "xterm 'a"}, "program"),
        ("actions", {"steps": [{"tool": "fly"}]}, "step 0 of 1: no tool is 'fly'"),
        ("actions", {"steps": [{"tool": "move", "x": 1, "y": 1}, {"tool": "click", "x": 1}]}, "step 1 of 2"),
        ("actions", {"steps": [{"tool": "actions", "steps": []}]}, "no tool is 'actions'"),
        ("actions", {"steps": [{"tool": "move", "x": 1, "y": 1}] * 21}, "steps"),
    ],
)
async def test_what_cannot_be_done_is_said(desktop, tool, params, said):
    async with desktop(width=640, height=480) as it:
        result = await it.call(tool, **params)
        assert (result.ok, result.code) == (False, "invalid_argument")
        assert said in result.message


async def test_a_program_that_is_not_there_is_not_found(desktop):
    async with desktop() as it:
        result = await it.call("launch", program="no-such-program")
        assert (result.code, "no-such-program" in result.message) == ("not_found", True)
        assert result.hint == "names that are configured: terminal"
    async with desktop(xvnc={"programs": {}}) as it:
        result = await it.call("launch", program="terminal")
        assert result.code == "not_found"
        assert result.hint == "names that are configured: none; they are set by xvnc.programs"


async def test_a_program_is_started_by_its_name_or_by_a_command_line(desktop):
    async with desktop(xvnc={"programs": {"notes": "xterm -T notes"}}, apps=("notes",)) as it:
        for program in ("notes", "xterm -T 'other notes'"):
            await it.done("launch", program=program)
        titles = [each["title"] for each in (await it.done("windows")).data["windows"]]
        assert sorted(titles) == ["notes", "notes", "other notes"]


async def test_a_program_does_not_wait_long_for_a_window_manager_that_is_busy(desktop):
    begin = "xterm -e sh -c 'echo {} >> order; sleep 60' &"
    async with desktop() as it:
        patient, soon = f"env -u XENVIRONMENT {begin.format('patient')}", begin.format("soon")
        await it.done("exec", command=f"kill -STOP $(pidof openbox); {patient} {soon}")
        assert await it.until("cat order", "soon\npatient\n") == "soon\npatient\n"


async def test_steps_are_done_in_turn(pad):
    async with pad() as it:
        steps = [
            {"tool": "vm:type", "text": "ab"},
            {"tool": "key", "keys": "Left"},
            {"tool": "type", "text": "-"},
            {"tool": "screenshot"},
        ]
        result = await it.done("actions", steps=steps, observe=True)
        assert result.data == {"done": 4}
        assert len([part for part in result.content if part.type == "image"]) == 2
        assert await it.until("cat received", "a-b") == "a-b"


async def test_windows_are_listed(desktop):
    async with desktop(apps=("xterm -T first",)) as it:
        await it.done("launch", program="xterm -T second")
        windows = (await it.done("windows")).data["windows"]
        assert [(each["title"], each["active"]) for each in windows] == [("first", False), ("second", True)]
        assert all(each["width"] > 100 and each["app"] == "XTerm" for each in windows)


async def test_commands_run_beside_the_screen(desktop):
    async with desktop() as it:
        result = await it.done("exec", command="echo out; echo err >&2; exit 3")
        assert result.data | {"exit_code": 3, "stdout": "out\n", "stderr": "err\n"} == result.data
        late = await it.call("exec", command="sleep 60 & sleep 60", timeout_s=0.3)
        assert (late.code, late.data["timed_out"]) == ("timeout", True)
        left = await it.done("exec", command="sleep 60 & echo left")
        assert left.data["stdout"] == "left\n"
        assert (await it.done("exec", command="yes | head -c 5000000")).data["omitted_bytes"] > 3_000_000


async def test_nothing_listens_on_a_network(desktop):
    async with desktop() as it:
        tables = await it.out("cat /proc/net/tcp /proc/net/tcp6")
        assert not [line for line in tables.splitlines() if " 0A " in line]


async def test_nobody_gets_at_the_screen_without_its_cookie(desktop):
    async with desktop() as it:
        assert await it.out("XAUTHORITY=/dev/null xterm -e true 2>&1 | grep -ci authorization") == "1\n"


async def test_a_recording_holds_what_changed(pad):
    async with pad() as it:
        await it.done("record", action="start", fps=20)
        assert (await it.call("record", action="start")).code == "conflict"
        await it.done("type", text="W" * 30)
        result = await it.done("record", action="stop")
        assert result.data["frames"] >= 2
        assert picture(result).n_frames == result.data["frames"]
        assert (await it.call("record", action="stop")).code == "conflict"


async def test_a_recording_that_is_stopped_at_once_has_a_picture(desktop):
    async with desktop() as it:
        await it.done("record", action="start")
        assert (await it.done("record", action="stop")).data["frames"] == 1


@pytest.mark.parametrize(
    ("tool", "params"), [("screenshot", {}), ("click", {"x": 1, "y": 1}), ("type", {"text": "x"}), ("wait", {})]
)
async def test_a_dead_display_is_said_to_be_dead(desktop, tool, params):
    async with desktop(apps=("terminal",)) as it:
        result = await it.call("exec", command="kill -9 $(pidof Xtigervnc)")
        with anyio.fail_after(30):
            # it takes its time to die, and its supervisor to say so; on a busy machine it is dead before this is answered
            while result.ok or result.code == "display_error":
                result = await it.call(tool, **params)
        assert result.code == "session_lost", result.text
        assert "the X server ended" in result.message


async def test_a_frozen_display_is_no_hang(desktop):
    async with desktop(apps=("terminal",), settle_s=0.3) as it:
        await it.done("exec", command="kill -STOP $(pidof Xtigervnc)")
        result = await it.done("click", x=1, y=1)
        assert not result.data["changed"]
        await it.done("exec", command="kill -CONT $(pidof Xtigervnc)")
        assert (await it.call("screenshot")).ok


async def test_what_the_machine_lacks_is_unsupported(desktop):
    async with desktop() as it:
        for tool in ("snapshot", "restore"):
            assert (await it.call(tool)).code == "unsupported"


async def test_files_are_read_and_written(desktop):
    async with desktop(files={"notes/a.txt": "grün"}) as it:
        session = (await it.sandbox.list_sessions())[0].id
        assert await it.out("cat notes/a.txt") == "grün"
        await it.sandbox.write_file(session, "new.bin", b"\0\1")
        assert await it.sandbox.read_file(session, "new.bin") == b"\0\1"
        assert await it.out("od -An -tx1 new.bin") == " 00 01\n"


async def test_probes_see_the_end_of_a_task(desktop):
    async with desktop(apps=("xterm -T tests",), files={"a.txt": "text\n"}) as it:
        await it.done("clipboard", text="copied")
        probes = ["file:a.txt", "file:none", "exists:a.txt", "exists:none", "exists:.config", "clipboard", "windows"]
        probes.append("exec:echo hi")
        told = await it.call("observe_end", probes=probes)
        assert told.data["observed"] == dict(
            zip(probes, ["text\n", None, True, False, True, "copied", ["tests"], "hi"], strict=True)
        )
        wrong = await it.call("observe_end", probes=["files:a.txt"])
        assert (wrong.code, "file:PATH" in wrong.hint) == ("invalid_argument", True)


@pytest.mark.parametrize("settings", [{"app": []}, {"apps": "xterm"}, {"files": {"../x": ""}}, {"files": {"a": 1}}])
async def test_wrong_settings_of_a_session_are_refused(xvnc, tmp_path, settings):
    catalog = Catalog.of(vm=lambda: VmBackend(VmConfig()))
    async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=tmp_path)) as sandbox:
        with pytest.raises(SandboxError) as caught:
            await sandbox.create_session({"vm": settings})
        assert caught.value.code == "invalid_argument"


async def test_an_application_that_does_not_start_ends_the_session_with_its_name(xvnc, tmp_path):
    catalog = Catalog.of(vm=lambda: VmBackend(VmConfig()))
    async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=tmp_path)) as sandbox:
        with pytest.raises(SandboxError, match="no-such-app"):
            await sandbox.create_session({"vm": {"apps": ["no-such-app"]}})
        assert not await sandbox.list_sessions()
