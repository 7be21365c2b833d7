"""Sessions on servers that come and go: what is lost is told, what lives is kept."""

from __future__ import annotations

import contextlib

import anyio
import anyio.lowlevel
import pytest

from agentflow_core.errors import SandboxError, UnknownNameError, UsageError
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox.remote.door import RemoteDoor


async def test_a_call_goes_to_the_session_that_the_worker_holds(fake, opened):
    async with opened(fake.url) as worker:
        first = (await worker.execute("own:add")).session_id
        assert (await worker.execute("own:add")).session_id == first
        assert [body.get("session_id") for body in fake.bodies] == [None, first]


async def test_a_restart_loses_the_session_once_and_the_next_call_begins_anew(fake, opened):
    async with opened(fake.url) as worker:
        await worker.execute("own:add")
        named = (await worker.create_session("own"))["own"].id
        assert (await worker.execute("own:add", session=named)).ok
        await fake.restart()
        lost = await worker.execute("own:add", session=named)
        assert (lost.code, lost.tool) == ("session_lost", "own:add")
        assert (await worker.execute("own:add")).code == "session_lost"
        assert (await worker.execute("own:add")).ok
        for ask in (worker.renew, worker.fork):
            with pytest.raises(SandboxError) as caught:
                await ask(named)
            assert caught.value.code in ("session_lost", "not_found")
        await worker.close_session(named)


async def test_a_restart_loses_nothing_of_what_has_no_session(fake, opened):
    async with opened(fake.url) as worker:
        assert (await worker.execute("shared:look")).ok
        await fake.restart()
        assert (await worker.execute("shared:look")).ok


async def test_sessions_are_closed_with_the_client(fake, opened):
    async with RemoteDoor([fake.url], label="me", observe=ignore_event) as door:
        await door.execute("main", "own:add")
        await door.execute("a/b c", "own:add")
        await door.execute("reader", "shared:look")
    assert sorted(key for key in fake.requests if key.startswith("DELETE")) == [
        "DELETE /v1/workers/me",
        "DELETE /v1/workers/me.a%2Fb%20c",
    ]


async def test_sessions_are_closed_when_the_work_fails_or_is_cancelled(fake, opened):
    with contextlib.suppress(ZeroDivisionError):
        async with opened(fake.url, label="failing") as worker:
            await worker.execute("own:add")
            raise ZeroDivisionError
    with anyio.CancelScope() as scope:
        async with opened(fake.url, label="cancelled") as worker:
            await worker.execute("own:add")
            scope.cancel()
            await anyio.sleep_forever()
    assert fake.requests["DELETE /v1/workers/failing"] == 1
    assert fake.requests["DELETE /v1/workers/cancelled"] == 1


async def test_a_client_of_a_server_that_is_gone_ends_all_the_same(fake, opened, caplog):
    async with opened(fake.url, patience_s=0.1) as worker:
        await worker.execute("own:add")
        await fake.stop()
        await worker.aclose()
    assert "left to expire" in caplog.text


async def test_two_clients_do_not_share_the_sessions_of_workers_of_one_name(fake, opened):
    async with opened(fake.url) as one, opened(fake.url) as two:
        assert (await one.execute("own:add")).session_id != (await two.execute("own:add")).session_id
        assert len(set(fake.sessions.values())) == 2


async def test_a_name_that_is_not_offered_is_refused_with_a_suggestion(fake, opened):
    async with opened(fake.url) as worker:
        with pytest.raises(UnknownNameError, match="did you mean 'own'"):
            await worker.create_session("onw")
        with pytest.raises(SandboxError, match="has no session 'x'"):
            await worker.close_session("x")


# ---- heartbeats


async def test_one_heartbeat_names_all_workers_that_may_have_sessions(fake):
    async with RemoteDoor([fake.url], label="me", observe=ignore_event, heartbeat_s=0.02) as door:
        await door.execute("main", "own:add")
        await door.execute("two", "own:add")
        await door.execute("reader", "shared:look")
        await fake.beaten.wait()
        fake.beaten = anyio.Event()
        await fake.beaten.wait()
        assert fake.heartbeats[-1] == {"me", "me.two"}
        await door.close_worker("two")
        for _ in range(2):
            fake.beaten = anyio.Event()
            await fake.beaten.wait()
        assert fake.heartbeats[-1] == {"me"}


async def test_calls_on_a_server_that_shows_no_sign_of_life_are_given_up(fake, opened):
    async with opened(fake.url, heartbeat_s=0.02, lost_s=0.05, patience_s=0.05) as worker:
        fake.faults.extend(["hang", "hang"])
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(silence, fake)
                with pytest.raises(SandboxError, match="no sign of life"):
                    await worker.execute("shared:look")


async def silence(fake) -> None:
    await fake.arrived.wait()
    fake.mute = True


# ---- several servers


async def test_new_workers_go_where_there_is_least_to_do_and_stay(fake, other):
    async with RemoteDoor([fake.url, other.url], observe=ignore_event) as door:
        for number in range(10):
            await door.execute(f"w{number}", "own:add")
        assert (len(fake.sessions), len(other.sessions)) == (5, 5)
        for number in range(10):
            await door.execute(f"w{number}", "own:add")
        assert (len(fake.sessions), len(other.sessions)) == (5, 5)
        for number in range(10):
            assert len(await door.list_sessions(f"w{number}")) == 1
        assert (await door.status())["sessions"] == 10


async def test_a_server_that_has_sessions_of_others_gets_fewer_workers(fake, other):
    fake.sessions.update({f"theirs-{number}": "them" for number in range(4)})
    async with RemoteDoor([fake.url, other.url], observe=ignore_event) as door:
        for number in range(6):
            await door.execute(f"w{number}", "own:add")
    assert (len(fake.sessions), len(other.sessions)) == (5, 5)


async def test_sessions_of_a_dead_server_are_lost_and_open_anew_on_another(fake, other, caplog):
    async with RemoteDoor([fake.url, other.url], observe=ignore_event, patience_s=0.05) as door:
        held = {f"w{number}": (await door.execute(f"w{number}", "own:add")).session_id for number in range(4)}
        mine = [worker for worker, session in held.items() if session in fake.sessions and len(fake.sessions) == 2]
        await fake.stop()
        codes = [(await door.execute(worker, "own:add")).code for worker in held]
        assert sorted(codes) == ["ok", "ok", "session_lost", "session_lost"]
        assert all([(await door.execute(worker, "own:add")).ok for worker in held])
        assert (await door.execute(mine[0] if mine else "w0", "shared:look")).ok
        assert (await door.status())["servers"][fake.url] == {"state": "down"}
    assert f"{fake.url} does not answer" in caplog.text


async def test_one_lost_answer_does_not_make_a_server_dead(fake, other):
    async with RemoteDoor([fake.url, other.url], observe=ignore_event) as door:
        await door.execute("w", "own:add")
        server = fake if fake.sessions else other
        server.faults.append("lose")
        await door.create_session("w", {"own": None})
        assert (await door.execute("w", "own:add")).ok
        assert len(await door.list_sessions("w")) == 2
        assert not (other if server is fake else fake).sessions


async def test_what_may_have_run_on_a_dead_server_is_run_again_only_if_it_reads(fake, other):
    servers = {"first": fake, "second": other}
    async with RemoteDoor([fake.url, other.url], observe=ignore_event, patience_s=0) as door:
        for server in servers.values():
            server.faults.extend(["lose"] * 10)
        with pytest.raises(SandboxError, match="no sandbox server answers"):
            await door.execute("w", "shared:send")
        assert sorted(sum(server.runs.values()) for server in servers.values()) == [0, 1]


async def test_a_server_that_is_down_at_the_start_is_left_out_until_it_answers(fake, other, caplog):
    await other.stop()
    async with RemoteDoor([fake.url, other.url], observe=ignore_event, heartbeat_s=0.02) as door:
        assert (await door.execute("one", "own:add")).ok
        await other.start()
        with anyio.fail_after(30):
            while (await door.status())["servers"][other.url] == {"state": "down"}:
                await anyio.lowlevel.checkpoint()
        await door.execute("two", "own:add")
        assert len(other.sessions) == 1


async def test_servers_that_do_not_offer_the_same_are_refused(fake, other):
    other.tools["own:more"] = ("session", False)
    with pytest.raises(SandboxError, match="do not offer the same: own:more"):
        async with RemoteDoor([fake.url, other.url], observe=ignore_event):
            pass


async def test_a_url_that_is_given_twice_is_refused(fake):
    with pytest.raises(UsageError, match="twice"):
        RemoteDoor([fake.url, fake.url + "/"], observe=ignore_event)
