"""What was recorded answers again, and nothing is started for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_core import Sandbox, register_api_tool
from agentflow_core.errors import ReplayMissError, SandboxError, UsageError
from agentflow_core.records import ImageContent, ToolResult
from agentflow_core.sandbox import Backend, Catalog, tool
from agentflow_core.testing.backends import CounterBackend, GlossaryBackend

if TYPE_CHECKING:
    from pathlib import Path


class NeverStarted(Exception):
    """A replay that starts something."""


def live() -> Catalog:
    return Catalog.of(counter=CounterBackend, glossary=GlossaryBackend)


def dead() -> Catalog:
    """The same classes, which cannot start."""

    class Counter(CounterBackend):
        async def warmup(self) -> None:
            raise NeverStarted

    class Glossary(GlossaryBackend):
        async def warmup(self) -> None:
            raise NeverStarted

    return Catalog.of(counter=Counter, glossary=Glossary)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tools.sqlite"


async def story(sandbox: Sandbox) -> list[tuple[str, Any, str]]:
    """Calls of several workers, with forks, failures, settings and a batch."""
    results = []
    one, two = sandbox.worker("one"), sandbox.worker("two")
    opened = (await one.create_session({"counter": {"start": 5}}))["counter"].id
    results.append(await one.execute("counter:add", {"amount": 2}))
    fork = (await one.fork(opened)).id
    results.append(await one.execute("counter:add", session=fork))
    results.append(await one.execute("counter:add", {"amount": 7}, session=opened))
    results.append(await one.execute("counter:look", session=fork))
    results.append(await two.execute("counter:add", {"amount": 2}))
    results.append(await two.execute("counter:add", {"amount": 0}))
    results.append(await two.execute("counter:ad", {"amount": 0}))
    results.append(await two.execute("counter:label", {"text": "x" * 40_000}))
    results.append(await two.execute("counter:look"))
    results.append(await two.execute("counter:wait", {"seconds": 60}, timeout_s=0.01))
    results.append(await two.execute("glossary:define", {"word": "hop"}))
    results.append(await two.execute("glossary:define", {"word": "skip"}))
    await one.close_session(opened)
    results.append(await one.execute("counter:look", session=opened))
    await two.aclose()
    results.append(await two.execute("counter:add"))
    results += await sandbox.execute_batch([("counter:add", {}), ("glossary:words", {}), ("counter:look", {})])
    return [(result.code, result.data, result.text) for result in results]


async def test_a_replay_says_what_was_recorded_and_starts_nothing(file: Path):
    async with Sandbox(catalog=live(), record=file) as sandbox:
        recorded = await story(sandbox)
    async with Sandbox(catalog=live()) as sandbox:
        assert await story(sandbox) == recorded
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        assert await story(sandbox) == recorded
        assert "counter:add" in [one.name for one in await sandbox.list_tools()]
        await sandbox.warmup()
        assert (await sandbox.status())["backends"]["counter"] == {"state": "replayed"}


async def test_keys_do_not_depend_on_what_other_workers_do(file: Path):
    async with Sandbox(catalog=live(), record=file) as sandbox:
        for worker in ("a", "b"):
            await sandbox.worker(worker).execute("counter:add", {"amount": 3})
            await sandbox.worker(worker).execute("counter:look")
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        for name in ("counter:add", "counter:look"):  # in another order, interleaved
            params = {"amount": 3} if name == "counter:add" else {}
            for worker in ("b", "a"):
                assert (await sandbox.worker(worker).execute(name, params)).ok


async def test_what_was_not_recorded_is_an_error_that_names_the_nearest(file: Path):
    async with Sandbox(catalog=live(), record=file) as sandbox:
        await sandbox.execute("glossary:define", {"word": "hop"})
        await sandbox.execute("counter:add", {"amount": 3})
        await sandbox.execute("counter:look")
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        with pytest.raises(ReplayMissError, match='"word":"rollout"') as caught:
            await sandbox.execute("glossary:define", {"word": "rollout"})
        assert '"word":"hop"' in caught.value.hint
        await sandbox.execute("counter:add", {"amount": 3})
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        await sandbox.create_session("counter")
        with pytest.raises(ReplayMissError):
            await sandbox.execute("counter:add", {"amount": 4})
        with pytest.raises(ReplayMissError) as caught:  # the same call, but what came before differs
            await sandbox.execute("counter:look")
        assert "after other calls" in caught.value.hint


async def test_an_answer_that_may_change_is_the_first_one_for_the_whole_recording(file: Path):
    asked = []

    @register_api_tool(name="news:read", read_only=True)
    async def read(topic: str = "all") -> str:
        """Read the news."""
        asked.append(topic)
        return f"edition {len(asked)}"

    catalog = Catalog.of(read)
    async with Sandbox(catalog=catalog, record=file) as sandbox:
        said = [(await sandbox.execute("news:read", params)).text for params in ({}, {"topic": "all"}, {})]
    async with Sandbox(catalog=catalog, replay=file) as sandbox:
        again = [(await sandbox.execute("news:read", params)).text for params in ({}, {"topic": "all"}, {})]
    assert said == again == ["edition 1"] * 3
    assert asked == ["all"]


async def test_equal_actions_by_the_tools_own_rule_have_one_answer(file: Path):
    @register_api_tool(name="sql:run", canonicalize=lambda params: params["query"].lower().split())
    async def run(query: str) -> str:
        """Run a query."""
        return "rows"

    async with Sandbox(catalog=Catalog.of(run), record=file) as sandbox:
        await sandbox.execute("sql:run", {"query": "SELECT  1"})
    async with Sandbox(catalog=Catalog.of(run), replay=file) as sandbox:
        assert (await sandbox.execute("sql:run", {"query": "select 1"})).text == "rows"


async def test_answers_of_the_engine_about_its_load_are_not_recorded(file: Path):
    from agentflow_core.sandbox import LimitsConfig, SandboxConfig

    limits = SandboxConfig(limits={"counter": LimitsConfig(max_concurrency=1, queue_length=0)})
    async with Sandbox(catalog=live(), config=limits, record=file) as sandbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.worker("a").execute, "counter:wait", {"seconds": 60})
            while not (await sandbox.status())["backends"]["counter"].get("running"):
                await anyio.lowlevel.checkpoint()
            assert (await sandbox.worker("b").execute("counter:add")).code == "overloaded"
            tasks.cancel_scope.cancel()
        assert (await sandbox.worker("b").execute("counter:add")).ok
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        assert (await sandbox.worker("b").execute("counter:add")).data == {"total": 1}


async def test_a_repeated_call_id_counts_once_in_both(file: Path):
    async def calls(sandbox: Sandbox) -> list[Any]:
        first = await sandbox.execute("counter:add", call_id="c1")
        again = await sandbox.execute("counter:add", call_id="c1")
        assert first == again
        return [first.data, (await sandbox.execute("counter:add")).data]

    async with Sandbox(catalog=live(), record=file) as sandbox:
        recorded = await calls(sandbox)
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        assert await calls(sandbox) == recorded == [{"total": 1}, {"total": 2}]


async def test_images_and_long_texts_come_back(file: Path):
    class Camera(Backend):
        @tool
        async def shoot(self, state: None) -> ToolResult:
            """Take a picture."""
            return ToolResult.success(text="y" * 40_000, content=[ImageContent(mime="image/png", data=b"\x89PNG")])

    async with Sandbox(catalog=Catalog.of(camera=Camera), record=file) as sandbox:
        taken = await sandbox.execute("camera:shoot")
    async with Sandbox(catalog=Catalog.of(camera=Camera), replay=file) as sandbox:
        again = await sandbox.execute("camera:shoot")
        assert again == taken
        assert await sandbox.artifact(again.truncation.artifact) == b"y" * 40_000


async def test_a_recording_that_is_not_there_is_an_error(file: Path):
    with pytest.raises(SandboxError, match="no recording at"):
        async with Sandbox(catalog=live(), replay=file):
            pass
    with pytest.raises(UsageError, match="either records or replays"):
        Sandbox(catalog=live(), record=file, replay=file)


async def test_sessions_in_a_replay_behave_like_sessions(file: Path):
    async with Sandbox(catalog=live(), record=file) as sandbox:
        await sandbox.execute("glossary:words")
    async with Sandbox(catalog=dead(), replay=file) as sandbox:
        infos = await sandbox.create_session(["counter", "glossary"])
        assert infos["glossary"].id == "glossary"
        mine = infos["counter"].id
        assert [info.id for info in await sandbox.list_sessions()] == [mine]
        assert (await sandbox.renew(mine)).id == mine
        assert (await sandbox.worker("other").execute("counter:add", session=mine)).code == "not_found"
        with pytest.raises(SandboxError, match="cannot fork"):
            await sandbox.fork("glossary")
        await sandbox.aclose()
        assert await sandbox.list_sessions() == ()
