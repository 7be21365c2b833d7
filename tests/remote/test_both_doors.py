"""One interface: what the sandbox does in this process, it does behind a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import evolve

from agentflow_core import Sandbox, ToolSpec, register_api_tool
from agentflow_core.blobs import BlobStore
from agentflow_core.errors import ConfigError, SandboxError, UnknownNameError, UsageError
from agentflow_core.records import ToolUsage
from agentflow_core.sandbox import Catalog, observation_of
from agentflow_core.testing.backends import CounterBackend, GlossaryBackend, PagesBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@register_api_tool(name="math:double")
async def double(value: int) -> int:
    """Double a number.

    Args:
        value: the number.
    """
    return value * 2


@register_api_tool(name="math:double", canonicalize=lambda params: params["value"] % 2)
async def odd_double(value: int) -> int:
    """Double a number.

    Args:
        value: the number.
    """
    raise AssertionError("the server runs it")


def catalog() -> Catalog:
    return Catalog.of(double, counter=CounterBackend, glossary=GlossaryBackend, pages=PagesBackend)


@pytest.fixture(params=["embedded", "remote"])
def box(request: pytest.FixtureRequest) -> Callable[..., Sandbox]:
    """A sandbox of either kind."""
    if request.param == "embedded":
        return lambda **options: Sandbox(catalog=catalog(), **options)
    url = request.getfixturevalue("served")
    return lambda **options: Sandbox(url, **options)


async def test_the_tools_are_the_same_with_their_traits(served: str):
    async with Sandbox(catalog=catalog()) as here, Sandbox(served) as there:
        mine = await here.list_tools()
        theirs = {tool.name: tool for tool in await there.list_tools()}
        for tool in mine:
            assert theirs[tool.name] == tool
            assert there.tool_traits(tool.name) == here.tool_traits(tool.name)


async def test_rules_that_do_not_travel_are_those_of_the_plugin_that_is_installed_here(served: str, plugin_host):
    spec = ToolSpec("math:double", target=f"{__name__}:odd_double", summary="double")
    async with Sandbox(served, host=plugin_host(spec)) as there:
        assert there.tool_traits("math:double")["canonicalize"]({"value": 3}) == 1
        assert there.tool_traits("counter:add")["canonicalize"] is None
        assert (await there.execute("math:double", {"value": 3})).data == 6


async def test_results_are_the_same(served: str):
    calls: list[tuple[str, dict[str, Any]]] = [
        ("counter:add", {"amount": 2}),
        ("counter:label", {"text": "ü \u0000 \ud800 \x1b[31mred"}),
        ("counter:look", {}),
        ("counter:add", {"amount": 0}),
        ("counter:add", {"amuont": 1}),
        ("counter:ad", {}),
        ("glossary:define", {"word": "hop"}),
        ("glossary:define", {"word": "none"}),
        ("math:double", {"value": 2**40}),
        ("math:double", {"value": float("nan")}),
        ("nowhere:at_all", {}),
    ]
    async with Sandbox(catalog=catalog()) as here, Sandbox(served) as there:
        for name, params in calls:
            one, other = await here.execute(name, params), await there.execute(name, params)
            if name != "nowhere:at_all":  # the server offers what is installed beside it
                assert evolve(one, usage=ToolUsage(), session_id="") == evolve(other, usage=ToolUsage(), session_id="")
            assert observation_of(one, None).code == observation_of(other, None).code


async def test_sessions_open_run_fork_renew_and_close(box):
    async with box() as sandbox:
        opened = await sandbox.create_session({"counter": {"start": 5}, "glossary": None})
        first = opened["counter"]
        assert (first.backend, first.worker_id, first.state) == ("counter", "main", "ready")
        assert opened["glossary"].id == "glossary"
        assert (await sandbox.execute("counter:add")).data == {"total": 6}
        copy = await sandbox.fork(first.id)
        assert (await sandbox.execute("counter:add", {"amount": 10}, session=copy.id)).data == {"total": 16}
        assert (await sandbox.execute("counter:look")).text == "total 6"
        assert [info.id for info in await sandbox.list_sessions()] == [first.id, copy.id]
        assert (await sandbox.renew(copy.id)).id == copy.id
        await sandbox.close_session(copy.id)
        await sandbox.close_session(copy.id)
        assert (await sandbox.execute("counter:look", session=copy.id)).code == "not_found"
        assert [info.id for info in await sandbox.list_sessions()] == [first.id]


async def test_failures_of_sessions_are_raised(box):
    async with box() as sandbox:
        with pytest.raises(UnknownNameError, match="did you mean 'counter'"):
            await sandbox.create_session("conter")
        with pytest.raises(SandboxError, match="start is 'many'") as caught:
            await sandbox.create_session({"pages": None, "counter": {"start": "many"}})
        assert caught.value.code == "invalid_argument"
        assert await sandbox.list_sessions() == ()
        page = (await sandbox.create_session("pages"))["pages"]
        for ask, code in ((sandbox.fork(page.id), "unsupported"), (sandbox.fork("glossary"), "unsupported")):
            with pytest.raises(SandboxError) as caught:
                await ask
            assert caught.value.code == code
        for ask in (sandbox.renew("counter-99"), sandbox.fork("counter-99"), sandbox.close_session("counter-99")):
            with pytest.raises(SandboxError) as caught:
                await ask
            assert caught.value.code == "not_found"


async def test_workers_are_kept_apart_and_close_for_themselves(box):
    async with box() as sandbox:
        one, two = sandbox.worker("one/1 #"), sandbox.worker("two")
        await one.create_session(["counter", "pages"])
        await two.execute("counter:add")
        mine = await one.list_sessions()
        assert [info.backend for info in mine] == ["counter", "pages"]
        assert {info.worker_id for info in mine} == {one.worker_id}
        assert (await two.execute("counter:look", session=mine[0].id)).code == "not_found"
        await one.aclose()
        assert await one.list_sessions() == ()
        assert len(await two.list_sessions()) == 1


async def test_a_batch_answers_in_call_order(box):
    async with box() as sandbox:
        calls = [("counter:add", {"amount": 1}), ("glossary:words", {}), ("counter:add", {"amount": 10}), ("x:y", {})]
        results = await sandbox.execute_batch(calls)
        assert [result.tool for result in results] == [name for name, _ in calls]
        assert results[2].data == {"total": 11}
        stopped = await sandbox.execute_batch(
            [("counter:add", {"amount": 0}), ("counter:add", {})], parallel=False, stop_on_error=True
        )
        assert [result.code for result in stopped] == ["invalid_argument", "cancelled"]


async def test_a_recorded_path_replays(box):
    async with box() as sandbox:
        first = (await sandbox.create_session({"counter": {"start": 5}}))["counter"].id
        path = []
        for name, params in (("counter:add", {"amount": 3}), ("counter:look", {})):
            path.append((name, params, observation_of(await sandbox.execute(name, params), None)))
        again = await sandbox.replay(first, path)
        assert again.replay.equal
        assert (await sandbox.replay("counter", path)).replay.step == 0


async def test_a_repeated_call_runs_once(box):
    async with box() as sandbox:
        one = await sandbox.execute("counter:add", call_id="a")
        assert await sandbox.execute("counter:add", call_id="a") == one
        assert (await sandbox.execute("counter:add", {"amount": 2}, call_id="a")).code == "conflict"


async def test_a_repeated_creation_or_fork_opens_one_session(box):
    async with box() as sandbox:
        first = (await sandbox.create_session({"counter": {"start": 5}}, call_id="a"))["counter"]
        assert (await sandbox.create_session({"counter": {"start": 5}}, call_id="a"))["counter"] == first
        copy = await sandbox.fork(first.id, call_id="b")
        assert await sandbox.fork(first.id, call_id="b") == copy
        assert [info.id for info in await sandbox.list_sessions()] == [first.id, copy.id]
        for ask in (sandbox.create_session("counter", call_id="a"), sandbox.fork(copy.id, call_id="b")):
            with pytest.raises(SandboxError, match="was used for another call") as caught:
                await ask
            assert caught.value.code == "conflict"


async def test_what_was_opened_and_closed_since_answers_its_repetition_and_stays_closed(box):
    async with box() as sandbox:
        first = (await sandbox.create_session("counter", call_id="a"))["counter"]
        copy = await sandbox.fork(first.id, call_id="b")
        for info in (first, copy):
            await sandbox.close_session(info.id)
        assert (await sandbox.create_session("counter", call_id="a"))["counter"] == first
        assert await sandbox.fork(first.id, call_id="b") == copy
        assert await sandbox.list_sessions() == ()
        assert (await sandbox.execute("counter:add", session=copy.id)).code == "not_found"
        assert (await sandbox.execute("counter:add")).session_id not in (first.id, copy.id)


async def test_timeouts_end_the_work(box):
    async with box(timeout_s=0.05) as sandbox:
        assert (await sandbox.execute("counter:wait", {"seconds": 60})).code == "timeout"
        assert (await sandbox.execute("counter:add", timeout_s=-1)).code == "invalid_argument"
        assert (await sandbox.execute("counter:add", timeout_s=5)).data == {"total": 1}


async def test_artifacts_are_read_whole_or_in_part(box, tmp_path: Path):
    store = BlobStore(tmp_path)
    for options in ({}, {"artifacts": store}):
        async with box(**options) as sandbox:
            await sandbox.execute("counter:label", {"text": "ü" * 20_000})
            result = await sandbox.execute("counter:look")
            sha256 = result.truncation.artifact
            assert len(result.shown.encode()) < len(result.text.encode()) == 40_008
            assert len(await sandbox.artifact(sha256)) == 40_008
            assert await sandbox.artifact(sha256, 0, 7) == b"total 0"
            assert await sandbox.artifact(sha256, 40_000) == "ü".encode() * 4
            assert await sandbox.artifact(sha256, 5, 5) == b""
            assert await sandbox.artifact(sha256, 50_000) == b""
            for wrong in ("0" * 64, "../../etc/passwd"):
                with pytest.raises(SandboxError) as caught:
                    await sandbox.artifact(wrong)
                assert caught.value.code == "not_found"
    assert store.get(sha256).startswith(b"total 0")


async def test_files_of_sessions_are_written_and_read_whole_or_in_part(box):
    async with box() as sandbox:
        page = (await sandbox.create_session("pages"))["pages"].id
        for path in (
            "x",
            "a/b c/ü?#%2F.txt",
            "/x",
            "../x",
            "./x",
            "a/../b",
            "a//b",
            "...",
            "-",
            "\n",
            "x\n",
            "x\ny",
            "日本",
        ):
            data = f"0123456789 {path}".encode()
            await sandbox.write_file(page, path, data)
            assert await sandbox.read_file(page, path) == data
            for start, end in ((0, 5), (3, None), (2, 2), (5, 1), (0, 0), (4, 1000), (1000, None), (1000, 1000)):
                assert await sandbox.read_file(page, path, start, end) == data[start:end]
        await sandbox.write_file(page, "x", bytes(range(256)))
        assert await sandbox.read_file(page, "x") == bytes(range(256))
        await sandbox.write_file(page, "x", b"")
        assert await sandbox.read_file(page, "x") == await sandbox.read_file(page, "x", 0, 5) == b""


async def test_failures_of_files_are_raised_and_leave_the_session_as_it_was(box):
    async with box() as sandbox:
        opened = await sandbox.create_session(["pages", "counter"])
        page, counter = opened["pages"].id, opened["counter"].id
        other = sandbox.worker("other")
        for ask, code in (
            (sandbox.read_file(page, "x"), "not_found"),
            (sandbox.read_file(page, "x", 0, 0), "not_found"),
            *[(sandbox.read_file(page, path), "invalid_argument") for path in ("", ".", "..", "a/", "a/..")],
            (sandbox.write_file(page, "a\0b", b""), "invalid_argument"),
            (sandbox.write_file(page, "\ud800", b""), "invalid_argument"),
            (sandbox.read_file(page, "x", -1), "invalid_argument"),
            (sandbox.write_file(page, "x", b"x" * 1_000_001), "disk_limit"),
            (sandbox.read_file(counter, "x"), "unsupported"),
            (sandbox.write_file("glossary", "x", b""), "unsupported"),
            (other.read_file(page, "x"), "not_found"),
            (sandbox.read_file("pages-99", "x"), "not_found"),
        ):
            with pytest.raises(SandboxError) as caught:
                await ask
            assert caught.value.code == code
        assert (await sandbox.execute("pages:read", session=page)).ok
        await sandbox.close_session(page)
        with pytest.raises(SandboxError, match="was closed"):
            await sandbox.read_file(page, "x")


async def test_probes_see_how_a_session_is_and_are_no_tools(box):
    async with box() as sandbox:
        assert "counter:observe_end" not in {tool.name for tool in await sandbox.list_tools()}
        assert sandbox.tool_traits("counter:add")["probes"]
        assert not sandbox.tool_traits("pages:read")["probes"]
        await sandbox.create_session({"counter": {"start": 4}})
        await sandbox.execute("counter:label", {"text": "a"})
        seen = await sandbox.execute("counter:observe_end", {"probes": ["total", "label:0", "label:1"]})
        assert seen.data == {"observed": {"total": 4, "label:0": "a", "label:1": None}}
        unknown = await sandbox.execute("counter:observe_end", {"probes": ["weight"]})
        assert (unknown.code, unknown.hint) == ("invalid_argument", "total, label:N")
        assert (await sandbox.execute("pages:observe_end", {"probes": []})).code == "unknown_tool"


async def test_warmup_and_status(box):
    async with box(config={"warmup": ["pages"]}) as sandbox:
        assert (await sandbox.status())["backends"]["pages"]["state"] == "ready"
        await sandbox.warmup(["glossary"])
        assert (await sandbox.status())["backends"]["glossary"]["state"] == "ready"
        with pytest.raises(UnknownNameError, match="did you mean 'pages'"):
            await sandbox.warmup(["pagse"])


async def test_a_sandbox_opens_and_closes_again(box):
    sandbox = box()
    with pytest.raises(SandboxError, match="is not open"):
        await sandbox.execute("counter:add")
    async with sandbox:
        worker = sandbox.worker("w")
        assert (await worker.execute("counter:add")).data == {"total": 1}
        with pytest.raises(SandboxError, match="is open already"):
            await sandbox.__aenter__()
    for closed in (sandbox, worker):
        with pytest.raises(SandboxError, match="is not open"):
            await closed.execute("counter:add")
    async with sandbox:
        assert (await sandbox.execute("counter:add")).data == {"total": 1}


async def test_events_tell_of_every_call(box):
    told = []
    async with box(observe=told.append) as sandbox:
        await sandbox.worker("w").execute("counter:add")
        await sandbox.execute("glossary:define", {"word": "none"})
    assert [(event.tool, event.code, event.worker) for event in told] == [
        ("counter:add", "ok", "w"),
        ("glossary:define", "not_found", "main"),
    ]


async def test_what_was_recorded_is_replayed_without_a_server(box, tmp_path: Path):
    recording = tmp_path / "tools.sqlite"
    async with box(record=recording) as sandbox:
        await sandbox.execute("counter:add", {"amount": 2})
        seen = await sandbox.execute("counter:look")
    async with Sandbox(catalog=catalog(), replay=recording) as sandbox:
        await sandbox.execute("counter:add", {"amount": 2})
        assert (await sandbox.execute("counter:look")).text == seen.text


async def test_many_workers_call_at_once(box):
    async with box() as sandbox, anyio.create_task_group() as tasks:

        async def work(number: int) -> None:
            worker = sandbox.worker(f"w{number}")
            for step in range(5):
                assert (await worker.execute("counter:add")).data == {"total": step + 1}
            await worker.aclose()

        for number in range(30):
            tasks.start_soon(work, number)


def test_the_blocking_facade_does_the_same(served: str):
    with Sandbox.sync(served) as sandbox:
        assert sandbox.execute("counter:add", {"amount": 2}).data == {"total": 2}
        worker = sandbox.worker("w")
        info = worker.create_session("counter", call_id="a")["counter"]
        assert worker.create_session("counter", call_id="a")["counter"] == info
        assert worker.fork(info.id, call_id="b") == worker.fork(info.id, call_id="b")
        page = worker.create_session("pages")["pages"].id
        worker.write_file(page, "x", b"0123")
        assert (worker.read_file(page, "x"), worker.read_file(page, "x", 1, 3)) == (b"0123", b"12")
        worker.close()
        assert sandbox.tool_traits("counter:add")["forkable"]
        assert "math:double" in [tool.name for tool in sandbox.list_tools()]
        assert sandbox.status()["url"] == served


async def test_the_blocking_facade_works_inside_a_running_loop(served: str):
    with Sandbox.sync(served) as sandbox:
        assert sandbox.execute("math:double", {"value": 21}).data == 42


# ---- configuration


async def test_the_url_may_stand_in_the_configuration(served: str):
    for config in ({"url": served}, {"url": [served]}):
        async with Sandbox(config=config) as sandbox:
            assert (await sandbox.execute("math:double", {"value": 21})).data == 42


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"url": "http://h", "backends": {"counter": None}}, "backends.*no effect beside url"),
        ({"url": "http://h", "enabled": ["x"], "limits": {"x": {}}}, r"(?s)enabled.*limits"),
        ({"url": "h:80"}, "url.*is not the URL of a sandbox server"),
        ({"url": []}, "names no server"),
    ],
)
async def test_a_configuration_that_cannot_hold_is_refused(config: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=says):
        async with Sandbox(config=config):
            pass


async def test_a_url_goes_without_a_catalog(served: str):
    with pytest.raises(UsageError, match="takes no catalog"):
        async with Sandbox(served, catalog=catalog()):
            pass
