"""How often a provider is asked: a token bucket, and a circuit breaker that leaves it alone while it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_websearch.failures import WebFailure

if TYPE_CHECKING:
    from agentflow_core.models.clock import Clock

__all__ = ["Breaker", "TokenBucket"]

#: A quota per minute may be used this many seconds ahead at once.
_BURST_S = 10.0


class TokenBucket:
    """Lets so many requests a minute pass, first come first served; None: any number, but for the pauses."""

    def __init__(self, name: str, per_minute: float | None, clock: Clock) -> None:
        self._name = name
        self._per_minute = per_minute
        self._clock = clock
        self._capacity = max(1.0, (per_minute or 0.0) * _BURST_S / 60)
        self._level = self._capacity
        self._at = clock.now()
        self._paused_until = self._at

    async def take(self, patience_s: float) -> None:
        """Wait for a turn.

        Raises:
            WebFailure: ``upstream_rate_limited``: it would take longer than ``patience_s``.
        """
        until = self._clock.now() + patience_s
        wait = self._wait_s()
        self._refuse(wait, until)
        self._level -= 1  # a turn ahead, for which those who come later wait
        try:
            while wait > 0:
                await self._clock.sleep(wait)
                wait = self._paused_until - self._clock.now()  # somebody may have been told to wait meanwhile
                self._refuse(wait, until)
        except BaseException:  # cancelled, or too late: the next one may have it
            self._level += 1
            raise

    def pause(self, seconds: float) -> None:
        """Let nobody pass for that long."""
        self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def _refuse(self, wait: float, until: float) -> None:
        if wait > 0 and self._clock.now() + wait > until:
            raise WebFailure(
                "upstream_rate_limited", f"{self._name} may be asked again in {wait:.0f} s", retry_after_s=wait
            )

    def _wait_s(self) -> float:
        now = self._clock.now()
        wait = self._paused_until - now
        if self._per_minute is not None:
            self._level = min(self._capacity, self._level + (now - self._at) * self._per_minute / 60)
            self._at = now
            missing = 1.0 - self._level
            if missing > 1e-9:
                wait = max(wait, missing * 60 / self._per_minute)
        return wait


class Breaker:
    """Opens after so many failures in a row; when it has cooled down, one request tries, and the others still wait."""

    def __init__(self, name: str, failures: int, cooldown_s: float, clock: Clock) -> None:
        self._name = name
        self._most = failures
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._failed = 0
        self._open_until: float | None = None
        self._is_trying = False

    @property
    def is_closed(self) -> bool:
        """Has nothing failed since the last success?"""
        return self._failed == 0

    def enter(self) -> None:
        """Begin an attempt, which `succeeded`, `failed` or `left` ends.

        Raises:
            WebFailure: ``upstream_error``: it is open.
        """
        if self._open_until is None:
            return
        wait = self._open_until - self._clock.now()
        if wait > 0 or self._is_trying:
            raise WebFailure(
                "upstream_error",
                f"{self._name} failed {self._failed} times in a row and is left alone for now",
                hint="try again later, or do without",
                retry_after_s=max(wait, 1.0),
            )
        self._is_trying = True

    def succeeded(self) -> None:
        """The attempt was answered."""
        self._failed = 0
        self._open_until = None
        self._is_trying = False

    def failed(self) -> None:
        """The attempt failed in a way that counts."""
        self._is_trying = False
        self._failed += 1
        if self._failed >= self._most:
            self._open_until = self._clock.now() + self._cooldown_s

    def left(self) -> None:
        """The attempt ended without saying anything about the provider: it was cancelled, or told to wait."""
        self._is_trying = False
