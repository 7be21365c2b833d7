"""What an exception that ends a unit means: a failed unit that is kept, or the end of the run."""

from __future__ import annotations

import errno

from attrs import frozen

from agentflow_core.errors import (
    AgentFlowError,
    AuthenticationError,
    ConfigError,
    DataError,
    LimitReached,
    ModelError,
    PluginError,
    ReplayMissError,
    SandboxError,
    StorageError,
    UsageError,
)
from agentflow_core.records import Record

__all__ = ["UnitFailure", "ending_of", "failure_of"]

#: No other unit would fare better: a wrong key, a corpus that is not there, a full disk.
_ENDS_RUN = (AuthenticationError, ConfigError, DataError, ReplayMissError, StorageError, LimitReached)
_FULL = {errno.ENOSPC, errno.EDQUOT}


@frozen(kw_only=True)
class UnitFailure(Record):
    """Why a unit failed; its outcome is ``error:<kind>``."""

    kind: str
    type: str  #: the class of the exception
    message: str
    hint: str = ""
    attempts: tuple[str, ...] = ()  #: what a model call tried, oldest first


def ending_of(error: BaseException) -> AgentFlowError | None:
    """The exception for which the whole run has to end, if this is one or a group with one in it."""
    for leaf in _leaves(error):
        if isinstance(leaf, _ENDS_RUN):
            return leaf
        if isinstance(leaf, OSError) and leaf.errno in _FULL:
            ended = StorageError(f"no space left: {leaf}", hint="free some space, then start the same command again")
            ended.__cause__ = leaf
            return ended
    return None


def failure_of(error: BaseException) -> UnitFailure:
    """What is kept of a unit that failed. Of a group, its first exception that is not a bug, else its first."""
    leaves = _leaves(error)
    leaf = next((leaf for leaf in leaves if isinstance(leaf, AgentFlowError)), leaves[0])
    known = isinstance(leaf, AgentFlowError)
    return UnitFailure(
        kind=_kind(leaf),
        type=type(leaf).__qualname__,
        message=leaf.message if isinstance(leaf, AgentFlowError) else str(leaf),
        hint=leaf.hint if isinstance(leaf, AgentFlowError) else "",
        attempts=leaf.attempts if known and isinstance(leaf, ModelError) else (),
    )


def _kind(error: BaseException) -> str:
    match error:
        case ModelError():
            return error.kind
        case SandboxError():
            return error.code
        case PluginError():
            return "plugin"
        case UsageError():
            return "usage"
        case _:
            return "internal"


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
