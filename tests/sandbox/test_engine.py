"""Calls and sessions: whose session a call uses, what is refused, what stops."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_core.errors import SandboxError, UnknownNameError
from agentflow_core.records import ImageContent, ToolResult
from agentflow_core.records.codec import dumps
from agentflow_core.records.events import ToolCalled
from agentflow_core.sandbox import Backend, Session, register_api_tool, tool
from agentflow_core.testing.backends import CounterBackend, GlossaryBackend, PagesBackend

if TYPE_CHECKING:
    from tests.sandbox.conftest import FakeClock


class Gate:
    """Calls of a test wait here until they are let through."""

    def __init__(self) -> None:
        self.arrived = 0
        self.most = 0
        self.open = anyio.Event()

    async def pass_through(self) -> None:
        self.arrived += 1
        self.most = max(self.most, self.arrived)
        try:
            await self.open.wait()
        finally:
            self.arrived -= 1


def gated(gate: Gate) -> type[Backend]:
    class Gated(Backend):
        @tool
        async def change(self, state: None) -> str:
            """Wait at the gate."""
            await gate.pass_through()
            return "changed"

        @tool(read_only=True)
        async def read(self, state: None) -> str:
            """Wait at the gate."""
            await gate.pass_through()
            return "read"

    return Gated


async def reached(predicate: Any) -> None:
    """Let the other tasks run until it is so."""
    with anyio.fail_after(5):
        while not predicate():
            await anyio.lowlevel.checkpoint()


# ---- whose session


async def test_a_worker_has_one_session_of_a_backend_until_it_opens_more(engine):
    async with engine(counter=CounterBackend) as sandbox:
        first = await sandbox.execute("w1", "counter:add", {"amount": 2})
        again = await sandbox.execute("w1", "counter:add", {"amount": 2})
        other = await sandbox.execute("w2", "counter:add")
        assert (first.data, again.data, other.data) == ({"total": 2}, {"total": 4}, {"total": 1})
        assert first.session_id == again.session_id != other.session_id
        opened = (await sandbox.create_session("w1", {"counter": {"start": 10}}))["counter"]
        assert (await sandbox.execute("w1", "counter:add", session=opened.id)).data == {"total": 11}
        assert (await sandbox.execute("w1", "counter:add")).session_id == first.session_id
        assert [info.id for info in await sandbox.list_sessions("w1")] == [first.session_id, opened.id]


async def test_calls_that_come_together_share_the_session_that_the_first_one_opens(engine):
    async with engine(counter=CounterBackend) as sandbox:
        results = []

        async def call() -> None:
            results.append(await sandbox.execute("w", "counter:add"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
        assert {result.session_id for result in results} == {"counter-1"}
        assert sorted(result.data["total"] for result in results) == list(range(1, 21))


async def test_a_call_that_waited_for_a_cancelled_start_starts_the_session_itself(engine):
    first = anyio.Event()

    class Slow(CounterBackend):
        async def initialize(self, session: Session) -> Any:
            if not first.is_set():
                first.set()
                await anyio.sleep_forever()
            return await super().initialize(session)

    async with engine(counter=Slow) as sandbox:
        scope = anyio.CancelScope()
        results = []

        async def doomed() -> None:
            with scope:
                await sandbox.execute("w", "counter:add")

        async def waiting() -> None:
            results.append(await sandbox.execute("w", "counter:add"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(doomed)
            await first.wait()
            tasks.start_soon(waiting)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
        assert results[0].data == {"total": 1}
        assert len(await sandbox.list_sessions()) == 1


async def test_the_session_of_another_worker_cannot_be_used(engine):
    async with engine(counter=CounterBackend, pages=PagesBackend) as sandbox:
        mine = (await sandbox.execute("w1", "counter:add")).session_id
        refused = await sandbox.execute("w2", "counter:add", session=mine)
        assert (refused.code, refused.session_id) == ("not_found", "")
        for method in (sandbox.fork, sandbox.renew, sandbox.close_session):
            with pytest.raises(SandboxError) as caught:
                await method("w2", mine)
            assert caught.value.code == "not_found"
        wrong = await sandbox.execute("w1", "pages:read", session=mine)
        assert wrong.code == "invalid_argument"
        assert "is one of 'counter', not of 'pages'" in wrong.message


async def test_sessions_of_a_shared_backend_are_accepted_and_mean_nothing(engine):
    async with engine(glossary=GlossaryBackend) as sandbox:
        info = (await sandbox.create_session("w", {"glossary": None}))["glossary"]
        assert (info.id, info.state) == ("glossary", "ready")
        result = await sandbox.execute("w", "glossary:define", {"word": "hop"}, session=info.id)
        assert result.text == "hop: a step from one source to the next"
        assert result.session_id == ""
        await sandbox.close_session("w", "glossary")
        assert await sandbox.list_sessions() == ()
        with pytest.raises(SandboxError, match="cannot fork") as caught:
            await sandbox.fork("w", "glossary")
        assert caught.value.code == "unsupported"
        with pytest.raises(SandboxError, match="has no settings"):
            await sandbox.create_session("w", {"glossary": {"words": 3}})


async def test_sessions_open_all_or_none(engine):
    async with engine(counter=CounterBackend, pages=PagesBackend) as sandbox:
        with pytest.raises(SandboxError, match="start is 'x', not an integer") as caught:
            await sandbox.create_session("w", {"pages": None, "counter": {"start": "x"}})
        assert caught.value.code == "invalid_argument"
        assert await sandbox.list_sessions() == ()
        with pytest.raises(UnknownNameError, match="unknown backend 'conter'"):
            await sandbox.create_session("w", {"pages": None, "conter": None})
        assert await sandbox.list_sessions() == ()


async def test_a_fork_keeps_settings_and_state_and_goes_its_own_way(engine):
    async with engine(counter=CounterBackend, pages=PagesBackend) as sandbox:
        parent = (await sandbox.create_session("w", {"counter": {"start": 5}}))["counter"].id
        await sandbox.execute("w", "counter:add", session=parent)
        child = (await sandbox.fork("w", parent)).id
        await sandbox.execute("w", "counter:add", {"amount": 10}, session=child)
        assert (await sandbox.execute("w", "counter:look", session=parent)).text == "total 6"
        assert (await sandbox.execute("w", "counter:look", session=child)).text == "total 16"
        assert await sandbox.session_like("w", child) == ("counter", {"start": 5})
        page = (await sandbox.create_session("w", {"pages": None}))["pages"].id
        with pytest.raises(SandboxError) as caught:
            await sandbox.fork("w", page)
        assert caught.value.code == "unsupported"


# ---- what is refused


async def test_unknown_tools_get_a_suggestion_or_what_to_install(engine):
    async with engine(counter=CounterBackend) as sandbox:
        near = await sandbox.execute("w", "counter:ad")
        assert (near.code, near.hint) == ("unknown_tool", "did you mean 'counter:add'?")
        wire = await sandbox.execute("w", "counter_add")
        assert wire.hint == "did you mean 'counter:add'?"
        absent = await sandbox.execute("w", "rag:search")
        assert absent.hint == "it comes with a plugin: pip install agentflow-rag"
        for hostile in ("x" * 10_000_000, "\ud800", "", None):
            assert (await sandbox.execute("w", hostile)).code == "unknown_tool"


async def test_wrong_arguments_start_nothing(engine):
    async with engine(counter=CounterBackend) as sandbox:
        result = await sandbox.execute("w", "counter:add", {"amount": "5"})
        assert result.code == "invalid_argument"
        assert result.hint == "send 5 without quotes"
        assert (await sandbox.status())["backends"]["counter"]["state"] == "idle"
        for timeout_s in (0, -1, float("nan"), float("inf"), "5", True):
            assert (await sandbox.execute("w", "counter:add", timeout_s=timeout_s)).code == "invalid_argument"


async def test_beyond_slots_and_queue_the_answer_is_overloaded(engine):
    gate = Gate()
    async with engine(gated=gated(gate), limits={"max_concurrency": 2, "queue_length": 1}) as sandbox:
        results = {}

        async def call(worker: str) -> None:
            results[worker] = await sandbox.execute(worker, "gated:change")

        async with anyio.create_task_group() as tasks:
            for worker in ("a", "b", "c"):
                tasks.start_soon(call, worker)
            await reached(lambda: gate.arrived == 2)
            await anyio.wait_all_tasks_blocked()
            refused = await sandbox.execute("d", "gated:change")
            assert refused.code == "overloaded"
            assert refused.retryable
            assert refused.retry_after_s > 0
            assert (await sandbox.status())["backends"]["gated"]["waiting"] == 1
            gate.open.set()
        assert {result.code for result in results.values()} == {"ok"}
        assert gate.most == 2
        assert results["c"].usage.queue_ms > 0


async def test_a_turn_that_does_not_come_is_overloaded_too(engine):
    gate = Gate()
    async with engine(gated=gated(gate), limits={"max_concurrency": 1, "queue_wait_s": 0.01}) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "a", "gated:change")
            await reached(lambda: gate.arrived == 1)
            for worker in ("a", "b"):  # one waits for its session, one for a slot
                refused = await sandbox.execute(worker, "gated:change")
                assert refused.code == "overloaded"
                assert "no turn at 'gated' within 0.01 s" in refused.message
            gate.open.set()
        assert (await sandbox.execute("b", "gated:change")).ok


async def test_too_many_sessions_wait_for_one_that_closes(engine):
    async with engine(counter=CounterBackend, limits={"max_sessions": 1, "queue_length": 1}) as sandbox:
        first = (await sandbox.create_session("a", {"counter": None}))["counter"].id
        opened = []

        async def wait() -> None:
            opened.append(await sandbox.create_session("b", {"counter": None}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(SandboxError) as caught:
                await sandbox.create_session("c", {"counter": None})
            assert caught.value.code == "overloaded"
            assert (await sandbox.execute("c", "counter:add")).code == "overloaded"
            assert not opened
            await sandbox.close_session("a", first)
        assert opened[0]["counter"].state == "ready"


async def test_who_gives_up_waiting_for_a_session_leaves_nothing(engine):
    async with engine(counter=CounterBackend, limits={"max_sessions": 1}) as sandbox:
        first = (await sandbox.create_session("a", {"counter": None}))["counter"].id
        with anyio.move_on_after(0.01):
            await sandbox.create_session("b", {"counter": None})
        assert [info.id for info in await sandbox.list_sessions()] == [first]
        await sandbox.close_session("a", first)
        assert (await sandbox.execute("b", "counter:add")).ok


# ---- one lock a session


async def test_calls_of_one_session_take_turns_and_readers_go_together(engine):
    gate = Gate()
    async with engine(gated=gated(gate)) as sandbox, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(sandbox.execute, "w", "gated:read")
        await reached(lambda: gate.arrived == 3)
        tasks.start_soon(sandbox.execute, "w", "gated:change")
        tasks.start_soon(sandbox.execute, "w", "gated:read")
        await anyio.wait_all_tasks_blocked()
        assert gate.arrived == 3
        gate.open.set()


async def test_sessions_do_not_wait_for_one_another(engine):
    gate = Gate()
    async with engine(gated=gated(gate)) as sandbox, anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(sandbox.execute, f"w{number}", "gated:change")
        await reached(lambda: gate.arrived == 10)
        gate.open.set()


async def test_a_session_that_starts_slowly_keeps_nobody_waiting(engine):
    starting = anyio.Event()

    class Slow(CounterBackend):
        async def initialize(self, session: Session) -> Any:
            if session.worker_id == "slow":
                starting.set()
                await anyio.sleep_forever()
            return await super().initialize(session)

    async with engine(counter=Slow) as sandbox, anyio.create_task_group() as tasks:
        tasks.start_soon(sandbox.execute, "slow", "counter:add")
        await starting.wait()
        assert (await sandbox.execute("quick", "counter:add")).ok
        tasks.cancel_scope.cancel()


# ---- what stops


async def test_a_timeout_cancels_the_work(engine):
    ended = []

    class Sleeper(Backend):
        @tool(timeout_s=0.02)
        async def sleep(self, state: None) -> None:
            """Sleep."""
            try:
                await anyio.sleep_forever()
            finally:
                ended.append(1)

    async with engine(sleeper=Sleeper) as sandbox:
        result = await sandbox.execute("w", "sleeper:sleep")
        assert result.code == "timeout"
        assert "did not end within 0.02 s" in result.message
        assert ended == [1]
        assert (await sandbox.execute("w", "sleeper:sleep", timeout_s=0.01)).message.count("0.01 s") == 1
        assert (await sandbox.list_sessions("w"))[0].state == "ready"


async def test_cancelling_a_call_cancels_the_work(engine):
    gate = Gate()
    async with engine(gated=gated(gate)) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "w", "gated:change")
            await reached(lambda: gate.arrived == 1)
            tasks.cancel_scope.cancel()
        assert gate.arrived == 0
        gate.open.set()
        assert (await sandbox.execute("w", "gated:change")).ok


async def test_closing_a_session_answers_the_calls_in_it(engine):
    gate = Gate()
    async with engine(gated=gated(gate)) as sandbox:
        results = []

        async def call() -> None:
            results.append(await sandbox.execute("w", "gated:change"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)  # runs
            tasks.start_soon(call)  # waits for it
            await reached(lambda: gate.arrived == 1)
            await anyio.wait_all_tasks_blocked()
            await sandbox.close_worker("w")
        assert [result.code for result in results] == ["cancelled", "not_found"]
        assert await sandbox.list_sessions() == ()


async def test_closing_the_engine_answers_the_calls_that_run(engine):
    gate = Gate()
    results = []
    async with anyio.create_task_group() as tasks, engine(gated=gated(gate), glossary=GlossaryBackend) as sandbox:

        async def call(tool_name: str, params: Any) -> None:
            results.append(await sandbox.execute("w", tool_name, params))

        tasks.start_soon(call, "gated:change", None)
        tasks.start_soon(call, "glossary:ponder", {"seconds": 3600})
        await reached(lambda: gate.arrived == 1)
        await anyio.wait_all_tasks_blocked()
    assert [result.code for result in results] == ["cancelled", "cancelled"]
    with pytest.raises(SandboxError, match="is not open"):
        await sandbox.execute("w", "gated:change")


async def test_a_plain_function_runs_in_a_thread_and_keeps_its_session_until_it_returns(engine):
    proceed, threads = threading.Event(), []

    class Blocking(Backend):
        @tool
        def work(self, state: None, wait: bool = False) -> str:
            """Work."""
            threads.append(threading.current_thread())
            if wait:
                proceed.wait(5)
            return "done"

    async with engine(blocking=Blocking, limits={"queue_wait_s": 0.05}) as sandbox:
        assert (await sandbox.execute("w", "blocking:work")).text == "done"
        assert threads[0] is not threading.main_thread()
        assert (await sandbox.execute("w", "blocking:work", {"wait": True}, timeout_s=0.05)).code == "timeout"
        assert (await sandbox.execute("w", "blocking:work")).code == "overloaded"  # the thread is still in the session
        assert (await sandbox.execute("other", "blocking:work")).ok
        proceed.set()
        with anyio.fail_after(5):
            while (await sandbox.list_sessions("w"))[0].state == "busy":  # noqa: ASYNC110 - a thread ends
                await anyio.sleep(0.001)
        assert (await sandbox.execute("w", "blocking:work")).ok


async def test_a_thread_that_never_returns_does_not_keep_the_engine_open(engine):
    never = threading.Event()

    @register_api_tool(name="stuck:wait")
    def wait() -> None:
        """Wait."""
        never.wait(30)

    async with engine(wait) as sandbox:
        assert (await sandbox.execute("w", "stuck:wait", timeout_s=0.01)).code == "timeout"
    never.set()


# ---- ages


async def test_an_idle_session_expires_and_its_worker_is_told_once(engine, clock: FakeClock):
    async with engine(counter=CounterBackend, limits={"idle_ttl_s": 60}) as sandbox:
        first = (await sandbox.execute("w", "counter:add")).session_id
        clock.now += 59
        await sandbox.renew("w", first)
        clock.now += 59
        sandbox.sweep()
        assert (await sandbox.execute("w", "counter:add")).data == {"total": 2}
        clock.now += 61
        sandbox.sweep()
        told = await sandbox.execute("w", "counter:add")
        assert told.code == "session_expired"
        assert "its state is gone" in told.message
        assert (await sandbox.execute("w", "counter:add")).data == {"total": 1}
        assert (await sandbox.execute("w", "counter:add", session=first)).code == "session_expired"
        with pytest.raises(SandboxError) as caught:
            await sandbox.renew("w", first)
        assert caught.value.code == "session_expired"
        await sandbox.close_session("w", first)


async def test_a_session_expires_at_its_absolute_age_however_busy_it_was(engine, clock: FakeClock):
    async with engine(counter=CounterBackend, limits={"absolute_ttl_s": 100}) as sandbox:
        for _ in range(3):
            await sandbox.execute("w", "counter:add")
            clock.now += 40
        sandbox.sweep()
        assert (await sandbox.execute("w", "counter:add")).code == "session_expired"


async def test_a_session_in_which_a_call_runs_is_not_expired(engine, clock: FakeClock):
    gate = Gate()
    async with engine(gated=gated(gate), limits={"idle_ttl_s": 1, "absolute_ttl_s": 1}) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "w", "gated:change")
            await reached(lambda: gate.arrived == 1)
            clock.now += 100
            sandbox.sweep()
            assert [info.state for info in await sandbox.list_sessions()] == ["busy"]
            gate.open.set()
        sandbox.sweep()
        assert (await sandbox.execute("w", "gated:change")).code == "session_expired"


async def test_the_sweep_runs_by_itself(engine, clock: FakeClock):
    async with engine(counter=CounterBackend, limits={"idle_ttl_s": 0.01}) as sandbox:
        await sandbox.execute("w", "counter:add")
        clock.now += 1
        with anyio.fail_after(5):
            while await sandbox.list_sessions():  # noqa: ASYNC110 - the sweep has nobody to tell
                await anyio.sleep(0.01)


async def test_a_session_that_its_tool_calls_lost_is_closed(engine):
    class Fragile(Backend):
        @tool
        async def crash(self, state: None) -> None:
            """Crash."""
            raise SandboxError("the container is gone", code="session_lost")

    async with engine(fragile=Fragile) as sandbox:
        lost = await sandbox.execute("w", "fragile:crash")
        assert (lost.code, lost.message) == ("session_lost", "the container is gone")
        await reached(lambda: not list(sandbox._table))
        assert (await sandbox.execute("w", "fragile:crash", session=lost.session_id)).code == "session_lost"


# ---- once


async def test_a_repeated_call_id_is_answered_and_not_run_again(engine, clock: FakeClock):
    async with engine(counter=CounterBackend) as sandbox:
        first = await sandbox.execute("w", "counter:add", {"amount": 2}, call_id="c1")
        again = await sandbox.execute("w", "counter:add", {"amount": 2}, call_id="c1")
        assert first == again
        assert first.call_id == "c1"
        other = await sandbox.execute("w", "counter:add", {"amount": 3}, call_id="c1")
        assert other.code == "conflict"
        assert (await sandbox.execute("w2", "counter:add", {"amount": 3}, call_id="c1")).data == {"total": 3}
        clock.now += 601
        late = await sandbox.execute("w", "counter:add", {"amount": 2}, call_id="c1")
        assert late.data == {"total": 4}


async def test_a_call_id_under_way_is_waited_for(engine):
    gate = Gate()
    async with engine(gated=gated(gate)) as sandbox:
        results = []

        async def call() -> None:
            results.append(await sandbox.execute("w", "gated:change", call_id="c1"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
            await reached(lambda: gate.arrived == 1)
            await anyio.wait_all_tasks_blocked()
            gate.open.set()
        assert gate.most == 1
        assert results[0] == results[1]


async def test_a_call_id_whose_call_never_ran_may_be_tried_again(engine):
    gate = Gate()
    async with engine(gated=gated(gate), limits={"max_concurrency": 1, "queue_length": 0}) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "a", "gated:change")
            await reached(lambda: gate.arrived == 1)
            assert (await sandbox.execute("b", "gated:change", call_id="c1")).code == "overloaded"
            gate.open.set()
        assert (await sandbox.execute("b", "gated:change", call_id="c1")).ok


async def test_a_call_that_was_cancelled_while_it_ran_is_not_run_again(engine):
    gate = Gate()
    async with engine(gated=gated(gate)) as sandbox:
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                await sandbox.execute("w", "gated:change", call_id="c1")

            tasks.start_soon(call)
            await reached(lambda: gate.arrived == 1)
            tasks.cancel_scope.cancel()
        assert (await sandbox.execute("w", "gated:change", call_id="c1")).code == "cancelled"


async def test_only_the_last_thousand_answers_are_kept(engine):
    async with engine(counter=CounterBackend) as sandbox:
        for number in range(1002):
            await sandbox.execute("w", "counter:add", call_id=f"c{number}")
        assert (await sandbox.execute("w", "counter:add", call_id="c1001")).data == {"total": 1002}
        assert (await sandbox.execute("w", "counter:add", call_id="c0")).data == {"total": 1003}


# ---- what a tool may return


@register_api_tool(name="say:it")
async def say_it(kind: str) -> Any:
    """Return something."""
    match kind:
        case "none":
            return None
        case "text":
            return "a\x1b[31mb\ud800"
        case "json":
            return {"nan": float("nan"), "big": 10**30, "bytes": b"\x00", "set": {2, 1}, "text": "\ud800"}
        case "result":
            return ToolResult(data={"x": float("inf")}, content=(ImageContent(mime="image/png", data=b"png"),))
        case "object":
            return object()
        case "code":
            return ToolResult(ok=False, code="no_such_code")
        case "raise":
            raise ZeroDivisionError("by zero")
        case "exit":
            raise SystemExit(3)
        case "timeout":
            raise TimeoutError
        case "framework":
            raise SandboxError("no display", code="display_error", hint="start one")
        case "unknown code":
            raise SandboxError("odd", code="odd")
        case "cycle":
            cycle: list[Any] = []
            cycle.append(cycle)
            return cycle
    return kind


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        ("none", "ok", ""),
        ("text", "ok", "ab?"),
        ("object", "internal", "error [internal]: the tool returned a object, which is not JSON"),
        ("code", "internal", None),
        ("raise", "internal", "error [internal]: ZeroDivisionError: by zero"),
        ("exit", "internal", "error [internal]: SystemExit: 3"),
        ("timeout", "timeout", None),
        ("framework", "display_error", "error [display_error]: no display\nstart one"),
        ("unknown code", "internal", "error [internal]: odd"),
        ("cycle", "internal", None),
    ],
)
async def test_whatever_a_tool_does_is_a_result(engine, caplog, kind: str, code: str, text: str | None):
    async with engine(say_it) as sandbox:
        result = await sandbox.execute("w", "say:it", {"kind": kind})
    assert result.code == code
    if text is not None:
        assert result.text == text
    assert "Traceback" not in result.text
    dumps(result)
    if kind == "raise":
        assert "ZeroDivisionError: by zero" in caplog.text


async def test_results_are_json_that_any_parser_reads(engine):
    async with engine(say_it) as sandbox:
        result = await sandbox.execute("w", "say:it", {"kind": "json"})
        assert result.data == {"nan": "nan", "big": str(10**30), "bytes": "AA==", "set": [1, 2], "text": "?"}
        dumps(result)
        image = await sandbox.execute("w", "say:it", {"kind": "result"})
        assert image.data == {"x": "inf"}
        assert image.content[0].data == b"png"


async def test_a_long_text_is_stored_whole(engine):
    async with engine(counter=CounterBackend) as sandbox:
        small = await sandbox.execute("w", "counter:look")
        assert small.truncation is None
        await sandbox.execute("w", "counter:label", {"text": "ü" * 30_000})
        large = await sandbox.execute("w", "counter:look")
        assert large.truncation is not None
        assert large.truncation.bytes_total == large.usage.bytes_out == len(large.text.encode()) == 60_008
        assert large.truncation.bytes_kept <= 32 * 1024
        assert sandbox.blobs.get(large.truncation.artifact).decode() == large.text
        assert large.artifacts[0].sha256 == large.truncation.artifact
        omitted = large.truncation.bytes_total - large.truncation.bytes_kept
        assert f"[… {omitted} bytes omitted …]" in large.shown


async def test_every_call_is_observed(engine):
    events = []
    async with engine(counter=CounterBackend, observe=events.append) as sandbox:
        await sandbox.execute("w", "counter:add")
        await sandbox.execute("w", "counter:add", {"amount": 0})
    assert [(type(event), event.tool, event.code, event.worker) for event in events] == [
        (ToolCalled, "counter:add", "ok", "w"),
        (ToolCalled, "counter:add", "invalid_argument", "w"),
    ]
