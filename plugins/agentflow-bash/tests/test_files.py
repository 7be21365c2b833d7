"""The tools for files: confined to the workspace, atomic, exact; and the files that clients read and write."""

from __future__ import annotations

import os
import stat

import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import beneath
from agentflow_core.sandbox.beneath import Beneath


async def test_files_are_written_read_and_seen_by_commands(shells):
    written = await shells.call("write_file", path="a/b/ü.txt", content="one\ntwo ü\r\nthree")
    assert written.data == {"path": "a/b/ü.txt", "size_bytes": 17}
    assert (
        await shells.out("cat a/b/ü.txt; [[ -O a/b/ü.txt && -O a && -w a ]] && echo ' mine'")
        == "one\ntwo ü\r\nthree mine\n"
    )
    whole = await shells.call("read_file", path="a/b/ü.txt")
    assert (whole.text, whole.data["count"], whole.data["next"]) == ("one\ntwo ü\r\nthree", 3, None)
    part = await shells.call("read_file", path="./a/../a/b/ü.txt", line=2, lines=1)
    assert (part.text, part.data["first"], part.data["next"]) == ("two ü\r\n", 2, 3)
    span = await shells.call("read_file", path="a/b/ü.txt", offset=4, length=3)
    assert (span.text, span.data["next"]) == ("two", 7)
    assert (await shells.call("read_file", path="a/b/ü.txt", line=4)).code == "invalid_argument"
    workspace = await shells.out("printf %s ~")
    assert (await shells.call("read_file", path=f"{workspace}/a/b/ü.txt")).text == whole.text


async def test_what_is_no_text_is_said_to_be(confined):
    await confined.out(
        "printf 'a\\xff\\0b' > bytes; printf '\\033[1mx' > color; : > empty; head -c 3000000 /dev/zero > long"
    )
    bad = await confined.call("read_file", path="bytes")
    assert (bad.text, bad.data["is_exact"]) == ("a\ufffd\0b", False)
    assert (await confined.call("read_file", path="color")).data["is_exact"] is False
    empty = await confined.call("read_file", path="empty")
    assert (empty.ok, empty.data["count"], empty.data["next"]) == (True, 0, None)
    assert (await confined.call("read_file", path="long")).data["is_cut"] is True


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "out", "up", "far/passwd", "magic", "pipe", "sub", "a\0b", "socket", "loop", "missing/x"],
)
@pytest.mark.parametrize("tool", ["read_file", "write_file"])
async def test_nothing_outside_of_the_workspace_is_opened(confined, tool, path):
    await confined.out(
        "ln -s /etc/passwd out; ln -s ../../../../../../etc/passwd up; ln -s /etc far; ln -s /proc/self/root/etc/passwd magic;"
        " mkfifo pipe; mkdir sub; ln -s loop loop; /usr/bin/python3 -c 'import socket; socket.socket(1).bind(\"socket\")'"
    )
    params = {"content": "evil"} if tool == "write_file" else {}
    result = await confined.call(tool, path=path, **params)
    if path == "missing/x":
        assert result.code == ("ok" if tool == "write_file" else "not_found")
    else:
        assert result.code == "invalid_argument", result.text
        assert "path" in result.message


async def test_links_within_are_followed_and_kept(confined):
    await confined.out(
        "mkdir sub; echo old > sub/file; ln -s sub/file link; ln -s ~/sub/file absolute; chmod 750 sub/file"
    )
    assert (await confined.call("read_file", path="link")).text == "old\n"
    assert (await confined.call("write_file", path="link", content="new\n")).ok
    assert (await confined.call("write_file", path="absolute", content="newer\n")).ok
    assert await confined.out(
        "readlink link 2>/dev/null || ls -l link | tail -c 9; cat sub/file; stat -c %a sub/file"
    ) == ("sub/file\nnewer\n750\n")


async def test_a_file_is_replaced_whole_while_others_read_it(confined):
    await confined.call("write_file", path="file", content="a" * 100_000)
    await confined.out(
        "(while [ ! -e stop ]; do x=$(cat file); case $x in *a*b*|*b*a*) echo mixed > bad;; esac; done) &> /dev/null & true"
    )
    for number in range(30):
        assert (await confined.call("write_file", path="file", content="ab"[number % 2] * 100_000)).ok
    assert await confined.out("touch stop; ls bad 2>/dev/null; ls -A | grep -c '^[.]file'") == "0\n"


async def test_an_edit_wants_the_text_once_or_as_often_as_is_said(confined):
    await confined.call("write_file", path="f", content="one\r\ntwo\r\none\r\n")
    twice = await confined.call("edit_file", path="f", old="one", new="1")
    assert (twice.code, "2 times" in twice.message, "1, 3" in twice.message) == ("conflict", True, True)
    assert (await confined.call("edit_file", path="f", old="one", new="1", count=3)).code == "conflict"
    both = await confined.call("edit_file", path="f", old="one", new="1\n1", count=2)
    assert (both.data["replaced"], both.data["lines"]) == (2, [1, 4])
    assert (await confined.call("edit_file", path="f", old="two\r\n", new="")).ok
    assert await confined.out("cat f") == "1\n1\r\n1\n1\r\n"
    near = await confined.call("edit_file", path="f", old="11", new="")
    assert near.code == "not_found"
    await confined.out("printf 'caf\\xe9 one\\n' > latin")
    assert (await confined.call("edit_file", path="latin", old="one", new="two")).ok
    assert await confined.out("od -c latin 2>/dev/null | head -1 || true; LC_ALL=C wc -c < latin") == (
        "0000000   c   a   f 351       t   w   o  \\n\n9\n"
    )


async def test_a_failed_edit_says_what_comes_close(confined):
    await confined.call("write_file", path="f.py", content="def first():\n    return compute(1)\n")
    close = await confined.call("edit_file", path="f.py", old="    return computes(1)", new="x")
    assert "line 2" in close.hint
    assert "other spaces" in (await confined.call("edit_file", path="f.py", old="def  first():", new="x")).hint


async def test_files_are_listed_found_and_searched(shells):
    for path, text in (
        ("src/a.py", "import os\n\ndef f():\n    return 1\n"),
        ("src/deep/b.py", "def g(): pass\n"),
        ("README.md", "def\n"),
        (".hidden/c.py", "def h(): pass\n"),
    ):
        await shells.call("write_file", path=path, content=text)
    await shells.out("ln -s /etc outside; ln -s src link; printf 'def\\0' > binary")
    listed = await shells.call("list_files", depth=2)
    assert (
        listed.text
        == "README.md  (4 bytes)\nbinary  (4 bytes)\nlink -> src\noutside -> /etc\nsrc/\nsrc/a.py  (33 bytes)\nsrc/deep/"
    )
    assert ".hidden/" in (await shells.call("list_files", hidden=True)).text
    assert (await shells.call("list_files", limit=1)).data["truncated"]
    assert (await shells.call("glob", pattern="**/*.py")).data["paths"] == ["src/a.py", "src/deep/b.py"]
    assert (await shells.call("glob", pattern="*.{py,md}")).data["paths"] == ["README.md"]
    assert (await shells.call("glob", pattern="[a-b].py", path="src")).data["paths"] == ["src/a.py"]
    found = await shells.call("grep", pattern=r"def \w", include="*.py", path="src", context=1)
    assert (
        found.text
        == "src/a.py:2-\nsrc/a.py:3:def f():\nsrc/a.py:4-    return 1\nsrc/deep/b.py:1:def g(): pass\nsrc/deep/b.py:2-"
    )
    assert (await shells.call("grep", pattern="DEF$", ignore_case=True)).data["matches"] == [
        {"path": "README.md", "line": 1, "text": "def"}
    ]
    assert (await shells.call("grep", pattern="def", limit=1)).data["truncated"]
    assert (await shells.call("grep", pattern="os", path="src/a.py")).data["files_searched"] == 1
    for tool, params in (
        ("list_files", {"path": "none"}),
        ("grep", {"pattern": "x", "path": "outside"}),
        ("glob", {"pattern": "*", "path": "../"}),
    ):
        assert (await shells.call(tool, **params)).code in ("not_found", "invalid_argument")


async def test_a_pattern_that_takes_for_ever_is_given_up(confined):
    await confined.call("write_file", path="a", content="a" * 5000 + "!\n")
    result = await confined.call("grep", pattern="(a|aa)+$")
    assert result.code == "timeout"


async def test_there_is_no_writing_beyond_the_limit(opened):
    from agentflow_bash.conformance import SMALL

    async with opened(limits=SMALL) as shells:
        await shells.out("true")
        assert (await shells.call("write_file", path="big", content="x" * 8_000_000)).ok
        session = (await shells.sandbox.list_sessions())[0].id
        with pytest.raises(SandboxError) as caught:
            await shells.sandbox.write_file(session, "bigger", bytes(20_000_000))
        assert caught.value.code == "disk_limit"


async def test_clients_read_and_write_files_of_a_session(shells):
    await shells.out("true")
    session = (await shells.sandbox.list_sessions())[0].id
    data = bytes(range(256)) * 1000
    await shells.sandbox.write_file(session, "up/data.bin", data)
    assert await shells.out("wc -c < up/data.bin") == "256000\n"
    found = await shells.sandbox.read_file(session, "up/data.bin", 10, 20)
    assert found == data[10:20]
    assert await shells.sandbox.read_file(session, "up/data.bin") == data
    for path, code in (("none", "not_found"), ("up", "invalid_argument"), ("../x", "invalid_argument")):
        with pytest.raises(SandboxError) as caught:
            await shells.sandbox.read_file(session, path)
        assert caught.value.code == code


def test_a_folder_that_is_exchanged_for_a_link_meanwhile_leads_nowhere(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "root").mkdir()
    root = Beneath(tmp_path / "root", shown="/workspace", uid=None)
    (tmp_path / "root" / "way").symlink_to(tmp_path / "secret")
    for path in ("way/file", "/workspace/way/file"):
        with pytest.raises(SandboxError) as caught:
            root.write(path, b"evil")
        assert caught.value.code == "invalid_argument"
    assert not list((tmp_path / "secret").iterdir())
    root.write("plain", b"x")
    assert stat.S_IMODE(os.stat(tmp_path / "root" / "plain").st_mode) == 0o644
    assert root.kind("way") == ""
    root.close()


def test_without_openat2_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(beneath, "_OPENAT2", 0x7FFFFFFF)
    assert not beneath.is_supported()
    with pytest.raises(SandboxError) as caught:
        Beneath(tmp_path, shown="/workspace", uid=None)
    assert caught.value.code == "unsupported"
