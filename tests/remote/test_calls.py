"""Calls to a server that fails: lost replies, cut connections, overload, bounds."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from agentflow_core.errors import SandboxError, UsageError
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox.remote.door import RemoteDoor
from agentflow_core.sandbox.remote.transport import Transport
from agentflow_core.sandbox.wire import ExecuteRequest, encode_request


@pytest.mark.parametrize("tool", ["shared:look", "shared:send", "own:add"])
async def test_a_call_whose_reply_was_lost_is_sent_again_and_run_once(fake, opened, tool: str):
    async with opened(fake.url) as worker:
        fake.faults.extend(["lose", "proxy", "drop"])
        result = await worker.execute(tool)
        assert result.data == 1
        assert list(fake.runs.values()) == [1]
        assert len({body["call_id"] for body in fake.bodies}) == 1
        assert len(fake.bodies) == 4


async def test_the_call_id_is_the_callers_own_where_it_has_one(fake, opened):
    async with opened(fake.url) as worker:
        assert (await worker.execute("shared:look", call_id="mine")).call_id == "mine"
        assert (await worker.execute("shared:look", call_id="mine")).data == 1
        assert (await worker.execute("shared:look")).call_id == ""
        assert fake.bodies[0]["call_id"] == "mine"
        assert fake.runs["mine"] == 1


async def test_an_overloaded_server_is_asked_again_with_the_same_call_id(fake, opened):
    async with opened(fake.url) as worker:
        fake.faults.extend(["full"] * 3)
        assert (await worker.execute("shared:look")).ok
        assert len(fake.bodies) == 4
        assert len({body["call_id"] for body in fake.bodies}) == 1


async def test_a_server_that_stays_overloaded_is_told_to_the_caller(fake, opened):
    async with opened(fake.url, calm_s=0.05) as worker:
        fake.faults.extend(["full"] * 100)
        with pytest.raises(SandboxError, match="full") as caught:
            await worker.execute("shared:look")
        assert caught.value.code == "overloaded"


async def test_other_failures_are_not_tried_again(fake, opened):
    async with opened(fake.url) as worker:
        fake.faults.append("quota")
        assert (await worker.execute("shared:look")).code == "quota_exceeded"
        assert len(fake.bodies) == 1


async def test_sessions_whose_opening_was_not_answered_are_asked_for_again_and_opened_once(fake, opened):
    async with opened(fake.url) as worker:
        fake.faults.extend(["lose", "proxy", "drop", "full"])
        first = (await worker.create_session("own"))["own"]
        assert list(fake.sessions) == [first.id]
        fake.faults.extend(["drop", "lose", "full"])
        copy = await worker.fork(first.id)
        assert list(fake.sessions) == [first.id, copy.id]
        assert [len({body["call_id"] for body in bodies}) for bodies in (fake.bodies[:5], fake.bodies[5:])] == [1, 1]


async def test_no_more_calls_are_under_way_than_there_are_slots(fake):
    fake.hold = anyio.Event()
    async with (
        RemoteDoor([fake.url], observe=ignore_event, slots=4) as door,
        anyio.create_task_group() as tasks,
    ):
        for number in range(20):
            tasks.start_soon(door.execute, f"w{number}", "shared:look")
        while fake.running < 4:
            await anyio.wait_all_tasks_blocked()
        assert (await door.status())["sessions"] == 0  # what is no call does not wait for a slot
        fake.hold.set()
    assert fake.most_running == 4
    assert sum(fake.runs.values()) == 20


async def test_nobody_at_the_url_says_which_and_how_to_start_one(fake, opened):
    await fake.stop()
    with pytest.raises(SandboxError) as caught:
        async with opened(fake.url):
            pass
    assert fake.url in caught.value.message
    port = fake.url.rpartition(":")[2]
    assert f"agentflow serve --port {port}" in caught.value.hint


async def test_a_server_that_is_away_for_a_moment_is_waited_for(fake, opened):
    async with opened(fake.url) as worker, anyio.create_task_group() as tasks:
        await worker.execute("shared:look")
        await fake.stop()
        found = []

        async def call() -> None:
            found.append(await worker.execute("shared:look"))

        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await fake.start()
    assert found[0].ok


async def test_a_server_that_stays_away_is_told_to_the_caller(fake, opened):
    async with opened(fake.url, patience_s=0.1) as worker:
        await fake.stop()
        with pytest.raises(SandboxError, match="no sandbox server answers") as caught:
            await worker.execute("shared:look")
        assert caught.value.code == "not_ready"


async def test_a_wrong_token_is_told_with_what_to_do(fake, opened):
    fake.token = "right"
    async with opened(fake.url, token="right") as worker:
        assert (await worker.execute("shared:look")).ok
        fake.token = "another"
        with pytest.raises(SandboxError) as caught:
            await worker.execute("shared:look")
        assert caught.value.code == "unauthenticated"
        fake.token = "right"
    with pytest.raises(SandboxError, match="AGENTFLOW_TOKEN") as caught:
        async with opened(fake.url):
            pass
    assert caught.value.code == "unauthenticated"


async def test_what_is_no_sandbox_server_is_told(fake, opened):
    fake.speaks = False
    with pytest.raises(SandboxError, match="is it the URL of an AgentFlow sandbox server"):
        async with opened(fake.url):
            pass


@pytest.mark.parametrize("url", ["localhost:18890", "ftp://host", "http://", "http://me:secret@host", ""])
async def test_what_is_no_url_is_refused(opened, url: str):
    with pytest.raises(UsageError, match="URL"):
        async with opened(url):
            pass


async def test_a_call_that_is_cancelled_leaves_its_slot(fake, opened):
    async with opened(fake.url, slots=1) as worker:
        fake.faults.append("hang")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.execute, "shared:look")
            await fake.arrived.wait()
            tasks.cancel_scope.cancel()
        assert (await worker.execute("shared:look")).ok


async def test_an_answer_that_does_not_come_is_asked_for_again(fake):
    rng = Random(0)
    async with Transport(fake.url, token=None, slots=1, patience_s=5, calm_s=0, rng=rng) as transport:
        fake.faults.append("hang")
        body = encode_request(ExecuteRequest(tool="shared:look", call_id="a"))
        answer = await transport.send("POST", "/v1/execute", body, is_call=True, answer_s=0.05)
        assert answer.status == 200
        assert len(fake.bodies) >= 2
        assert {asked["call_id"] for asked in fake.bodies} == {"a"}


async def test_arguments_that_are_not_json_are_the_calls_failure(fake, opened):
    async with opened(fake.url) as worker:
        assert (await worker.execute("shared:look", {"x": object()})).code == "invalid_argument"
        assert (await worker.execute("shared:look", timeout_s=0)).code == "invalid_argument"
        assert (await worker.execute("shared:look", timeout_s=float("nan"))).code == "invalid_argument"
        assert fake.bodies == []
