"""Where there is no room to wait, that is said at once, with when to come again."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import anyio
import pytest

from agentflow_core.sandbox.wire import decode_result

pytestmark = pytest.mark.serial  # it measures time

TRIES = 50
ANSWERED_WITHIN_S = 0.05


async def _refused(ask):
    """Ask again and again; all are refused as they should be. Seconds for each."""
    took = []
    for _ in range(TRIES):
        began = perf_counter()
        answer = await ask()
        took.append(perf_counter() - began)
        result = decode_result(answer.content)
        assert (answer.status_code, result.code, result.retryable) == (429, "overloaded", True)
        assert int(answer.headers["retry-after"]) >= result.retry_after_s > 0
    return took


async def test_a_full_queue_of_calls_is_told_at_once(site, meeting):
    server = site.serve("--set", "limits.probe.max_concurrency=2", "--set", "limits.probe.queue_length=3")
    answers = []
    async with server.caller() as caller, anyio.create_task_group() as tasks:

        async def call():
            answers.append(await caller.execute("probe:meet", {"port": meeting.port}))

        for _ in range(5):
            tasks.start_soon(call)
        await meeting.wait_for(2)
        await _until_waiting(caller, "probe", 3)
        assert median(await _refused(lambda: caller.execute("probe:echo"))) < ANSWERED_WITHIN_S
        await meeting.let_go()
        await meeting.wait_for(2)
        await meeting.let_go()
        await meeting.wait_for(1)
        await meeting.let_go()
    assert [one.status_code for one in answers] == [200] * 5


async def _until_waiting(caller, group, count):
    with anyio.fail_after(10):
        while True:
            status = decode_result((await caller.get("/v1/capabilities")).content).data["status"]
            if status["api_tools"][group]["waiting"] == count:
                return


async def test_a_queue_behind_one_session_is_told_at_once(site, meeting):
    server = site.serve("--set", "limits.hut.queue_length=0")
    async with server.caller() as caller, anyio.create_task_group() as tasks:
        tasks.start_soon(caller.execute, "hut:count", {"port": meeting.port})
        await meeting.wait_for(1)
        assert median(await _refused(lambda: caller.execute("hut:counted"))) < ANSWERED_WITHIN_S
        assert (await caller.result("hut:count", worker_id="other")).data == 1
        await meeting.let_go()


async def test_no_room_for_another_session_is_told_at_once(site):
    server = site.serve("--set", "limits.hut.max_sessions=4", "--set", "limits.hut.queue_length=0")
    async with server.caller() as caller:
        for number in range(4):
            await caller.opened("hut", f"w{number}")
        assert median(await _refused(lambda: caller.create("hut", "another"))) < ANSWERED_WITHIN_S
        assert median(await _refused(lambda: caller.execute("hut:count", worker_id="another"))) < ANSWERED_WITHIN_S
        assert len(await caller.sessions()) == 4
        await caller.delete("/v1/workers/w0")
        await caller.opened("hut", "another")
    assert len(list((site.state / "workspaces").iterdir())) == 4


async def test_many_who_come_at_once_are_all_told_at_once(site, meeting):
    server = site.serve("--set", "limits.probe.max_concurrency=1", "--set", "limits.probe.queue_length=0")
    took = []
    async with server.caller() as caller, anyio.create_task_group() as tasks:
        tasks.start_soon(caller.execute, "probe:meet", {"port": meeting.port})
        await meeting.wait_for(1)
        await _refused(lambda: caller.execute("probe:echo"))

        async def ask():
            took.extend(await _refused(lambda: caller.execute("probe:echo")))

        async with anyio.create_task_group() as crowd:
            for _ in range(8):
                crowd.start_soon(ask)
        await meeting.let_go()
    assert min(took) < ANSWERED_WITHIN_S  # each waits for the client too, which asks and reads for all of them
