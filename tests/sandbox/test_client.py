"""The embedded client: views of workers, batches, what is offered, and the blocking facade."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from attrs import frozen

from agentflow_core import BackendSpec, Sandbox, ToolSpec, register_api_tool
from agentflow_core.blobs import BlobStore
from agentflow_core.config import option
from agentflow_core.errors import ConfigError, PluginError, SandboxError, UnknownNameError, UsageError
from agentflow_core.sandbox import Backend, Catalog, LimitsConfig, SandboxConfig, observation_of, tool
from agentflow_core.testing.backends import CounterBackend, reference_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_core.records import Observation

AT = "agentflow_core.testing.backends"
COUNTER = BackendSpec("counter", target=f"{AT}:CounterBackend", summary="count")
GLOSSARY = BackendSpec("glossary", target=f"{AT}:GlossaryBackend", summary="look up", offline="some.where:Policy")
NOWHERE = BackendSpec("nowhere", target="no_such_module:Backend", summary="broken")


@register_api_tool(name="math:double", canonicalize=lambda params: params["value"] % 10)
async def double(value: int) -> int:
    """Double a number.

    Args:
        value: the number.
    """
    return value * 2


DOUBLE = ToolSpec("math:double", target=f"{__name__}:double", summary="double")


@pytest.fixture
def config(tmp_path: Path) -> SandboxConfig:
    return SandboxConfig(state_dir=tmp_path)


# ---- what is offered


async def test_with_no_configuration_everything_installed_is_offered(plugin_host):
    async with Sandbox(host=plugin_host(COUNTER, GLOSSARY, DOUBLE)) as sandbox:
        names = [one.name for one in await sandbox.list_tools()]
        assert names == sorted(names)
        assert {"counter:add", "glossary:define", "math:double"} <= set(names)
        assert (await sandbox.execute("math:double", {"value": 21})).data == 42
        assert (await sandbox.execute("counter:add")).data == {"total": 1}
        status = await sandbox.status()
        assert status["backends"]["glossary"]["state"] == "idle"
        assert status["backends"]["glossary"]["limits"]["max_sessions"] == 64
        assert status["backends"]["counter"]["state"] == "ready"
        assert status["api_tools"]["math"]["sharing"] == "shared"


async def test_traits_tell_how_a_tool_may_be_used(plugin_host):
    async with Sandbox(host=plugin_host(COUNTER, GLOSSARY, DOUBLE)) as sandbox:
        add = sandbox.tool_traits("counter:add")
        assert add == {
            "sharing": "session",
            "read_only": False,
            "relative": False,
            "canonicalize": None,
            "compare": None,
            "forkable": True,
            "probes": True,
            "offline": None,
        }
        assert sandbox.tool_traits("counter:look")["read_only"]
        define = sandbox.tool_traits("glossary:define")
        assert (define["sharing"], define["forkable"], define["offline"]) == ("shared", False, "some.where:Policy")
        assert sandbox.tool_traits("math:double")["canonicalize"]({"value": 21}) == 1
        with pytest.raises(UnknownNameError, match="did you mean 'counter:add'"):
            sandbox.tool_traits("counter:ad")


@frozen(kw_only=True)
class StageConfig:
    """How a stage is."""

    snapshots: bool = option(False, help="whether it keeps snapshots")


class Stage(Backend):
    """Forks by some settings only."""

    def __init__(self, config: StageConfig | None = None) -> None:
        self.config = config

    @classmethod
    def can_fork(cls, config=None):
        return bool(config and config.snapshots)

    @tool(relative=True)
    async def push(self, state: None, button: str) -> str:
        """Push a button."""
        return button

    async def fork(self, state: None, session: Any) -> None:
        """See `Backend.fork`."""


@pytest.mark.parametrize(
    ("settings", "forks"), [(None, False), ({"snapshots": False}, False), ({"snapshots": True}, True)]
)
async def test_whether_a_backend_forks_may_depend_on_its_settings(plugin_host, settings, forks):
    spec = BackendSpec("stage", target=f"{__name__}:Stage", config=f"{__name__}:StageConfig", summary="a stage")
    config = {"backends": {"stage": settings}} if settings else {}
    for box in (
        Sandbox(host=plugin_host(spec), config=config),
        Sandbox(catalog=Catalog.of(stage=lambda: Stage(settings and StageConfig(**settings)))),
    ):
        async with box as sandbox:
            traits = sandbox.tool_traits("stage:push")
            assert (traits["forkable"], traits["relative"]) == (forks, True)
            made = await sandbox.create_session({"stage": None})
            if forks:
                await sandbox.fork(made["stage"].id)
            else:
                with pytest.raises(SandboxError, match="fork"):
                    await sandbox.fork(made["stage"].id)


async def test_only_what_is_enabled_is_offered(plugin_host):
    host = plugin_host(COUNTER, GLOSSARY, DOUBLE)
    async with Sandbox(host=host, config={"enabled": ["glossary", "math"]}) as sandbox:
        assert {one.name.partition(":")[0] for one in await sandbox.list_tools()} == {"glossary", "math"}
        assert (await sandbox.execute("counter:add")).code == "unknown_tool"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"enabled": ["rag"]}, "pip install agentflow-rag"),
        ({"enabled": ["conter"]}, "did you mean 'counter'"),
        ({"limits": {"conter": {"max_sessions": 1}}}, "did you mean 'counter'"),
        ({"enabled": ["glossary"], "warmup": ["counter"]}, "unknown enabled backend 'counter'"),
    ],
)
async def test_an_unknown_name_says_what_to_do(plugin_host, settings: dict[str, Any], says: str):
    with pytest.raises(UnknownNameError, match=says):
        async with Sandbox(host=plugin_host(COUNTER, GLOSSARY), config=settings):
            pass


async def test_a_wrong_configuration_is_refused(plugin_host):
    with pytest.raises(ConfigError, match="max_sessions"):
        async with Sandbox(host=plugin_host(COUNTER), config={"limits": {"counter": {"max_sessions": 0}}}):
            pass


async def test_a_backend_that_cannot_be_imported_is_left_out_unless_it_is_asked_for(plugin_host, caplog):
    host = plugin_host(COUNTER, NOWHERE)
    async with Sandbox(host=host) as sandbox:
        assert {one.name.partition(":")[0] for one in await sandbox.list_tools()} == {"counter"}
        assert "backend 'nowhere' is left out" in caplog.text
        assert (await sandbox.execute("counter:add")).ok
        with pytest.raises(PluginError, match="no_such_module"):
            await sandbox.execute("nowhere:look")
    async with Sandbox(host=host, config={"enabled": ["nowhere"]}) as sandbox:
        with pytest.raises(PluginError, match="no_such_module"):
            await sandbox.list_tools()


async def test_two_tools_of_one_name_are_an_error_that_names_it():
    @register_api_tool(name="counter:add")
    async def add() -> None:
        """Add."""

    async with Sandbox(catalog=Catalog.of(add, counter=CounterBackend)) as sandbox:
        for attempt in (sandbox.list_tools(), sandbox.execute("counter:add")):
            with pytest.raises(
                PluginError, match=r"'counter:add' is claimed by backend 'counter' of .* and by API tools"
            ):
                await attempt
        assert (await sandbox.execute("counter:look")).ok


async def test_tools_that_look_alike_to_a_model_are_an_error():
    @register_api_tool(name="a_b:c")
    async def one() -> None:
        """One."""

    @register_api_tool(name="a:b_c")
    async def two() -> None:
        """Two."""

    async with Sandbox(catalog=Catalog.of(one, two)) as sandbox:
        with pytest.raises(PluginError, match=r"'a:b_c' of .* and 'a_b:c' of .* are both 'a_b_c' to a model"):
            await sandbox.list_tools()


async def test_what_is_to_be_warm_is_started_with_the_sandbox(config: SandboxConfig):
    async with Sandbox(catalog=reference_catalog(), config=SandboxConfig(warmup=("pages",))) as sandbox:
        states = {name: row["state"] for name, row in (await sandbox.status())["backends"].items()}
        assert states == {"counter": "idle", "glossary": "idle", "pages": "ready"}
        await sandbox.warmup()
        assert {row["state"] for row in (await sandbox.status())["backends"].values()} == {"ready"}


async def test_a_catalog_goes_with_limits_but_not_with_backends():
    with pytest.raises(UsageError, match="takes no backends"):
        async with Sandbox(catalog=reference_catalog(), config=SandboxConfig(enabled=("counter",))):
            pass
    with pytest.raises(UnknownNameError, match="did you mean 'counter'"):
        async with Sandbox(catalog=reference_catalog(), config=SandboxConfig(limits={"conter": LimitsConfig()})):
            pass


# ---- the life of a sandbox


async def test_a_sandbox_that_is_not_open_says_so():
    sandbox = Sandbox(catalog=reference_catalog())
    with pytest.raises(SandboxError, match="is not open"):
        await sandbox.execute("counter:add")
    with pytest.raises(SandboxError, match="is not open"):
        sandbox.worker("w")
    async with sandbox:
        worker = sandbox.worker("w")
        with pytest.raises(SandboxError, match="is open already"):
            await sandbox.__aenter__()
    with pytest.raises(SandboxError, match="is not open"):
        await worker.execute("counter:add")
    async with sandbox:
        assert (await sandbox.execute("counter:add")).data == {"total": 1}


async def test_workers_are_kept_apart_and_close_for_themselves():
    async with Sandbox(catalog=reference_catalog()) as sandbox:
        one, two = sandbox.worker("one"), sandbox.worker("two")
        await one.create_session(["counter", "pages"])
        await two.execute("counter:add")
        assert [info.backend for info in await one.list_sessions()] == ["counter", "pages"]
        await one.aclose()
        assert await one.list_sessions() == ()
        assert len(await two.list_sessions()) == 1
        opened = await two.create_session("pages")
        await two.close_session(opened["pages"].id)
        await two.close_session(opened["pages"].id)
        assert (await two.execute("pages:read", session=opened["pages"].id)).code == "not_found"


async def test_artifacts_are_read_whole_or_in_part(tmp_path: Path):
    async with Sandbox(catalog=reference_catalog(), artifacts=BlobStore(tmp_path)) as sandbox:
        await sandbox.execute("counter:label", {"text": "x" * 40_000})
        result = await sandbox.execute("counter:look")
        sha256 = result.truncation.artifact
        assert len(await sandbox.artifact(sha256)) == 40_008
        assert await sandbox.artifact(sha256, 0, 7) == b"total 0"
        for wrong in ("0" * 64, "../../etc/passwd"):
            with pytest.raises(SandboxError) as caught:
                await sandbox.artifact(wrong)
            assert caught.value.code == "not_found"
    assert BlobStore(tmp_path).get(sha256).startswith(b"total 0")


async def test_the_default_timeout_is_that_of_the_sandbox():
    async with Sandbox(catalog=reference_catalog(), timeout_s=0.01) as sandbox:
        assert (await sandbox.execute("counter:wait", {"seconds": 60})).code == "timeout"
        assert (await sandbox.worker("w").execute("counter:wait", {"seconds": 60})).code == "timeout"
        assert (await sandbox.execute("counter:wait", {"seconds": 0.02}, timeout_s=5)).ok
        assert (await sandbox.execute("counter:add", timeout_s=0)).code == "invalid_argument"


# ---- batches


async def test_a_batch_answers_in_call_order_and_keeps_the_order_in_a_session():
    async with Sandbox(catalog=reference_catalog()) as sandbox:
        calls = [
            ("counter:add", {"amount": 1}),
            ("glossary:define", {"word": "hop"}),
            ("pages:write", {"text": "a"}),
            ("counter:add", {"amount": 10}),
            ("nowhere:at_all", {}),
            ("counter:look", {}),
        ]
        results = await sandbox.execute_batch(calls)
        assert [result.tool for result in results] == [name for name, _ in calls]
        assert (results[0].data, results[3].data, results[5].text) == ({"total": 1}, {"total": 11}, "total 11")
        assert results[4].code == "unknown_tool"


async def test_a_batch_runs_what_it_can_at_the_same_time():
    meeting = []
    together = anyio.Event()

    @register_api_tool(name="meet:others")
    async def meet() -> str:
        """Wait until three are here."""
        meeting.append(1)
        if len(meeting) == 3:
            together.set()
        await together.wait()
        return "met"

    async with Sandbox(catalog=Catalog.of(meet)) as sandbox:
        assert all(result.ok for result in await sandbox.execute_batch([("meet:others", {})] * 3))


@pytest.mark.parametrize("parallel", [True, False])
async def test_a_batch_that_stops_answers_the_rest_as_cancelled(parallel: bool):
    async with Sandbox(catalog=reference_catalog()) as sandbox:
        calls = [
            ("counter:add", {}),
            ("counter:add", {"amount": 0}),
            ("counter:add", {}),
            ("glossary:ponder", {"seconds": 60}),
        ]
        results = await sandbox.execute_batch(calls, parallel=parallel, stop_on_error=True)
        assert [result.code for result in results] == ["ok", "invalid_argument", "cancelled", "cancelled"]
        assert (await sandbox.execute("counter:look")).text == "total 1"
        assert await sandbox.execute_batch([]) == []


# ---- replay


async def record(worker: Any, *calls: tuple[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any], Observation]]:
    return [(name, params, observation_of(await worker.execute(name, params), None)) for name, params in calls]


async def test_a_recorded_path_replays_in_a_session_that_goes_on_from_there():
    async with Sandbox(catalog=reference_catalog()) as sandbox:
        first = (await sandbox.create_session({"counter": {"start": 5}}))["counter"].id
        path = await record(sandbox, ("counter:add", {"amount": 3}), ("glossary:words", {}), ("counter:look", {}))
        again = await sandbox.replay(first, path)
        assert (again.replay.equal, again.replay.step, len(again.results)) == (True, None, 2)
        assert again.session.id != first
        assert (await sandbox.execute("counter:add", session=again.session.id)).data == {"total": 9}


async def test_a_replay_that_differs_says_where_and_how_much():
    async with Sandbox(catalog=reference_catalog()) as sandbox:
        first = (await sandbox.create_session({"counter": {"start": 5}}))["counter"].id
        path = await record(sandbox, ("glossary:words", {}), ("counter:label", {"text": "x"}), ("counter:look", {}))
        assert first == "counter-1"
        other = await sandbox.replay("counter", path)  # a fresh counter starts at 0
        assert (other.replay.equal, other.replay.step) == (False, 2)
        assert 0.8 < other.replay.similarity < 1
        assert (await sandbox.execute("counter:look", session=other.session.id)).text == "total 0\nx"


async def test_a_tool_may_say_itself_when_observations_are_equal():
    ticks = iter(range(100))

    class Clock(Backend):
        @tool(compare=lambda recorded, seen: recorded.text[:4] == seen.text[:4])
        async def read(self, state: None) -> str:
            """Read the clock."""
            return f"now {next(ticks)}"

    async with Sandbox(catalog=Catalog.of(clock=Clock)) as sandbox:
        path = await record(sandbox, ("clock:read", {}))
        assert (await sandbox.replay("clock", path)).replay.equal


# ---- blocking


def test_the_blocking_facade_does_what_the_sandbox_does():
    with Sandbox.sync(catalog=reference_catalog()) as sandbox:
        assert (sandbox.execute("counter:add", {"amount": 2})).data == {"total": 2}
        worker = sandbox.worker("w")
        info = worker.create_session("counter")["counter"]
        assert worker.worker_id == "w"
        assert [session.id for session in worker.list_sessions()] == [info.id]
        assert worker.renew(info.id).state == "ready"
        child = worker.fork(info.id)
        assert worker.execute("counter:add", session=child.id).ok
        assert worker.replay(info.id, []).replay.equal
        worker.close_session(child.id)
        worker.close()
        assert len(sandbox.execute_batch([("counter:add", {}), ("glossary:words", {})])) == 2
        assert "counter:add" in [one.name for one in sandbox.list_tools()]
        assert sandbox.tool_traits("counter:add")["forkable"]
        sandbox.warmup(["pages"])
        assert sandbox.status()["backends"]["pages"]["state"] == "ready"
        sandbox.execute("counter:label", {"text": "x" * 40_000})
        long = sandbox.execute("counter:look")
        assert sandbox.artifact(long.truncation.artifact, 0, 5) == b"total"
    with pytest.raises(SandboxError, match="is not open"):
        sandbox.execute("counter:add")


async def test_the_blocking_facade_works_inside_a_running_loop():
    with Sandbox.sync(catalog=reference_catalog()) as sandbox:
        assert sandbox.execute("counter:add").data == {"total": 1}


def test_an_interrupt_stops_the_work_behind_the_blocking_facade():
    ended = threading.Event()

    @register_api_tool(name="key:press")
    async def press() -> None:
        """Press Ctrl-C, and again where that was lost in a destructor or a callback of the garbage collector."""
        try:
            while True:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                await anyio.sleep(10)
        finally:
            ended.set()

    with Sandbox.sync(catalog=Catalog.of(press, counter=CounterBackend)) as sandbox:
        with pytest.raises(KeyboardInterrupt):
            sandbox.execute("key:press")
        assert ended.wait(5)
        assert sandbox.execute("counter:add").ok


def test_the_blocking_facade_raises_what_opening_raises():
    with pytest.raises(UnknownNameError), Sandbox.sync(catalog=reference_catalog(), config={"warmup": ["x"]}):
        pass
    with contextlib.suppress(SandboxError):
        Sandbox.sync(catalog=reference_catalog()).execute("counter:add")


async def test_artifacts_of_a_process_that_was_killed_are_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import anyio, os, signal\n"
        "from agentflow_core import Sandbox\n"
        "from agentflow_core.testing.backends import reference_catalog\n"
        "async def main():\n"
        "    async with Sandbox(catalog=reference_catalog()):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "anyio.run(main)\n"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = await anyio.run_process([sys.executable, "-c", code], check=False, env=environ)
    assert ran.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.glob("agentflow-*")] != []
    async with Sandbox(catalog=reference_catalog()):
        assert len(list(tmp_path.glob("agentflow-*"))) == 1
    assert list(tmp_path.glob("agentflow-*")) == []
