"""Which sessions there are, whose they are, and what became of those that are gone."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox.sessions import LiveSession, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["SessionTable", "cannot_fork", "gone", "no_session"]

_REMEMBERED = 1000
_GONE = {
    "closed": ("not_found", "was closed"),
    "expired": ("session_expired", "expired"),
    "lost": ("session_lost", "was lost"),
}


class SessionTable:
    """Sessions by id and by worker, in order of opening; and the last 1,000 that are gone."""

    def __init__(self, suffix: str = "") -> None:
        self._suffix = f"-{suffix}" if suffix else ""
        self._live: dict[str, LiveSession] = {}
        self._of: dict[tuple[str, str], dict[str, LiveSession]] = {}
        self._gone: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._unannounced: OrderedDict[tuple[str, str], LiveSession] = OrderedDict()
        self._numbers: dict[str, int] = {}
        self._left: OrderedDict[str, int] = OrderedDict()
        self.departures = 0  #: how many workers have left so far; what a request notes when it begins

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(tuple(self._live.values()))

    def new_id(self, backend: str) -> str:
        """An id that no other session of the engine has or had."""
        number = self._numbers[backend] = self._numbers.get(backend, 0) + 1
        return f"{backend}-{number}{self._suffix}"

    def add(self, live: LiveSession) -> None:
        """Take a session that is about to start."""
        self._live[live.id] = live
        self._of.setdefault((live.worker_id, live.session.backend), {})[live.id] = live

    def remove(self, live: LiveSession) -> None:
        """Forget a session that is over, but for what became of it."""
        if self._live.pop(live.id, None) is None:
            return
        key = (live.worker_id, live.session.backend)
        mine = self._of[key]
        del mine[live.id]
        if not mine:
            del self._of[key]
        if live.error is None:
            _remember(self._gone, live.id, (live.worker_id, live.reason))

    def owner(self, session_id: str) -> str | None:
        """The worker that has the session, or had it."""
        live = self._live.get(session_id)
        if live is not None:
            return live.worker_id
        return self._gone.get(session_id, (None, ""))[0]

    def was(self, session_id: str, worker_id: str) -> bool:
        """Did the worker have that session, now gone or closing?"""
        return self.owner(session_id) == worker_id

    def announce(self, live: LiveSession) -> None:
        """Have the worker told, at its next call without a session, that this one is gone with its state."""
        _remember(self._unannounced, (live.worker_id, live.session.backend), live)

    def leave(self, worker_id: str) -> None:
        """The worker leaves: what it has asked for by now opens no session any more."""
        self.departures += 1
        _remember(self._left, worker_id, self.departures)

    def check_present(self, worker_id: str, since: int) -> None:
        """Raise `SandboxError` if the worker has left since so many had."""
        if self._left and self._left.get(worker_id, 0) > since:
            raise SandboxError(f"worker {worker_id!r} was closed before its session was opened", code="cancelled")

    def forget_worker(self, worker_id: str) -> None:
        """Nothing is left to tell the worker."""
        for key in [key for key in self._unannounced if key[0] == worker_id]:
            del self._unannounced[key]

    def of_worker(self, worker_id: str) -> Iterable[LiveSession]:
        """The worker's sessions, in order of opening."""
        return [live for live in self._live.values() if live.worker_id == worker_id]

    def named(self, session_id: str, worker_id: str) -> LiveSession:
        """The session of the id.

        Raises:
            Refusal: there is none, it is gone, or it is another worker's.
        """
        live = self._live.get(session_id)
        if live is not None and live.worker_id == worker_id and live.state not in ("draining", "closed", "failed"):
            return live
        if live is not None and live.worker_id == worker_id and live.error is None:
            raise Refusal(gone(session_id, live.reason))
        owner, reason = self._gone.get(session_id, ("", ""))
        if owner == worker_id and reason:
            raise Refusal(gone(session_id, reason))
        raise Refusal(no_session(session_id, worker_id))

    def default(self, worker_id: str, backend: str) -> LiveSession | None:
        """The worker's oldest session of the backend that is open or starting, or None.

        Raises:
            Refusal: the one that it had is gone with its state, and the worker was not yet told.
        """
        key = (worker_id, backend)
        for live in self._of.get(key, {}).values():
            if live.state in ("ready", "busy", "starting"):
                return live
        if self._unannounced and (lost := self._unannounced.pop(key, None)) is not None:
            raise Refusal(gone(lost.id, lost.reason))
        return None


def gone(session_id: str, reason: str) -> ToolResult:
    """The answer to a call in a session that is no more."""
    code, what = _GONE[reason]
    return ToolResult.failure(
        code,
        f"session {session_id!r} {what}; its state is gone",
        hint="the next call without a session opens a new one",
    )


def no_session(session_id: str, worker_id: str) -> ToolResult:
    """The answer to a call in a session that the worker never had."""
    return ToolResult.failure(
        "not_found",
        f"worker {worker_id!r} has no session {session_id[:100]!r}",
        hint="leave the session out to use the worker's own, or create one",
    )


def cannot_fork(backend: str) -> SandboxError:
    """The error of a fork that a backend does not offer."""
    return SandboxError(
        f"backend {backend!r} cannot fork a session",
        code="unsupported",
        hint="open a fresh session and replay the calls in it",
    )


def _remember(store: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
    store[key] = value
    store.move_to_end(key)
    if len(store) > _REMEMBERED:
        store.popitem(last=False)
