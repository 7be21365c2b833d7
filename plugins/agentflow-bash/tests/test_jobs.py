"""Jobs beside the shell: started, read by cursors, talked to, signalled; with and without a terminal."""

from __future__ import annotations

import anyio
import pytest


async def test_a_job_is_a_copy_of_the_shell_and_is_read_by_cursors(shells):
    await shells.out("export E=1; plain=2; f() { echo f $E $plain $1; }; mkdir -p sub; cd sub")
    started = await shells.call(
        "start", command="f x; echo err >&2; pwd; read line; echo got $line; exit 3", ready_regex="sub"
    )
    assert started.ok, started.text
    assert (started.data["ready"], started.data["running"]) == (True, True)
    job_id, cursor = started.data["job_id"], started.data["next_cursor"]
    assert started.data["output"].startswith("f 1 2 x\nerr\n")
    assert (await shells.call("input", job_id=job_id, text="ü\n")).ok
    read = ""
    with anyio.fail_after(20):
        while True:
            more = await shells.call("output", job_id=job_id, cursor=cursor, wait_s=5)
            read, cursor = read + more.text, more.data["next_cursor"]
            if not more.data["running"]:
                break
    assert read.startswith("got ü")
    assert more.data["exit_code"] == 3
    again = await shells.call("output", job_id=job_id, cursor=0, max_bytes=4)
    assert (again.text, again.data["next_cursor"], again.data["more"]) == ("f 1 ", 4, True)
    assert await shells.out("echo $plain; jobs; wait; echo over") == "2\nover\n"


async def test_a_server_is_waited_for_by_its_port_and_outlives_timeouts_and_restarts(shells):
    if shells.kind == "none":
        pytest.skip("the port would be one of the whole machine")
    serve = 'python3 -c \'import socket; s = socket.create_server(("127.0.0.1", 8123))\nwhile True: s.accept()[0].send(b"hello")\''
    started = await shells.call("start", command=serve, name="server", ready_port=8123)
    assert started.data["ready"], started.text
    ask = "exec 3<>/dev/tcp/127.0.0.1/8123; head -c 5 <&3"
    assert await shells.out(ask) == "hello"
    await shells.run("sleep 60", timeout_s=1)
    await shells.call("restart")
    await shells.run("exit 3")
    assert await shells.out(ask) == "hello"
    await shells.call("signal", job_id="server", signal="KILL")
    await _ended(shells, "server")
    assert (await shells.call("output", job_id="server")).data["exit_code"] == 137
    assert (await shells.call("signal", job_id="server")).code == "conflict"


async def test_a_job_on_a_terminal(shells):
    command = "python3 -c 'import os, sys; print(os.isatty(0), os.get_terminal_size().columns); print(input(\"name? \").upper())'"
    started = await shells.call("start", command=command, pty=True, ready_regex=r"name\? ", ready_s=20)
    assert started.data["output"].startswith("True 80"), started.text
    await shells.call("input", job_id=started.data["job_id"], text="ann\n")
    with anyio.fail_after(20):
        while (ended := await shells.call("output", job_id=started.data["job_id"], wait_s=1)).data["running"]:
            pass
    assert "ANN" in ended.text
    assert ended.data["exit_code"] == 0


async def test_control_characters_are_keys_on_a_terminal(confined):
    started = await confined.call("start", command="echo ready; sleep 600", pty=True, ready_regex="ready")
    await confined.call("input", job_id=started.data["job_id"], text="\x03")
    with anyio.fail_after(20):
        while (ended := await confined.call("output", job_id=started.data["job_id"], wait_s=1)).data["running"]:
            pass
    assert ended.data["exit_code"] == 130


async def test_the_end_of_the_input_and_an_interrupt(confined):
    await confined.call("start", command="cat; echo end", name="cat")
    await confined.call("input", job_id="cat", text="one\n", end=True)
    await _ended(confined, "cat")
    assert (await confined.call("output", job_id="cat")).text == "one\nend\n[ended, exit code 0]"
    assert (await confined.call("input", job_id="cat", text="x")).code == "conflict"
    await confined.call(
        "start",
        command="trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done",
        name="i",
        ready_regex="ready",
    )
    await confined.call("signal", job_id="i", signal="INT")
    await _ended(confined, "i")
    assert (await confined.call("output", job_id="i")).text == "ready\ncaught\n[ended, exit code 5]"


async def _ended(shells, name: str) -> None:
    with anyio.fail_after(20):
        while (await shells.call("output", job_id=name, wait_s=1)).data["running"]:
            pass


async def test_only_the_latest_output_of_a_job_is_kept_and_the_rest_told(opened):
    async with opened(job_output_bytes=65536) as shells:
        await shells.call("start", command="seq 1 100000", name="long")
        await _ended(shells, "long")
        first = await shells.call("output", job_id="long")
        assert first.data["missed_bytes"] == 588_895 - 65536
        assert f"[{588_895 - 65536} bytes are not kept any more]" in first.text
        last = await shells.call("output", job_id="long", cursor=588_890)
        assert last.text.startswith("0000")
        found = await shells.call(
            "output", job_id="long", cursor=first.data["missed_bytes"], max_bytes=1 << 20, grep="^99.99$"
        )
        assert found.text.split("\n")[:2] == ["99099", "99199"]


async def test_what_a_job_wrote_before_its_end_is_there_when_it_has_ended(shells):
    for number in range(5):
        await shells.call("start", command="head -c 3000000 /dev/zero | tr '\\0' x; echo last", name=f"j{number}")
        await _ended(shells, f"j{number}")
        told = await shells.call("output", job_id=f"j{number}", cursor=2_999_990)
        assert told.text == "xxxxxxxxxxlast\n[ended, exit code 0]"


async def test_a_flood_of_output_costs_the_neighbours_little(confined):
    await confined.call("start", command="yes", name="flood")
    for _ in range(20):
        assert await confined.out("echo mine") == "mine\n"
    assert (await confined.call("output", job_id="flood", cursor=2, max_bytes=4)).ok
    assert (await confined.call("signal", job_id="flood", signal="KILL")).ok


async def test_a_job_that_does_not_become_ready_is_told_why(confined):
    ended = await confined.call("start", command="echo no luck; exit 4", ready_regex="never")
    assert (ended.code, ended.data["exit_code"]) == ("process_died", 4)
    assert "no luck" in ended.text
    waiting = await confined.call("start", command="echo still; sleep 600", ready_port=9, ready_s=1)
    assert (waiting.code, waiting.data["running"]) == ("timeout", True)


async def test_names_are_refused_that_are_taken_or_unknown(confined):
    await confined.call("start", command="sleep 600", name="one")
    assert (await confined.call("start", command="sleep 600", name="one")).code == "conflict"
    unknown = await confined.call("output", job_id="onne")
    assert (unknown.code, "one" in unknown.text) == ("not_found", True)
    assert (await confined.call("start", command="true", ready_regex="(")).code == "invalid_argument"


async def test_jobs_are_listed_and_those_that_have_ended_make_room(confined):
    for _ in range(70):
        await confined.call("start", command="true")
        await _ended(confined, str((await confined.call("jobs")).data["jobs"][-1]["number"]))
    listed = (await confined.call("jobs")).data["jobs"]
    assert len(listed) == 64
    assert listed[-1]["number"] == 70
