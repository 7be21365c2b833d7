"""Run a statement within its time and memory: in a thread, so that a signal and a deadline reach what is in C code."""

from __future__ import annotations

import resource
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["TimedOut", "bounded", "memory_bounded"]

T = TypeVar("T")

_AGAIN_S: Final = 0.05  # an interrupt that comes before the statement runs is lost, so it is repeated
_SHARE: Final = 0.75  # of the session's memory that its mapped data may reach while a statement runs
_LEAST: Final = 0.25  # of it, that may be mapped anew in any case: allocators keep what is free


class TimedOut(Exception):
    """The statement was interrupted because its time was over."""


class _Outcome(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self.done = threading.Event()
        self.value: T
        self.error: BaseException | None = None
        self._work = work

    def run(self) -> None:
        try:
            self.value = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            self.error = error
        finally:
            self.done.set()


def bounded(work: Callable[[], T], interrupt: Callable[[], None], seconds: float) -> T:
    """What ``work`` returns; after ``seconds``, or at a signal, ``interrupt`` is called until it gives up.

    Raises:
        TimedOut: its time was over.
        KeyboardInterrupt: a signal came; the work has ended.
        BaseException: what the work raised.
    """
    outcome = _Outcome(work)
    thread = threading.Thread(target=outcome.run, daemon=True)
    stopped: KeyboardInterrupt | None = None
    thread.start()
    try:
        outcome.done.wait(seconds)
    except KeyboardInterrupt as signal:
        stopped = signal
    late = not outcome.done.is_set()
    while not outcome.done.is_set():
        interrupt()
        try:
            outcome.done.wait(_AGAIN_S)
        except KeyboardInterrupt as signal:
            stopped = signal
    thread.join()
    if stopped is not None:
        raise stopped
    if outcome.error is None:
        return outcome.value
    if late:
        raise TimedOut from outcome.error
    raise outcome.error


@contextmanager
def memory_bounded(memory_bytes: int | None) -> Iterator[None]:
    """Let allocations fail before the session is killed for want of memory; engines take that as an error.

    ``RLIMIT_DATA`` counts what is mapped, not what is used: what this process has mapped without using it before its
    first statement is allowed on top.
    """
    if memory_bytes is None:
        yield
        return
    mapped, used = _mapped_and_used()
    _first.setdefault("unused", max(0, mapped - used))
    wanted = max(int(memory_bytes * _SHARE) + _first["unused"], mapped + int(memory_bytes * _LEAST))
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = min((each for each in (soft, hard) if each != resource.RLIM_INFINITY), default=wanted)
    resource.setrlimit(resource.RLIMIT_DATA, (min(wanted, ceiling), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


_first: dict[str, int] = {}


def _mapped_and_used() -> tuple[int, int]:
    """Bytes of private writable memory that are mapped, and those of them that are in use; where it is not told, 0."""
    found = {"VmData": 0, "RssAnon": 0}
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                name, _, rest = line.partition(":")
                if name in found:
                    found[name] = int(rest.split()[0]) << 10
    except OSError:
        return 0, 0
    return found["VmData"], found["RssAnon"]
