"""A backend starts once for all, its sessions live in tasks of their own, and whatever happens it is cleaned up."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from agentflow_core.errors import DataError, SandboxError
from agentflow_core.sandbox import Backend, Session, tool
from agentflow_core.testing.backends import CounterBackend, PagesBackend


def logged(log: list[str], **overrides: Any) -> type[Backend]:
    """A backend that writes down what happens to it."""

    class Logged(Backend):
        sharing = overrides.get("sharing", "session")

        async def warmup(self) -> None:
            log.append("warmup")
            await anyio.lowlevel.checkpoint()

        async def initialize(self, session: Session) -> str:
            log.append(f"initialize {session.id}")
            await anyio.lowlevel.checkpoint()
            return session.id

        async def cleanup(self, state: str) -> None:
            await anyio.lowlevel.checkpoint()
            log.append(f"cleanup {state}")

        async def shutdown(self) -> None:
            await anyio.lowlevel.checkpoint()
            log.append("shutdown")

        @tool
        async def name(self, state: str) -> str:
            """Say whose state it is."""
            return state

    return Logged


async def test_a_backend_starts_at_first_use_and_ends_after_its_sessions(engine):
    log: list[str] = []
    async with engine(b=logged(log)) as sandbox:
        assert log == []
        await sandbox.execute("w1", "b:name")
        await sandbox.execute("w2", "b:name")
        assert log == ["warmup", "initialize b-1", "initialize b-2"]
    assert sorted(log[3:5]) == ["cleanup b-1", "cleanup b-2"]
    assert log[5:] == ["shutdown"]


async def test_a_shared_backend_has_one_state_for_all(engine):
    log: list[str] = []
    async with engine(b=logged(log, sharing="shared")) as sandbox:
        assert (await sandbox.execute("w1", "b:name")).text == "b"
        assert (await sandbox.execute("w2", "b:name")).text == "b"
    assert log == ["warmup", "initialize b", "cleanup b", "shutdown"]


async def test_who_comes_while_a_backend_starts_waits_for_the_same_start(engine):
    log: list[str] = []
    async with engine(b=logged(log)) as sandbox, anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(sandbox.execute, f"w{number}", "b:name")
        tasks.start_soon(sandbox.warmup)
    assert log.count("warmup") == 1


async def test_a_start_that_fails_is_told_to_each_and_tried_again_by_the_next(engine):
    failures = [RuntimeError("no disk"), DataError("corpus.jsonl: line 3 is not JSON")]
    attempts = []

    class Flaky(CounterBackend):
        async def warmup(self) -> None:
            attempts.append(1)
            await anyio.lowlevel.checkpoint()
            if failures:
                raise failures.pop(0)

    async with engine(flaky=Flaky) as sandbox:
        errors = []

        async def call() -> None:
            try:
                await sandbox.execute("w", "flaky:add")
            except SandboxError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
        assert len(attempts) == 1
        assert [error.message for error in errors] == ["backend 'flaky' could not start: RuntimeError: no disk"] * 3
        assert isinstance(errors[0].__cause__, RuntimeError)
        status = (await sandbox.status())["backends"]["flaky"]
        assert (status["state"], "no disk" in status["error"]) == ("failed", True)
        with pytest.raises(DataError, match="line 3 is not JSON"):  # an error of ours stays what it is
            await sandbox.warmup(["flaky"])
        assert (await sandbox.execute("w", "flaky:add")).ok
        assert (await sandbox.status())["backends"]["flaky"]["state"] == "ready"


async def test_who_is_cancelled_while_a_backend_starts_does_not_stop_the_start(engine):
    started, proceed = anyio.Event(), anyio.Event()

    class Slow(CounterBackend):
        async def warmup(self) -> None:
            started.set()
            await proceed.wait()

    async with engine(slow=Slow) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "w", "slow:add")
            await started.wait()
            tasks.cancel_scope.cancel()
        proceed.set()
        assert (await sandbox.execute("w", "slow:add")).ok


async def test_a_backend_that_starts_is_given_up_when_the_engine_closes(engine):
    log = []

    class Endless(CounterBackend):
        async def warmup(self) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                log.append("gave up")

        async def shutdown(self) -> None:
            log.append("shutdown")

    async with anyio.create_task_group() as tasks, engine(endless=Endless) as sandbox:

        async def call() -> None:
            with pytest.raises(SandboxError, match="was given up"):
                await sandbox.execute("w", "endless:add")

        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
    assert log == ["gave up"]


async def test_a_shared_backend_whose_state_fails_is_shut_down_again(engine):
    log: list[str] = []

    class Broken(logged(log, sharing="shared")):  # type: ignore[misc]
        async def initialize(self, session: Session) -> str:
            raise ValueError("no")

    async with engine(b=Broken) as sandbox:
        with pytest.raises(SandboxError, match="ValueError: no"):
            await sandbox.execute("w", "b:name")
        assert log == ["warmup", "shutdown"]


async def test_task_groups_and_scopes_may_stay_open_from_start_to_end(engine):
    async with engine(pages=PagesBackend) as sandbox:
        for worker in ("a", "b", "c"):
            assert (await sandbox.execute(worker, "pages:write", {"text": worker})).ok
        await sandbox.close_worker("b")
        assert (await sandbox.execute("a", "pages:read")).text == "a\n"


class Scoped(Backend):
    """Keeps a task group open over its own life, beside those of its sessions."""

    async def warmup(self) -> None:
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        self.tasks.start_soon(anyio.sleep_forever)

    async def shutdown(self) -> None:
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)
        self.tasks = None

    @tool
    async def work(self, state: None) -> str:
        """Work."""
        return "worked"


async def test_a_backend_may_keep_a_task_group_open_from_warmup_to_shutdown(engine):
    made = []

    def make() -> Scoped:
        made.append(Scoped())
        return made[-1]

    async with engine(scoped=make) as sandbox:
        assert (await sandbox.execute("w", "scoped:work")).ok
    assert made[-1].tasks is None


async def test_sessions_are_cleaned_up_when_the_caller_is_cancelled(engine):
    log: list[str] = []
    with anyio.move_on_after(60) as scope:
        async with engine(b=logged(log), pages=PagesBackend) as sandbox:
            await sandbox.execute("w", "b:name")
            await sandbox.execute("w", "pages:write", {"text": "x"})
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["warmup", "initialize b-1", "cleanup b-1", "shutdown"]


async def test_what_the_body_raises_comes_out_as_it_is(engine):
    log: list[str] = []

    async def body() -> None:
        async with engine(b=logged(log)) as sandbox:
            await sandbox.execute("w", "b:name")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await body()
    assert log[-2:] == ["cleanup b-1", "shutdown"]


async def test_one_cleanup_that_fails_or_hangs_does_not_stop_the_others(engine, caplog):
    log: list[str] = []

    class Bad(logged(log)):  # type: ignore[misc]
        async def cleanup(self, state: str) -> None:
            if state == "b-1":
                raise OSError("cannot unmount")
            if state == "b-2":
                await anyio.sleep_forever()
            await super().cleanup(state)

    async with engine(b=Bad, limits={"cleanup_timeout_s": 0.05}) as sandbox:
        for worker in ("w1", "w2", "w3"):
            await sandbox.execute(worker, "b:name")
    assert log[-2:] == ["cleanup b-3", "shutdown"]
    assert "b-1: cleanup failed" in caplog.text
    assert "OSError: cannot unmount" in caplog.text
    assert "b-2: cleanup did not end within 0.05 s" in caplog.text


async def test_a_shutdown_comes_after_a_shared_cleanup_that_hangs(engine, caplog):
    log: list[str] = []

    class Hanging(logged(log, sharing="shared")):  # type: ignore[misc]
        async def cleanup(self, state: str) -> None:
            await anyio.sleep_forever()

    async with engine(b=Hanging, limits={"cleanup_timeout_s": 0.02}) as sandbox:
        await sandbox.execute("w", "b:name")
    assert log[-1] == "shutdown"
    assert "b: cleanup did not end within 0.02 s" in caplog.text


async def test_a_start_that_takes_too_long_is_given_up(engine):
    class Endless(CounterBackend):
        async def initialize(self, session: Session) -> Any:
            await anyio.sleep_forever()

    async with engine(endless=Endless, limits={"start_timeout_s": 0.02}) as sandbox:
        with pytest.raises(SandboxError, match=r"did not start within 0\.02 s") as caught:
            await sandbox.create_session("w", {"endless": None})
        assert caught.value.code == "timeout"
        assert await sandbox.list_sessions() == ()


async def test_an_initialize_that_ignores_its_cancellation_is_cleaned_up(engine):
    log: list[str] = []
    entered = anyio.Event()

    class Stubborn(logged(log)):  # type: ignore[misc]
        async def initialize(self, session: Session) -> str:
            try:
                entered.set()
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                return session.id  # what a backend must not do

    async with engine(b=Stubborn) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "w", "b:name")
            await entered.wait()
            tasks.cancel_scope.cancel()
        assert log == ["warmup", "cleanup b-1"]
        assert await sandbox.list_sessions() == ()


async def test_backends_get_a_folder_of_their_own_and_a_way_to_tell(engine, tmp_path):
    events = []

    class Telling(CounterBackend):
        async def warmup(self) -> None:
            (self.context.state_dir / "index").write_text("built")
            self.context.observe("building")  # type: ignore[arg-type]

    async with engine(telling=Telling, observe=events.append) as sandbox:
        await sandbox.warmup(["telling"])
    assert (tmp_path / "state" / "telling" / "index").read_text() == "built"
    assert events == ["building"]


async def test_what_a_backend_tells_about_a_session_is_shown(engine):
    class Told(CounterBackend):
        async def initialize(self, session: Session) -> Any:
            session.data["enforced"] = {"memory": "none"}
            return await super().initialize(session)

    async with engine(told=Told) as sandbox:
        info = (await sandbox.create_session("w", {"told": None}))["told"]
        assert info.data == {"enforced": {"memory": "none"}}
