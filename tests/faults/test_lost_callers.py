"""Callers that go away, come back, or do not read what they asked for."""

from __future__ import annotations

import json
import random
from contextlib import AsyncExitStack
from typing import ClassVar

import anyio
import anyio.lowlevel
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Backend, Catalog, Sandbox, tool
from agentflow_core.sandbox.wire import decode_result

MIB = 1024 * 1024


def _request(path, body):
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


async def _send_and_leave(server, path, body, *, after_s=0.0, upto=None):
    """Send a request, or its first bytes, and cut the connection."""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(_request(path, body)[:upto])
        await anyio.sleep(after_s)
        await anyio.aclose_forcefully(stream)


# ---- calls


async def test_a_call_whose_caller_has_gone_goes_on_and_its_retry_finds_the_answer(site, meeting):
    server = site.serve()
    body = {"tool": "hut:count", "params": {"port": meeting.port}, "worker_id": "w", "call_id": "c-1"}
    async with server.caller() as caller:
        await caller.opened("hut", "w")
        await _send_and_leave(server, "/v1/execute", body)
        await meeting.wait_for(1)
        await _send_and_leave(server, "/v1/execute", body)
        answers = []

        async def again():
            answers.append(await caller.post("/v1/execute", json=body))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(again)
            await meeting.let_go()
        await again()
        assert [decode_result(one.content).data for one in answers] == [1] * 4
        assert (await caller.result("hut:counted", worker_id="w")).data == 1


async def test_whatever_answers_are_lost_each_call_runs_once(site):
    server = site.serve()
    rng = random.Random(3)
    async with server.caller() as caller:
        await caller.opened("hut", "w")
        for number in range(1, 41):
            body = {"tool": "hut:count", "params": {}, "worker_id": "w", "call_id": f"c-{number}"}
            for _ in range(rng.randrange(4)):
                await _send_and_leave(server, "/v1/execute", body, after_s=rng.choice((0, 0, 0.002)))
            answer = await caller.post("/v1/execute", json=body)
            assert (answer.status_code, decode_result(answer.content).data) == (200, number)
        assert (await caller.result("hut:counted", worker_id="w")).data == 40


async def test_a_request_that_is_cut_off_does_nothing(site):
    server = site.serve()
    body = {"tool": "hut:count", "params": {}, "worker_id": "w"}
    async with server.caller() as caller:
        await caller.opened("hut", "w")
        for upto in range(1, len(_request("/v1/execute", body)), 7):
            await _send_and_leave(server, "/v1/execute", body, upto=upto)
        assert (await caller.result("hut:count", worker_id="w")).data == 1
        metrics = (await caller.get("/metrics")).text
    assert server.log.read_text() == ""
    assert 'status="500"' not in metrics


# ---- sessions


class SlowBackend(Backend):
    """Starts when it may."""

    may_start: ClassVar[anyio.Event]

    async def warmup(self):
        await self.may_start.wait()

    @tool
    async def look(self, state: None) -> str:
        """Look."""
        return ""


@pytest.mark.parametrize("backend", ["hut", "warming"])
async def test_a_session_whose_creator_went_away_is_listed_or_not_there(site, backend):
    server = site.serve(WARMUP_S="0.05")
    moments = [None, 0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.03]
    async with server.caller() as caller:
        for round_, moment in enumerate(moments * 3):
            worker = f"w{round_}"
            body = {"backends": {backend: {"slow_s": 0.01}}, "worker_id": worker}
            upto = None if moment is not None else 60
            await _send_and_leave(server, "/v1/sessions", body, after_s=moment or 0, upto=upto)
            await caller.delete(f"/v1/workers/{worker}")
            assert await caller.sessions(worker_id=worker) == []
        await caller.opened(backend, "last", {"slow_s": 0.1})  # what was asked for before has begun by now
        assert [one["worker_id"] for one in await caller.sessions()] == ["last"]
        await caller.delete("/v1/workers/last")
    assert list((site.state / "workspaces").iterdir()) == []


async def _given_up_after(create, moment):
    """Create, and give that up after so many turns of the loop, or seconds."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create)
        if isinstance(moment, int):
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
        else:
            await anyio.sleep(moment)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("backend", ["hut", "warming"])
async def test_a_creation_that_a_client_gives_up_leaves_nothing_once_its_worker_is_closed(site, backend):
    await _give_up(site, backend, [*range(0, 30, 3), *(step / 500 for step in range(1, 20, 2))])


@pytest.mark.soak
async def test_creations_given_up_at_a_thousand_moments_leave_nothing(site):
    rng = random.Random(5)
    await _give_up(site, "hut", [rng.choice((rng.randrange(40), rng.uniform(0, 0.03))) for _ in range(1000)])


async def _give_up(site, backend, moments):
    server = site.serve(WARMUP_S="0.05")
    async with Sandbox(server.url) as sandbox, server.caller() as caller:
        for number, moment in enumerate(moments):
            worker = sandbox.worker(f"w{number}")

            async def create(worker=worker):
                await worker.create_session({backend: {"slow_s": 0.01}})

            await _given_up_after(create, moment)
            await worker.aclose()
            assert await caller.sessions() == []
        await sandbox.create_session({backend: {"slow_s": 0.1}})  # what was asked for before has begun by now
        assert len(await caller.sessions()) == 1
    assert list((site.state / "workspaces").iterdir()) == []


async def test_what_a_worker_asked_for_before_it_left_opens_nothing_afterwards(tmp_path):
    asked = {
        "create": lambda worker: worker.create_session("slow"),
        "again": lambda worker: worker.create_session("slow", call_id="c"),
        "call": lambda worker: worker.execute("slow:look"),
        "retry": lambda worker: worker.execute("slow:look", call_id="c"),
    }
    SlowBackend.may_start = anyio.Event()
    failures = []
    async with Sandbox(catalog=Catalog.of(slow=SlowBackend), config={"state_dir": str(tmp_path)}) as sandbox:

        async def ask(request):
            try:
                await request(sandbox.worker("leaves"))
            except SandboxError as error:
                failures.append(error.code)

        async with anyio.create_task_group() as tasks:
            for request in asked.values():
                tasks.start_soon(ask, request)
                tasks.start_soon(ask, request)
            await anyio.wait_all_tasks_blocked()
            await sandbox.worker("leaves").aclose()
            SlowBackend.may_start.set()
        assert await sandbox.worker("leaves").list_sessions() == ()
        assert (await sandbox.worker("leaves").execute("slow:look")).ok
    assert failures == ["cancelled"] * 8


# ---- readers


async def test_readers_that_do_not_read_hold_up_nobody_and_cost_their_answer_once(site):
    size = 64 * MIB
    server = site.serve()
    body = {"tool": "probe:big", "params": {"size": size}}
    async with server.caller() as caller, AsyncExitStack() as stack:
        assert len((await caller.result("probe:big", {"size": size})).text) == size
        before = server.rss_bytes()
        slow = []
        for _ in range(3):
            slow.append(await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port)))
            await slow[-1].send(_request("/v1/execute", body))
            await slow[-1].receive(10)
        held = server.rss_bytes()
        assert held - before < 3 * size * 1.5
        read = 0
        with anyio.fail_after(20):
            for _ in range(300):
                assert (await caller.execute("probe:echo")).status_code == 200
                read += len(await slow[0].receive(1024))  # a trickle; the others read nothing
        assert server.rss_bytes() - held < 16 * MIB
        with anyio.fail_after(20):
            while read < size:
                read += len(await slow[0].receive(MIB))
        for one in slow:
            await anyio.aclose_forcefully(one)
        with anyio.fail_after(20):
            while server.rss_bytes() - before > size // 2:
                await caller.execute("probe:echo")


async def test_answers_are_kept_for_retries_only_as_far_as_they_fit(site):
    size = 48 * MIB
    server = site.serve()
    async with server.caller() as caller:
        before = server.rss_bytes()
        for number in range(9):
            assert (await caller.execute("probe:big", {"size": size}, call_id=f"c-{number}")).status_code == 200
        assert server.rss_bytes() - before < 8 * size
        newest = await caller.result("probe:big", {"size": size}, call_id="c-8")
        oldest = await caller.result("probe:big", {"size": size}, call_id="c-0")
        artifact = await caller.get(f"/v1/artifacts/{oldest.truncation.artifact}", headers={"range": "bytes=-3"})
    assert (newest.ok, len(newest.text)) == (True, size)
    assert (oldest.code, oldest.usage.bytes_out) == ("output_limit", size)
    assert (artifact.content, artifact.headers["content-range"]) == (b"xxx", f"bytes {size - 3}-{size - 1}/{size}")
