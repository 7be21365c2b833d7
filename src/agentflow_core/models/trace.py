"""What the layers around one model call tell each other about it, beside request and completion."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CallTrace", "call_trace"]


@define
class CallTrace:
    """One call on its way through the layers."""

    attempts: int = 0  #: requests that were sent for it
    cached: bool = False  #: the answer came from the cache
    limit: int = 0  #: the concurrency limit when it was sent
    pause_s: float = 0.0  #: how long the server asks everybody to wait, told with a success


_current: ContextVar[CallTrace | None] = ContextVar("agentflow_model_call", default=None)


@contextmanager
def call_trace() -> Iterator[CallTrace]:
    """The trace of the call that this task is in; the outermost layer begins it."""
    trace = _current.get()
    if trace is not None:
        yield trace
        return
    trace = CallTrace()
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)
