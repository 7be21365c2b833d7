"""What keeps the branches of a tree apart: which tools have state, and what their backends can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from agentflow_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.interfaces import SandboxClient
    from agentflow_core.records import Node, Replay, ToolDefinition

__all__ = ["NOT_REPLAYABLE", "Isolation", "isolation_of", "replay_of"]

#: What the summary says of trees whose branches share their sessions.
NOT_REPLAYABLE = (
    "sampling.isolation is 'shared': the branches of a tree act in the same sessions and see what the others did, so "
    "that no path can be replayed and the data cannot be trusted to be reproducible"
)


@frozen(kw_only=True)
class Isolation:
    """How the branches of trees are kept apart: ``auto``, ``fork``, ``replay`` or ``shared``."""

    mode: Literal["auto", "fork", "replay", "shared"]
    forkable: Mapping[str, bool]  #: the backends whose tools have state, and whether they can fork
    traits: Mapping[str, Mapping[str, Any]]  #: of the tools

    @property
    def warning(self) -> str:
        """What a user has to be told of data that is made so, or nothing."""
        return NOT_REPLAYABLE if self.mode == "shared" and self.forkable else ""

    def backend(self, tool: str | None) -> str | None:
        """The backend in a session of which the tool acts; None for one that keeps no state."""
        group = (tool or "").partition(":")[0]
        return group if group in self.forkable and _has_state(self.traits[tool or ""]) else None

    def changes_state(self, tool: str) -> bool:
        """Whether a call of the tool may leave its session in another state."""
        return self.backend(tool) is not None and not self.traits[tool].get("read_only")

    def is_relative(self, tool: str) -> bool:
        """Whether what a call of the tool means depends on the state that its session is in."""
        return self.backend(tool) is not None and bool(self.traits[tool].get("relative"))

    def backends(self, path: Iterable[Node]) -> set[str]:
        """Those in which the state of the path is."""
        return {backend for node in path if (backend := self.backend(node.tool)) is not None}

    def calls(self, path: Sequence[Node], backend: str) -> list[Node]:
        """The nodes that made the state of the path in one backend: what came before a lost session is lost with it."""
        calls = [node for node in path if self.backend(node.tool) == backend]
        lost = max((index for index, node in enumerate(calls) if node.error == "session_lost"), default=-1)
        return calls[lost + 1 :]


def isolation_of(
    sandbox: SandboxClient, tools: Sequence[ToolDefinition], mode: Literal["auto", "fork", "replay", "shared"]
) -> Isolation:
    """The isolation of trees that grow with these tools.

    Raises:
        UsageError: every branch shall be a fork, and a backend cannot.
    """
    traits = {tool.name: sandbox.tool_traits(tool.name) for tool in tools}
    forkable = {
        name.partition(":")[0]: bool(found.get("forkable")) for name, found in traits.items() if _has_state(found)
    }
    if mode == "fork" and (unable := sorted(name for name, can in forkable.items() if not can)):
        raise UsageError(
            f"sampling.isolation is 'fork', but {', '.join(map(repr, unable))} cannot fork a session",
            hint="with 'auto' their branches get fresh sessions in which the path is replayed",
        )
    return Isolation(mode=mode, forkable=dict(sorted(forkable.items())), traits=traits)


def replay_of(path: Iterable[Node]) -> Replay | None:
    """How the path replayed: the first replay of one of its nodes that differed, else one that was equal, else None."""
    found = [node.replay for node in path if node.replay is not None]
    return next((replay for replay in found if not replay.equal), found[0] if found else None)


def _has_state(traits: Mapping[str, Any]) -> bool:
    return traits.get("sharing") in ("session", "hybrid")
