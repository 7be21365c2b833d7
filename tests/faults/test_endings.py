"""A server is asked to end while calls run, and while cleanups fail, hang, or do not let themselves be cancelled."""

from __future__ import annotations

import signal

import anyio
import pytest

from agentflow_core.sandbox.wire import decode_result


async def _calls_in_sessions(caller, meeting, tasks, answers, count):
    """Start calls, each in a session of its own, and wait until all of them run."""

    async def call(worker):
        answers.append(await caller.execute("hut:count", {"port": meeting.port}, worker_id=worker))

    for number in range(count):
        tasks.start_soon(call, f"w{number}")
    await meeting.wait_for(count)


@pytest.mark.serial
async def test_a_signal_during_fifty_calls_lets_them_end_and_nothing_new_begin(site, bwrap, meeting):
    server = site.serve(kind=bwrap)
    answers = []
    async with server.caller() as caller:
        for number in range(5):
            await caller.opened("den", f"d{number}")
        async with anyio.create_task_group() as tasks:
            await _calls_in_sessions(caller, meeting, tasks, answers, 50)
            server.signal(signal.SIGTERM)
            await caller.until_status(503)
            refused = [
                await caller.execute("hut:count", worker_id="w0"),
                await caller.execute("den:echo", worker_id="d0"),
                await caller.execute("probe:echo"),
                await caller.create("hut", "new"),
                await caller.post("/v1/execute/batch", json={"calls": [{"tool": "probe:echo"}]}),
            ]
            assert len(await caller.sessions()) == 55
            assert answers == []
            await meeting.let_go()
    assert [decode_result(one.content).data for one in answers] == [1] * 50
    assert {(one.status_code, decode_result(one.content).code) for one in refused} == {(503, "not_ready")}
    assert {one.headers["retry-after"] for one in refused} == {"1"}
    assert await server.ended() == 0
    await site.nothing_is_left()
    assert server.log.read_text() == ""
    assert site.serve(port=server.port).url == server.url


@pytest.mark.serial
async def test_a_second_signal_cancels_calls_answers_them_and_cleans_up(site, bwrap, meeting):
    server = site.serve(kind=bwrap)
    answers = []
    async with server.caller() as caller:
        await caller.opened("den", "d")
        async with anyio.create_task_group() as tasks:
            await _calls_in_sessions(caller, meeting, tasks, answers, 50)
            server.signal(signal.SIGTERM)
            await caller.until_status(503)
            server.signal(signal.SIGTERM)
    assert {(one.status_code, decode_result(one.content).code) for one in answers} == {(200, "cancelled")}
    assert len(answers) == 50
    assert await server.ended() == 1
    await site.nothing_is_left()


CLEANUP_S = ("--set", "limits.clumsy.cleanup_timeout_s=0.5")


async def _cleaned(site):
    return sorted((await anyio.Path(site.folder / "cleaned").read_text()).split())


async def test_cleanups_that_raise_or_hang_stop_neither_the_others_nor_the_end(site):
    server = site.serve(*CLEANUP_S)
    endings = ["raise", "well", "hang", "exit", "well", "hang", "raise", "well"]
    async with server.caller() as caller:
        for number, ending in enumerate(endings):
            await caller.opened("clumsy", f"w{number}", {"ending": ending})
            await caller.opened("hut", f"w{number}")
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    assert await _cleaned(site) == sorted(endings)
    assert list((site.state / "workspaces").iterdir()) == []
    log = server.log.read_text()
    assert log.count("cleanup failed") == 3
    assert log.count("RuntimeError: the cleanup fails") == 2
    assert log.count("cleanup did not end within 0.5 s") == 2


async def test_a_session_whose_cleanup_fails_is_closed_all_the_same(site):
    server = site.serve(*CLEANUP_S)
    async with server.caller() as caller:
        for ending in ("raise", "hang", "exit"):
            session = await caller.opened("clumsy", "w", {"ending": ending})
            with anyio.fail_after(10):
                closed = await caller.delete(f"/v1/sessions/{session}")
            assert (closed.status_code, await caller.sessions()) == (200, [])
            assert (await caller.get(f"/v1/sessions/{session}")).status_code == 404
        assert (await caller.result("clumsy:look", worker_id="w")).text == "well"


@pytest.mark.parametrize("ending", ["deaf", "block"])
async def test_a_cleanup_that_cannot_be_cancelled_does_not_keep_the_server(site, ending):
    server = site.serve(*CLEANUP_S, "--set", "limits.hut.cleanup_timeout_s=0.5")
    async with server.caller() as caller:
        await caller.opened("hut", "w")
        await caller.opened("clumsy", "w", {"ending": ending})
    server.signal(signal.SIGTERM)
    assert await server.ended(within_s=20) == 1
    assert "the cleanup did not end within 6.5 s and is given up" in server.log.read_text()
    site.serve()
    assert list((site.state / "workspaces").iterdir()) == []
