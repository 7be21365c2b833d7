"""The disk with the state directory is full: sessions are refused, nothing of them stays, and later ones start."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from agentflow_core.sandbox.wire import decode_result

pytestmark = pytest.mark.serial


def _fill(disk):
    """Leave no byte free."""
    with suppress(OSError), (disk / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


async def _refused(caller, backend, worker):
    """Open sessions until one is refused, which comes soon, since the journal has some room of its own."""
    for number in range(40):
        answer = await caller.create(backend, f"{worker}-{number}")
        if answer.status_code != 201:
            return answer
    raise AssertionError("the disk is not full")


@pytest.mark.parametrize("backend", ["hut", "den"])
async def test_on_a_full_disk_sessions_are_refused_until_there_is_room(site, bwrap, disk, backend):
    server = site.serve(kind=bwrap, AGENTFLOW_STATE=str(disk))
    use = {"hut": "hut:count", "den": "den:echo"}[backend]
    async with server.caller() as caller:
        await caller.opened(backend, "before")
        _fill(disk)
        refused = await _refused(caller, backend, "during")
        result = decode_result(refused.content)
        assert (refused.status_code, result.code, result.ok) == (503, "provider_unavailable", False)
        assert "free some space" in result.hint
        called = await caller.execute(use, worker_id="other")
        assert (called.status_code, decode_result(called.content).code) == (503, "provider_unavailable")
        listed = await caller.sessions()
        assert {one["state"] for one in listed} == {"ready"}
        assert [one for one in listed if one["worker_id"] == "other"] == []
        assert len(list((disk / "workspaces").iterdir())) == len(listed)
        (disk / "filler").unlink()
        await caller.opened(backend, "after")
        assert (await caller.result(use, worker_id="after")).ok
        assert (await caller.result(use, worker_id="before")).ok
        for session in await caller.sessions():
            assert (await caller.delete(f"/v1/sessions/{session['id']}")).status_code == 200
        assert await caller.sessions() == []
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    assert server.log.read_text() == ""
    await site.nothing_is_left()
    assert [path for path in disk.rglob("*") if path.is_file()] == []


async def test_a_server_that_starts_on_a_full_disk_serves_what_needs_none(site, disk):
    _fill(disk)
    server = site.serve(AGENTFLOW_STATE=str(disk))
    async with server.caller() as caller:
        assert (await caller.result("probe:echo", {"text": "hello"})).text == "hello"
        for _ in range(2):
            refused = await caller.create("hut")
            assert (refused.status_code, decode_result(refused.content).code) == (503, "provider_unavailable")
        assert await caller.sessions() == []
        (disk / "filler").unlink()
        await caller.opened("hut")
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0


async def test_what_a_server_killed_on_a_full_disk_left_is_removed_while_it_is_full(site, bwrap, disk):
    server = site.serve(kind=bwrap, AGENTFLOW_STATE=str(disk))
    async with server.caller() as caller:
        for number in range(3):
            await caller.opened("den", f"w{number}")
        _fill(disk)
        await _refused(caller, "den", "during")
    server.kill()
    _fill(disk)
    again = site.serve(kind=bwrap, AGENTFLOW_STATE=str(disk))
    await site.nothing_is_left()
    assert list((disk / "workspaces").iterdir()) == []
    assert list((disk / "ownership").iterdir()) == []
    assert again.log.read_text() == ""
