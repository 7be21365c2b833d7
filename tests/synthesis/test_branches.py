"""Branches: they never share a state, no order of completion shows, and no session is left or waited for in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.blobs import BlobStore
from agentflow_core.concurrency import run_all
from agentflow_core.errors import SandboxError, TransientError, UsageError
from agentflow_core.records import Node, Seed, ToolResult
from agentflow_core.sandbox import Backend, Catalog, Sandbox, Session, tool
from agentflow_core.synthesis.config import SamplingConfig
from agentflow_core.synthesis.sampling import Grown, Sampler
from agentflow_core.testing.models import ScriptedModel, says
from agentflow_core.testing.processes import ProcessBackend

SEED = Seed(id="s", content="start")
PLENTY = 1000


@define
class Log:
    """What happened in the sessions of a test."""

    rng: Random | None = None  #: the order in which calls complete
    said: list[str] = field(factory=list)
    open: Counter[str] = field(factory=Counter)  #: by backend
    most: Counter[str] = field(factory=Counter)
    opened: list[Mapping[str, Any]] = field(factory=list)
    fork_fails: bool = False
    ticks: int = 0

    def count(self, backend: str, number: int) -> None:
        self.open[backend] += number
        self.most[backend] = max(self.most[backend], self.open[backend])

    async def pause(self) -> None:
        for _ in range(self.rng.randrange(6) if self.rng else 1):
            await anyio.lowlevel.checkpoint()


@define
class Files:
    """The state of a session: its files."""

    backend: str
    files: dict[str, str] = field(factory=dict)


def catalog(log: Log) -> Catalog:
    """``notes``: files, which fork. ``pages``: files, which do not. ``facts``: texts without a state."""

    class Pages(Backend):
        """Files, some a session."""

        async def initialize(self, session: Session) -> Files:
            await log.pause()
            log.opened.append(session.settings)
            log.count(session.backend, 1)
            return Files(session.backend, dict(session.settings))

        async def cleanup(self, state: Files) -> None:
            log.count(state.backend, -1)

        @tool
        async def write(self, state: Files, path: str, text: str) -> str:
            """Write at the end of a file, and read it."""
            await log.pause()
            log.said.append(f"write {text}")
            state.files[path] = f"{state.files.get(path, '')} {text}".strip()
            return f"{path} holds {state.files[path]}"

        @tool(read_only=True)
        async def read(self, state: Files, path: str) -> ToolResult:
            """Read a file."""
            if path not in state.files:
                return ToolResult.failure("not_found", f"no {path}")
            return ToolResult.success(text=state.files[path])

        @tool
        async def tick(self, state: Files) -> str:
            """Say what nobody can foresee."""
            log.ticks += 1
            return f"tick number {log.ticks} of the clock"

        @tool
        async def crash(self, state: Files) -> str:
            """End the session."""
            raise SandboxError("it crashed", code="session_lost")

        @tool
        async def stuck(self, state: Files) -> str:
            """Wait for ever."""
            log.said.append("stuck")
            await anyio.sleep_forever()
            return "never"

    class Notes(Pages):
        """The same, and they fork."""

        async def fork(self, state: Files, session: Session) -> Files:
            await log.pause()
            if log.fork_fails:
                raise SandboxError("no fork today", code="internal")
            log.said.append("fork")
            log.count(state.backend, 1)
            return Files(state.backend, dict(state.files))

    class Facts(Backend):
        """Texts."""

        sharing = "shared"

        @tool(read_only=True)
        async def look(self, state: None, name: str) -> str:
            """Look a name up."""
            await log.pause()
            return f"{name} is a thing of {name} that was made in {name} by {name}"

    return Catalog.of(notes=Notes, pages=Pages, facts=Facts)


@define
class Grove:
    """Grows trees with tools that have a state."""

    folder: Path
    log: Log = field(factory=Log)
    sandbox: Sandbox | None = None

    async def grow(
        self,
        script: Any,
        *,
        seeds: Sequence[Seed] = (SEED,),
        tools: Sequence[str] = ("notes", "facts"),
        limits: Mapping[str, Mapping[str, Any]] | None = None,
        record: Path | None = None,
        replay: Path | None = None,
        **config: Any,
    ) -> list[Grown]:
        async with Sandbox(
            catalog=catalog(self.log),
            config={"state_dir": str(self.folder), "limits": limits or {}},
            artifacts=BlobStore(self.folder),
            record=record,
            replay=replay,
        ) as self.sandbox:
            sampler = Sampler(
                model=ScriptedModel(acting(script)),
                sandbox=self.sandbox,
                tools=[found for found in await self.sandbox.list_tools() if found.name.partition(":")[0] in tools],
                config=SamplingConfig(**{"max_depth": 2, "sessions_per_tree": PLENTY, "stale_novelty": 0.0} | config),
                blobs=None,
                observe=lambda _: None,
            )
            with anyio.fail_after(30):
                return await run_all(partial(sampler.grow, seed) for seed in seeds)

    @property
    def all_closed(self) -> bool:
        return bool(self.log.most) and not any(self.log.open.values())


@pytest.fixture
def grove(tmp_path: Path) -> Grove:
    return Grove(tmp_path / "state")


@pytest.fixture(scope="session")
def new_grove(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Grove]:
    folder = tmp_path_factory.mktemp("state")
    return lambda rng=None: Grove(folder, log=Log(rng=rng))


def act(tool_name: str, **params: Any) -> dict[str, Any]:
    return {"tool": tool_name, "params": params, "intent": f"use {tool_name}"}


def write(text: str, backend: str = "notes") -> dict[str, Any]:
    return act(f"{backend}:write", path="a", text=text)


def acting(script: Any) -> Callable[[Any], Any]:
    """A model that proposes what is written for a node's id (without the seed), or what a function says."""

    async def answer(request):
        inputs = request.inputs
        found = script(inputs) if callable(script) else script.get(at(inputs.path[-1]), [])
        if hasattr(found, "__await__"):
            found = await found
        return found if isinstance(found, Exception) else says(json={"actions": found})

    return answer


def at(node: Node) -> str:
    return node.id.partition("/")[2]


def texts(grown: Grown) -> dict[str, str]:
    return {at(node): node.result.text for node in grown.nodes if node.result is not None}


def bare(grown: Grown) -> list[Node]:
    """The nodes without how their branches came about."""
    return [evolve(node, replay=None) for node in grown.nodes]


WAYS = {
    "fork": {"tools": ("notes",), "isolation": "fork"},
    "auto with forks": {"tools": ("notes",)},
    "auto without forks": {"tools": ("pages",)},
    "replay": {"tools": ("notes",), "isolation": "replay"},
    "parked": {"tools": ("notes",), "sessions_per_tree": 1},
}

#: Two branches that write the same file, each twice.
SAME_FILE = {
    "0": ["begin"],
    "0.0": ["left", "right"],
    "0.0.0": ["left again"],
    "0.0.1": ["right again"],
}


def same_file(backend: str) -> dict[str, list[dict[str, Any]]]:
    return {node: [write(text, backend) for text in written] for node, written in SAME_FILE.items()}


# ---- what isolation is for


@pytest.mark.parametrize("way", WAYS)
async def test_branches_that_write_the_same_file_do_not_see_each_other(grove, way):
    options = WAYS[way]
    script = same_file(options["tools"][0])
    (grown,) = await grove.grow(script, max_depth=3, branching_factor=2, depth_threshold=2, **options)
    assert texts(grown) == {
        "0.0": "a holds begin",
        "0.0.0": "a holds begin left",
        "0.0.0.0": "a holds begin left left again",
        "0.0.1": "a holds begin right",
        "0.0.1.0": "a holds begin right right again",
    }
    assert grove.all_closed


@pytest.mark.parametrize("isolation", ["fork", "replay", "shared"])
async def test_files_of_real_processes_are_kept_apart_too(tmp_path, isolation):
    script = {
        node: [act("shell:run", command=f"echo {text} >>a; cat a") for text in written]
        for node, written in SAME_FILE.items()
    }
    config = {"state_dir": str(tmp_path), "launcher": {"kind": "none"}}
    async with Sandbox(catalog=Catalog.of(shell=ProcessBackend), config=config) as sandbox:
        sampler = Sampler(
            model=ScriptedModel(acting(script)),
            sandbox=sandbox,
            tools=await sandbox.list_tools(),
            config=SamplingConfig(max_depth=3, isolation=isolation, stale_novelty=0),
            blobs=None,
            observe=lambda _: None,
        )
        found = texts(await sampler.grow(SEED))
        assert (await sandbox.status())["sessions"] == 0
    if isolation == "shared":
        assert found["0.0.1"].split() == ["begin", "left", "right"]
    else:
        assert found["0.0.0.0"].splitlines() == ["begin", "left", "left again"]
        assert found["0.0.1.0"].splitlines() == ["begin", "right", "right again"]


async def test_branches_that_share_a_session_see_what_the_others_wrote(grove):
    (grown,) = await grove.grow(
        same_file("notes"), max_depth=3, branching_factor=2, depth_threshold=2, isolation="shared"
    )
    assert texts(grown)["0.0.1"] == "a holds begin left right"
    assert texts(grown)["0.0.1.0"] == "a holds begin left right left again right again"
    assert len(grove.log.opened) == 1
    assert grown.branches == {"shared": 5}
    assert grove.all_closed


# ---- where sessions come from


async def test_the_first_child_goes_on_and_its_siblings_fork_before_it_acts(grove):
    script = {"0": [write("root")], "0.0": [write("a"), write("b"), write("c")]}
    (grown,) = await grove.grow(script, branching_factor=3)
    assert grove.log.said[:1] == ["write root"]
    assert grove.log.said.index("write a") > max(i for i, said in enumerate(grove.log.said) if said == "fork")
    assert grown.branches == {"opened": 1, "continued": 1, "forked": 2, "parked": 0}
    assert len(grove.log.opened) == 1
    assert all(node.replay is None for node in grown.nodes)


async def test_without_forks_siblings_get_fresh_sessions_after_a_replay_of_the_path(grove):
    script = {"0": [write("root", "pages")], "0.0": [write(text, "pages") for text in "abc"]}
    (grown,) = await grove.grow(script, branching_factor=3, tools=("pages",))
    assert grown.branches == {"opened": 1, "continued": 1, "replayed": 2, "parked": 0}
    assert [node.replay.equal for node in grown.nodes if node.replay] == [True, True]
    assert {at(node) for node in grown.nodes if node.replay} == {"0.0.1", "0.0.2"}


async def test_isolation_by_replay_tries_every_path_again(grove):
    script = {"0": [write("one")], "0.0": [write("two")], "0.0.0": [write("three")]}
    (grown,) = await grove.grow(script, max_depth=3, branching_factor=1, isolation="replay")
    assert [node.replay and node.replay.equal for node in grown.nodes] == [None, None, True, True]
    assert grown.branches == {"opened": 1, "replayed": 2}
    assert grove.log.said.count("write one") == 3


async def test_a_backend_that_cannot_fork_is_refused_at_the_start_where_forks_are_asked_for(grove):
    with pytest.raises(UsageError, match="'fork', but 'pages' cannot fork a session"):
        await grove.grow({}, tools=("notes", "pages", "facts"), isolation="fork")


async def test_a_fork_that_fails_is_replaced_by_a_replay_unless_forks_are_asked_for(grove):
    grove.log.fork_fails = True
    (grown,) = await grove.grow(same_file("notes"), branching_factor=2)
    assert grown.branches["forks_failed"] == grown.branches["replayed"] == 1
    with pytest.raises(SandboxError, match="no fork today"):
        await grove.grow(same_file("notes"), branching_factor=2, isolation="fork")
    assert grove.all_closed


async def test_each_backend_of_a_path_is_kept_apart_by_its_own_means(grove):
    script = {
        "0": [write("n1")],
        "0.0": [write("p1", "pages")],
        "0.0.0": [act("facts:look", name="x"), write("n2"), write("p2", "pages")],
        "0.0.0.0": [write("n3")],
        "0.0.0.1": [write("p3", "pages")],
        "0.0.0.2": [write("n4")],
    }
    (grown,) = await grove.grow(
        script, tools=("notes", "pages", "facts"), max_depth=4, branching_factor=3, depth_threshold=3
    )
    found = texts(grown)
    assert found["0.0.0.1"] == "a holds n1 n2"
    assert found["0.0.0.2"] == "a holds p1 p2"
    assert found["0.0.0.0.0"] == "a holds n1 n3"
    assert found["0.0.0.1.0"] == "a holds p1 p3"
    assert found["0.0.0.2.0"] == "a holds n1 n4"
    replays = {at(node): node.replay.equal for node in grown.nodes if node.replay}
    assert replays == {"0.0.0.1.0": True}
    assert grove.all_closed


async def test_tools_without_state_open_no_session(grove):
    script = {"0": [act("facts:look", name="x"), act("facts:look", name="y")]}
    (grown,) = await grove.grow(script)
    assert grove.log.opened == []
    assert not any(grown.branches.values())


@pytest.mark.parametrize("way", WAYS)
async def test_every_session_starts_with_what_the_seed_says(grove, way):
    options = WAYS[way]
    backend = options["tools"][0]
    seed = Seed(id="s", content="x", session={backend: {"a": "given"}, "other": {"b": "c"}})
    (grown,) = await grove.grow(
        same_file(backend), seeds=[seed], max_depth=3, branching_factor=2, depth_threshold=2, **options
    )
    assert texts(grown)["0.0.1.0"] == "a holds given begin right right again"
    assert all(given == {"a": "given"} for given in grove.log.opened)


# ---- replays


async def test_a_path_that_does_not_come_out_the_same_is_marked_with_the_step(grove):
    script = {"0": [write("one")], "0.0": [act("notes:tick")], "0.0.0": [write("two")], "0.0.0.0": [write("three")]}
    (grown,) = await grove.grow(script, max_depth=4, branching_factor=1, isolation="replay")
    last = grown.nodes[-1].replay
    assert (last.equal, last.step) == (False, 2)
    assert 0.5 < last.similarity < 1
    assert texts(grown)["0.0.0.0.0"] == "a holds one two three"


async def test_a_tool_may_say_itself_what_comes_out_the_same(greenhouse, say):
    script = {"0": [say.act("counter:stamp")], "0.0": [say.act("counter:add", amount=1)]}
    grown = await greenhouse.grow(say.proposing(script), branching_factor=1, isolation="replay")
    assert greenhouse.world.stamped == 2
    assert grown.nodes[-1].replay.equal


async def test_a_session_that_is_gone_between_two_waves_is_replaced_by_a_replay(grove):
    async def propose(inputs):
        if len(inputs.path) == 1:
            return [write("one")]
        worker = grove.sandbox.worker("s/0.0")
        for info in await worker.list_sessions():
            await worker.close_session(info.id)
        return [write("two")]

    (grown,) = await grove.grow(propose, branching_factor=1)
    assert texts(grown)["0.0.0"] == "a holds one two"
    assert grown.nodes[-1].replay.equal
    assert grove.all_closed


async def test_after_a_session_was_lost_the_path_goes_on_in_a_new_one(grove):
    script = {"0": [write("one")], "0.0": [act("notes:crash")], "0.0.0": [write("two")], "0.0.0.0": [write("three")]}
    for isolation in ("auto", "replay"):
        (grown,) = await grove.grow(script, max_depth=4, branching_factor=1, isolation=isolation)
        assert [node.error for node in grown.nodes[1:]] == [None, "session_lost", None, None]
        assert texts(grown)["0.0.0.0.0"] == "a holds two three"
    assert grove.all_closed


# ---- room


async def test_branches_without_room_are_parked_and_replayed_when_they_are_grown(grove):
    (grown,) = await grove.grow(
        same_file("notes"), max_depth=3, branching_factor=2, depth_threshold=2, sessions_per_tree=1
    )
    assert grown.branches["parked"] > 0
    assert grown.branches["replayed"] > 0
    assert all(node.replay.equal for node in grown.nodes if node.replay)


def bushy(inputs):
    """Two writes and a look everywhere."""
    here = f"{inputs.seed.id} {at(inputs.path[-1])}"
    return [write(f"{here} x"), act("facts:look", name=here), write(f"{here} y"), write(f"{here} z")][: inputs.k]


SHAPE = {"max_depth": 3, "branching_factor": 4, "depth_threshold": 2}


@pytest.mark.parametrize("isolation", ["auto", "fork", "replay", "shared"])
@pytest.mark.parametrize("room", [1, 2, 5])
async def test_many_branches_of_many_seeds_share_little_room_without_waiting_for_each_other(grove, isolation, room):
    seeds = [Seed(id=f"s{number}", content="start") for number in range(6)]
    free = await grove.grow(bushy, seeds=seeds, isolation=isolation, **SHAPE)
    grove.log.most.clear()
    limits = {"notes": {"max_sessions": room, "queue_length": 0}}  # whoever asks for more than there is, is refused
    options = {"sessions_per_tree": 3, "limits": limits}
    tight = await grove.grow(bushy, seeds=seeds, isolation=isolation, **options, **SHAPE)
    assert list(map(bare, tight)) == list(map(bare, free))
    assert grove.log.most["notes"] <= room
    assert grove.all_closed


async def test_a_node_for_which_nothing_is_proposed_leaves_its_room_to_the_others(grove):
    script = {"0": [write("a"), write("b")], "0.1": [write("c"), write("d")]}
    limits = {"notes": {"max_sessions": 2, "queue_length": 0}}
    (grown,) = await grove.grow(script, sessions_per_tree=2, limits=limits, branching_factor=2)
    assert grown.branches == {"opened": 2, "continued": 1, "forked": 1, "parked": 0}
    assert texts(grown)["0.1.1"] == "a holds b d"


async def test_trees_with_two_backends_do_not_wait_for_each_other(grove):
    def mixed(inputs):
        here = f"{inputs.seed.id} {at(inputs.path[-1])}"
        first, second = ("notes", "pages") if int(inputs.seed.id[1:]) % 2 else ("pages", "notes")
        return [write(f"{here} x", first), write(f"{here} y", second)][: inputs.k]

    limits = {name: {"max_sessions": 1, "queue_length": 0} for name in ("notes", "pages")}
    seeds = [Seed(id=f"s{number}", content="start") for number in range(6)]
    grown = await grove.grow(mixed, seeds=seeds, tools=("notes", "pages"), limits=limits, max_depth=3)
    assert [len(tree.nodes) for tree in grown] == [11] * 6
    assert grove.all_closed


async def test_where_others_have_taken_the_room_the_seed_fails_as_overloaded(grove):
    async def propose(inputs):
        await grove.sandbox.worker("somebody else").create_session("notes")
        return [write("one")]

    limits = {"notes": {"max_sessions": 1, "queue_length": 0}}
    with pytest.raises(SandboxError) as caught:
        await grove.grow(propose, limits=limits)
    assert caught.value.code == "overloaded"
    assert grove.all_closed


# ---- the end


async def test_sessions_are_closed_when_a_seed_fails(grove):
    def propose(inputs):
        return bushy(inputs) if len(inputs.path) < 3 else TransientError("down")

    with pytest.raises(TransientError):
        await grove.grow(propose, **SHAPE)
    assert grove.all_closed


async def test_sessions_are_closed_when_the_growth_is_cancelled(grove):
    script = {"0": [write("one")], "0.0": [write("two"), act("notes:stuck"), write("three")]}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(grove.grow, script, branching_factor=3))
        with anyio.fail_after(10):
            while "stuck" not in grove.log.said:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert grove.all_closed


async def test_another_tree_gets_the_room_of_one_that_failed(grove):
    def propose(inputs):
        failed = inputs.seed.id == "s0" and len(inputs.path) > 1
        return TransientError("down") if failed else bushy(inputs)

    async def guarded(seed: Seed) -> int:
        try:
            return len((await sampler.grow(seed)).nodes)
        except TransientError:
            return 0

    limits = {"notes": {"max_sessions": 2, "queue_length": 0}}
    async with Sandbox(
        catalog=catalog(grove.log), config={"state_dir": str(grove.folder), "limits": limits}
    ) as sandbox:
        sampler = Sampler(
            model=ScriptedModel(acting(propose)),
            sandbox=sandbox,
            tools=await sandbox.list_tools(),
            config=SamplingConfig(**SHAPE, stale_novelty=0),
            blobs=None,
            observe=lambda _: None,
        )
        with anyio.fail_after(30):
            grown = await run_all(partial(guarded, Seed(id=f"s{number}", content="x")) for number in range(3))
    assert grown[0] == 0 < grown[1] == grown[2]


# ---- determinism


def rich(inputs):
    """Actions that depend on the path alone: writes in two backends, looks, failures, repeats."""
    own = Random(f"{inputs.path[-1].id} {[node.result and node.result.text for node in inputs.path]}")
    actions = []
    for _ in range(inputs.k + own.randrange(2)):
        kind = own.choice(["notes", "notes", "pages", "facts", "missing"])
        if kind not in {tool.name.partition(":")[0] for tool in inputs.tools}:
            kind = "missing" if kind == "missing" else "notes"
        if kind == "facts":
            actions.append(act("facts:look", name=f"n{own.randrange(50)}"))
        elif kind == "missing":
            actions.append(act("notes:read", path=f"p{own.randrange(9)}"))
        else:
            actions.append(act(f"{kind}:write", path=f"f{own.randrange(2)}", text=f"t{own.randrange(99)}"))
    return actions


def grown_with(grove: Grove, **config: Any) -> Grown:
    async def slowly(inputs):
        await grove.log.pause()
        return rich(inputs)

    shape = {"max_depth": 4, "branching_factor": 3, "depth_threshold": 2}
    options = {"tools": ("notes", "pages", "facts"), **shape, **config}
    return anyio.run(partial(grove.grow, slowly, **options))[0]


@settings(max_examples=30, deadline=None)
@given(
    order=st.integers(0, 10_000),
    seed=st.integers(0, 30),
    isolation=st.sampled_from(["auto", "replay", "shared"]),
    sessions=st.sampled_from([1, 2, 3, 5, PLENTY]),
    growth=st.sampled_from([{}, {"growth": "best_first", "node_budget": 20, "width": 2}]),
)
def test_a_tree_and_how_it_came_about_do_not_depend_on_which_call_completes_first(
    new_grove, order, seed, isolation, sessions, growth
):
    options = {"isolation": isolation, "sessions_per_tree": sessions, "seeds": [Seed(id=f"s{seed}", content="x")]}
    in_turn = grown_with(new_grove(), **options, **growth)
    shuffled_grove = new_grove(Random(order))
    shuffled = grown_with(shuffled_grove, **options, **growth)
    assert shuffled == in_turn
    assert len(in_turn.nodes) > 5
    assert not any(shuffled_grove.log.open.values())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 30), sessions=st.sampled_from([1, 2, 3, PLENTY]))
def test_the_same_tree_comes_out_with_forks_with_replays_and_parked(new_grove, seed, sessions):
    seeds = [Seed(id=f"s{seed}", content="x")]
    forked = grown_with(new_grove(), tools=("notes", "facts"), seeds=seeds, isolation="fork")
    replayed = grown_with(new_grove(), tools=("notes", "facts"), seeds=seeds, isolation="replay")
    mixed = grown_with(new_grove(), tools=("notes", "facts"), seeds=seeds, sessions_per_tree=sessions)
    assert bare(forked) == bare(replayed) == bare(mixed)
    assert all(node.replay.equal for grown in (replayed, mixed) for node in grown.nodes if node.replay)


@pytest.mark.parametrize("sessions", [1, 3, PLENTY])
@pytest.mark.parametrize("isolation", ["auto", "replay", "shared"])
def test_a_recorded_tree_is_answered_from_its_recording_in_whatever_order(new_grove, tmp_path, isolation, sessions):
    path = tmp_path / "tools.sqlite"
    options = {"isolation": isolation, "sessions_per_tree": sessions}
    recorded = grown_with(new_grove(Random(1)), record=path, **options)
    replaying = new_grove(Random(2))
    assert grown_with(replaying, replay=path, **options) == recorded
    assert replaying.log.opened == []
