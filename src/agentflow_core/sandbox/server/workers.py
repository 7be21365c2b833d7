"""Remember when workers gave a sign of life, and find those that no longer do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Heartbeats"]


class Heartbeats:
    """The workers of clients that send heartbeats, and when each was seen.

    Another one is not watched: its sessions have their idle time.
    """

    def __init__(self, lost_after_s: float, clock: Callable[[], float]) -> None:
        self.lost_after_s = lost_after_s
        self._clock = clock
        self._seen: dict[str, float] = {}

    def beat(self, worker: str) -> None:
        """The worker lives."""
        self._seen[worker] = self._clock()

    def seen(self, worker: str) -> None:
        """The worker did something; it counts as a heartbeat of one that is watched."""
        if worker in self._seen:
            self._seen[worker] = self._clock()

    def forget(self, worker: str) -> None:
        """The worker said goodbye."""
        self._seen.pop(worker, None)

    def lost(self) -> list[str]:
        """The workers whose last sign of life is too long ago, which are then forgotten."""
        past = self._clock() - self.lost_after_s
        found = [worker for worker, at in self._seen.items() if at <= past]
        for worker in found:
            del self._seen[worker]
        return found
