"""What a recorded tool call is known by: what ran before it in its session, the tool, and its arguments."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import orjson
from attrs import define, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.sandbox.tools import ToolFunction

__all__ = ["Histories", "Request"]


@frozen(kw_only=True)
class Request:
    """A call as it is stored: its key, and the JSON that a person reads when no answer is found."""

    key: str
    body: bytes


@define
class _History:
    worker_id: str
    chain: str  # hash of what the session was made from and of every call in it so far
    step: int = 0
    forks: int = 0


class Histories:
    """The history of every session. Nothing in it depends on session ids or on what other workers do."""

    def __init__(self) -> None:
        self._of: dict[str, _History] = {}
        self._opened: dict[tuple[str, str], int] = {}

    def open(self, session_id: str, worker_id: str, backend: str, settings: Mapping[str, Any]) -> None:
        """Begin the history of a session; the worker's sessions of one backend are told apart by their number."""
        number = self._opened[worker_id, backend] = self._opened.get((worker_id, backend), 0) + 1
        self._of[session_id] = _History(worker_id, _digest(backend, number, settings))

    def fork(self, session_id: str, parent_id: str, backend: str) -> None:
        """Begin the history of a fork: what its parent's was, and its number among the forks of that."""
        parent = self._of[parent_id]
        parent.forks += 1
        self._of[session_id] = _History(parent.worker_id, _digest(parent.chain, backend, parent.forks), parent.step)

    def close(self, session_id: str) -> None:
        """Forget a session."""
        self._of.pop(session_id, None)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._of

    def request(self, session_id: str, function: ToolFunction, arguments: Mapping[str, Any]) -> Request:
        """The call as the next one of the session; of a tool without one (id ``""``), by itself."""
        return self._next(session_id, {"tool": function.name, "params": function.canonical(arguments)})

    def file_request(self, session_id: str, action: str, backend: str, **details: Any) -> Request:
        """The reading or writing of a file, likewise."""
        return self._next(session_id, {"file": action, "backend": backend, **details})

    def _next(self, session_id: str, body: dict[str, Any]) -> Request:
        if not session_id:
            return Request(key=_digest(body), body=_json(body))
        history = self._of[session_id]
        body |= {"worker": history.worker_id, "step": history.step}
        return Request(key=_digest(body, history.chain), body=_json(body))

    def advance(self, session_id: str, request: Request) -> None:
        """The call has run."""
        if session_id:
            history = self._of[session_id]
            history.chain = _digest(history.chain, request.key)
            history.step += 1


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=repr)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(_json(parts)).hexdigest()
