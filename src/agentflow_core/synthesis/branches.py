"""Execute the action of a node so that branches never share state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from attrs import frozen

from agentflow_core.errors import SandboxError
from agentflow_core.records import Action, Node, Observation, Replay
from agentflow_core.sandbox import compare_observations, observation_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import SandboxClient, SandboxWorker
    from agentflow_core.records import Seed

__all__ = ["Branches", "Executed"]


@frozen(kw_only=True)
class Executed:
    """What an action returned, and how the replay of the path to it compared where one was needed."""

    result: Observation
    replay: Replay | None = None


class Branches:
    """Executes actions of one seed's tree.

    Tools of shared backends and API tools keep no state, so they run as they are. Where the path or the action uses a
    session, the action gets fresh sessions of its own, in which the path's session calls are replayed first and their
    observations compared.
    """

    def __init__(self, *, seed: Seed, sandbox: SandboxClient, blobs: BlobStore | None) -> None:
        self.seed = seed
        self.sandbox = sandbox
        self.blobs = blobs

    async def execute(self, node_id: str, path: Sequence[Node], action: Action) -> Executed:
        """Run the action at the end of the path, for the node that will have the id.

        Raises:
            SandboxError: the sandbox failed, or had no room; a failing tool is an observation.
        """
        worker = self.sandbox.worker(node_id)
        try:
            replay = None
            stateful = [node for node in path if node.tool is not None and self._has_state(node.tool)]
            if stateful or self._has_state(action.tool):
                await self._open(worker, [*(node.tool or "" for node in stateful), action.tool])
                replay = await self._replay(worker, stateful)
            return Executed(result=await self._run(worker, action.tool, action.params), replay=replay)
        finally:
            with anyio.CancelScope(shield=True):
                await worker.aclose()

    def _has_state(self, tool: str) -> bool:
        return self.sandbox.tool_traits(tool).get("sharing") in ("session", "hybrid")

    async def _open(self, worker: SandboxWorker, tools: Sequence[str]) -> None:
        """Open the sessions that need the seed's own settings; the others open at their first call."""
        settings = self.seed.session or {}
        wanted = {tool.partition(":")[0] for tool in tools if self._has_state(tool)}
        if given := {backend: settings[backend] for backend in sorted(wanted) if backend in settings}:
            await worker.create_session(given)

    async def _replay(self, worker: SandboxWorker, nodes: Sequence[Node]) -> Replay | None:
        """Repeat the calls of the nodes, all of them, so that the session is as far as the path was.

        The verdict, of the first call that answered differently; None where there was nothing to repeat.
        """
        verdict = Replay(equal=True) if nodes else None
        for node in nodes:
            seen = await self._run(worker, node.tool or "", node.params)
            if verdict is not None and verdict.equal:
                compare = self.sandbox.tool_traits(node.tool or "").get("compare")
                verdict = compare_observations(node.result or Observation(), seen, node.depth, compare)
        return verdict

    async def _run(self, worker: SandboxWorker, tool: str, params: Mapping[str, Any]) -> Observation:
        """The observation of a call.

        Raises:
            SandboxError: it could not be run for want of room, which says nothing about the action.
        """
        result = await worker.execute(tool, params)
        if result.code == "overloaded":
            raise SandboxError(f"{tool} could not be run: {result.message}", code=result.code, hint=result.hint)
        return observation_of(result, self.blobs)
