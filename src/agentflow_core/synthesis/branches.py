"""Execute the actions of a wave so that branches never share state.

Tools of shared backends and API tools keep no state and run as they are. In a backend with sessions the first child
that acts goes on in the session of its parent; its siblings get forks, made before it acts, or fresh sessions in which
the path is replayed and each observation compared. Branches that find no room are parked: their sessions are closed,
and the path is replayed when they are grown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field, frozen

from agentflow_core.concurrency import run_all
from agentflow_core.errors import SandboxError
from agentflow_core.records import Action, Node, Observation, Replay
from agentflow_core.sandbox import compare_observations, observation_of
from agentflow_core.synthesis.seating import How, Need, Seat, Seating, seat
from agentflow_core.synthesis.tree_sessions import Held, TreeSessions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import SandboxClient, SandboxWorker
    from agentflow_core.records import Seed
    from agentflow_core.synthesis.isolation import Isolation
    from agentflow_core.synthesis.rooms import SessionPool

__all__ = ["Branches", "Executed", "Step"]

#: The sandbox's own answers: they say nothing about the action.
_NO_OBSERVATION = ("overloaded", "session_expired")


@frozen(kw_only=True)
class Step:
    """An action at the end of a path, for the node that will have the id."""

    node: str
    path: tuple[Node, ...]  #: from the root to the parent
    action: Action
    may_grow: bool  #: whether the node may be grown later

    @property
    def parent(self) -> str:
        """The id of the node that is grown."""
        return self.path[-1].id


@frozen(kw_only=True)
class Executed:
    """What an action returned, and how the replay of the path to it compared where one was needed."""

    result: Observation
    replay: Replay | None = None


@define
class _Fork:
    """A copy of the parent's session for one branch, once it is made; None where it could not be."""

    is_for_action: bool  # or is it held for later?
    ready: anyio.Event = field(factory=anyio.Event)
    held: Held | None = None


@define
class _Wave:
    """What the branches of one wave have of one backend."""

    seats: Mapping[str, Seat]
    parents: Mapping[str, Held]  # by the id of the parent
    forks: Mapping[str, Mapping[str, _Fork]]  # by the ids of the parent and of the branch


class Branches:
    """Executes the actions of one seed's tree. Open it with ``async with``: at its end no session is left.

    Args:
        seed: whose settings its sessions get.
        sandbox: where actions run.
        blobs: where images go.
        isolation: how branches are kept apart.
        pool: the sessions of the run, of which the tree gets its share.
    """

    def __init__(
        self, *, seed: Seed, sandbox: SandboxClient, blobs: BlobStore | None, isolation: Isolation, pool: SessionPool
    ) -> None:
        self.isolation = isolation
        self.blobs = blobs
        self.counts: Counter[str] = Counter()  #: actions by how they got their session, and parked branches
        self._worker = sandbox.worker(f"{seed.id}/0")  # for what has no state
        self._label = f"{seed.id}/shared"
        self._sessions = TreeSessions(
            sandbox=sandbox, pool=pool, backends=tuple(isolation.forkable), settings=seed.session or {}
        )
        self._held: dict[str, dict[str, Held]] = {}  # by node, by backend
        self._common: dict[str, Held] = {}  # what all branches share, where they do
        self._parked: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await self._worker.aclose()
            finally:
                await self._sessions.aclose()

    async def execute(self, steps: Sequence[Step], idle: Sequence[str] = ()) -> list[Executed]:
        """Run the actions of a wave; the results are in their order.

        Args:
            steps: in node-id order, all children of a node in one wave.
            idle: the nodes that wait to be grown in a later wave, the best first.

        Raises:
            SandboxError: the sandbox failed, or had no room; a failing tool is an observation.
        """
        if not any(self.isolation.backend(step.action.tool) for step in steps) and not self._held:
            return await run_all(partial(self._execute, step, {}) for step in steps)
        await self._sessions.reserve()
        if self.isolation.mode == "shared":
            return await self._execute_in_common(steps)
        parents = await self._parents(steps)
        await self._close_others(idle)
        waves = {}
        for backend in self.isolation.forkable:
            waves[backend] = await self._seat(backend, steps, parents, idle)
        jobs: list[Callable[[], Awaitable[Executed | None]]] = [
            partial(self._fork, wave.parents[parent], forks)
            for wave in waves.values()
            for parent, forks in wave.forks.items()
        ]
        jobs += [partial(self._execute, step, waves) for step in steps]
        return [done for done in await run_all(jobs) if done is not None]

    async def settle(self, paths: Iterable[Sequence[Node]]) -> None:
        """The wave is over: close the sessions of all nodes but those at the ends of the paths, which may be grown."""
        growable = {path[-1].id: path for path in paths}
        await self._close_others(growable)
        if self.isolation.mode in ("auto", "fork"):
            for node, path in growable.items():
                held = self._held.get(node, {})
                if any(b not in held and self.isolation.calls(path, b) for b in self.isolation.backends(path)):
                    self._parked.add(node)
            self.counts["parked"] = len(self._parked)
        self._sessions.release()

    # ---- who gets which session

    async def _parents(self, steps: Sequence[Step]) -> dict[str, dict[str, Held]]:
        """The sessions of the nodes that are grown now, without those that are gone."""
        found = {step.parent: self._held.pop(step.parent) for step in steps if step.parent in self._held}
        every = [(parent, held) for parent, mine in found.items() for held in mine.values()]
        there = await run_all(partial(self._sessions.is_there, held) for _, held in every)
        for (parent, held), is_there in zip(every, there, strict=True):
            if not is_there:
                del found[parent][held.backend]
        return found

    async def _seat(
        self, backend: str, steps: Sequence[Step], parents: Mapping[str, Mapping[str, Held]], idle: Sequence[str]
    ) -> _Wave:
        """Seat the wave in one backend, and close the sessions that nobody goes on in."""
        replays = self.isolation.mode == "replay"
        live = {parent: mine[backend] for parent, mine in parents.items() if backend in mine}
        seating: Seating = seat(
            [
                Need(
                    node=step.node,
                    parent=step.parent,
                    acts=self.isolation.backend(step.action.tool) == backend,
                    lives_on=step.may_grow and not replays,
                )
                for step in steps
            ],
            live=live,
            idle=[node for node in idle if backend in self._held.get(node, {})],
            room=self._sessions.room(backend),
            can_fork=self.isolation.forkable[backend],
        )
        heirs: set[str] = set()
        forks: dict[str, dict[str, _Fork]] = {}
        for step in steps:
            given = seating.seats.get(step.node)
            if given is None:
                continue
            acts = self.isolation.backend(step.action.tool) == backend
            if given.how is How.CONTINUE:
                heirs.add(step.parent)
                if not acts:
                    self._held.setdefault(step.node, {})[backend] = live[step.parent]
            elif given.how is How.FORK:
                forks.setdefault(step.parent, {})[step.node] = _Fork(is_for_action=acts)
        over = [held for parent, held in live.items() if parent not in heirs]
        for node in seating.parked:
            over.append(self._held[node].pop(backend))
            if not self._held[node]:
                del self._held[node]
        await self._close(over)
        return _Wave(seats=seating.seats, parents=live, forks=forks)

    async def _fork(self, parent: Held, forks: Mapping[str, _Fork]) -> None:
        """Copy the session of a parent, for one branch after the other, as a session is copied by one at a time."""
        for node, fork in forks.items():
            try:
                fork.held = await self._sessions.fork(parent)
            except SandboxError as error:
                if self.isolation.mode == "fork" or error.code == "overloaded":
                    raise
                self.counts["forks_failed"] += 1
            if fork.held is not None and not fork.is_for_action:
                self._held.setdefault(node, {})[parent.backend] = fork.held
            fork.ready.set()

    # ---- actions

    async def _execute(self, step: Step, waves: Mapping[str, _Wave]) -> Executed:
        backend = self.isolation.backend(step.action.tool)
        if backend is None:
            return Executed(result=await self._run(self._worker, step.action.tool, step.action.params))
        wave = waves[backend]
        given = wave.seats[step.node]
        held, replay = await self._sit_down(step, wave, given), None
        if held is None:
            held = await self._sessions.open(backend, step.node)
            calls = self.isolation.calls(step.path, backend)
            self.counts["replayed" if calls else "opened"] += 1
            replay = await self._replay(held, calls)
        result = await self._run(held.worker, step.action.tool, step.action.params, held.id)
        if given.keep and result.code != "session_lost":
            self._held.setdefault(step.node, {})[backend] = held
        else:
            await self._sessions.close(held)
        return Executed(result=result, replay=replay)

    async def _sit_down(self, step: Step, wave: _Wave, given: Seat) -> Held | None:
        """The session in which the path has happened already, where there is one for this branch."""
        forks = wave.forks.get(step.parent, {})
        if given.how is How.CONTINUE:
            for fork in forks.values():
                await fork.ready.wait()
            self.counts["continued"] += 1
            return wave.parents[step.parent]
        if given.how is How.FORK:
            fork = forks[step.node]
            await fork.ready.wait()
            self.counts["forked"] += fork.held is not None
            return fork.held
        return None

    async def _replay(self, held: Held, calls: Sequence[Node]) -> Replay | None:
        """Repeat the calls, all of them, so that the session is as far as the path was.

        The verdict, of the first call that answered differently; None where there was nothing to repeat.
        """
        verdict = Replay(equal=True) if calls else None
        for node in calls:
            seen = await self._run(held.worker, node.tool or "", node.params, held.id)
            if verdict is not None and verdict.equal:
                compare = self.isolation.traits[node.tool or ""].get("compare")
                verdict = compare_observations(node.result or Observation(), seen, node.depth, compare)
        return verdict

    async def _run(
        self, worker: SandboxWorker, tool: str, params: Mapping[str, Any], session: str | None = None
    ) -> Observation:
        """The observation of a call.

        Raises:
            SandboxError: it could not be run, which says nothing about the action.
        """
        result = await worker.execute(tool, params, session=session)
        if result.code in _NO_OBSERVATION:
            raise SandboxError(f"{tool} could not be run: {result.message}", code=result.code, hint=result.hint)
        return observation_of(result, self.blobs)

    async def _execute_in_common(self, steps: Sequence[Step]) -> list[Executed]:
        """Run the actions in the sessions that all branches share, in node-id order, so that no other order shows."""
        done: dict[str, Executed] = {}

        async def run(mine: Sequence[Step]) -> None:
            for step in mine:
                done[step.node] = await self._execute_shared(step)

        with_state = [step for step in steps if self.isolation.backend(step.action.tool) is not None]
        others = [[step] for step in steps if self.isolation.backend(step.action.tool) is None]
        await run_all(partial(run, lane) for lane in (with_state, *others))
        return [done[step.node] for step in steps]

    async def _execute_shared(self, step: Step) -> Executed:
        backend = self.isolation.backend(step.action.tool)
        if backend is None:
            return await self._execute(step, {})
        if backend not in self._common:
            self._common[backend] = await self._sessions.open(backend, self._label)
        held = self._common[backend]
        self.counts["shared"] += 1
        result = await self._run(held.worker, step.action.tool, step.action.params, held.id)
        if result.code == "session_lost":
            await self._sessions.close(self._common.pop(backend))
        return Executed(result=result)

    async def _close_others(self, nodes: Collection[str]) -> None:
        """Close what is held by other nodes than these."""
        over = [node for node in self._held if node not in nodes]
        await self._close([held for node in over for held in self._held.pop(node).values()])

    async def _close(self, sessions: Iterable[Held]) -> None:
        await run_all([partial(self._sessions.close, held) for held in sessions])
