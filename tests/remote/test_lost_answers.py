"""A real server does what it is asked once, though its answers are cut off on their way."""

from __future__ import annotations

from agentflow_core import Sandbox

CREATE, EXECUTE = b"POST /v1/sessions HTTP", b"POST /v1/execute "


async def test_a_creation_whose_answers_are_lost_opens_one_session(proxy):
    async with Sandbox(proxy.url) as sandbox:
        proxy.cuts.extend([CREATE] * 2)
        first = (await sandbox.create_session({"counter": {"start": 5}}))["counter"]
        assert not proxy.cuts
        assert [info.id for info in await sandbox.list_sessions()] == [first.id]
        assert (await sandbox.execute("counter:look")).text == "total 5"


async def test_a_fork_whose_answers_are_lost_makes_one_copy(proxy):
    async with Sandbox(proxy.url) as sandbox:
        first = (await sandbox.create_session("counter"))["counter"]
        proxy.cuts.extend([f"POST /v1/sessions/{first.id}/fork".encode()] * 2)
        copy = await sandbox.fork(first.id)
        assert not proxy.cuts
        assert [info.id for info in await sandbox.list_sessions()] == [first.id, copy.id]


async def test_a_call_whose_answers_are_lost_runs_once(proxy):
    async with Sandbox(proxy.url) as sandbox:
        proxy.cuts.extend([EXECUTE] * 2)
        assert (await sandbox.execute("counter:add", {"amount": 3})).data == {"total": 3}
        assert not proxy.cuts
        assert len(await sandbox.list_sessions()) == 1


async def test_a_file_whose_answers_are_lost_is_written_and_read(proxy):
    async with Sandbox(proxy.url) as sandbox:
        page = (await sandbox.create_session("pages"))["pages"].id
        proxy.cuts.extend(f"{method} /v1/sessions/{page}/files/x".encode() for method in ("PUT", "GET"))
        await sandbox.write_file(page, "x", b"0123")
        assert await sandbox.read_file(page, "x", 1) == b"123"
        assert not proxy.cuts
