"""Ask a provider: in its turn, unless its breaker is open, and again where that makes sense."""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from typing import TYPE_CHECKING, TypeVar

from agentflow_websearch.failures import WebFailure
from agentflow_websearch.pacing import Breaker, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_core.models.clock import Clock
    from agentflow_websearch.config import BreakerConfig, RetryConfig

__all__ = ["Upstream"]

T = TypeVar("T")
_MOST_BREAKERS = 1024


class Upstream:
    """One provider as all calls share it.

    Args:
        name: for messages.
        requests_per_minute: its token bucket; None: no limit.
        retries: which attempts are made again.
        breaker: when it is left alone.
        clock: what time is told by.
    """

    def __init__(
        self,
        name: str,
        *,
        requests_per_minute: float | None,
        retries: RetryConfig,
        breaker: BreakerConfig,
        clock: Clock,
    ) -> None:
        self.name = name
        self._retries = retries
        self._breaker = breaker
        self._clock = clock
        self._bucket = TokenBucket(name, requests_per_minute, clock)
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()
        self._rng = Random(f"{retries.seed}:{name}")

    async def call(self, attempt: Callable[[], Awaitable[T]], *, part: str = "") -> T:
        """The answer of the first attempt that succeeds.

        Args:
            attempt: one attempt; it raises `WebFailure`.
            part: what has a breaker of its own, such as a host.

        Raises:
            WebFailure: the last one.
        """
        retries = self._retries
        deadline = self._clock.now() + retries.deadline_s
        number = 0
        while True:
            number += 1
            await self._bucket.take(max(0.0, deadline - self._clock.now()))
            try:
                return await self._guarded(attempt, self._breaker_of(part))
            except WebFailure as failure:
                asked = failure.retry_after_s or 0.0
                if failure.code == "upstream_rate_limited" and asked and not part:
                    self._bucket.pause(asked)
                bound = min(retries.cap_s, retries.base_s * 2.0 ** (number - 1))
                wait = asked + self._rng.uniform(0.0, bound)
                if not failure.retry or number >= retries.max_attempts or self._clock.now() + wait > deadline:
                    raise
            await self._clock.sleep(wait)

    async def _guarded(self, attempt: Callable[[], Awaitable[T]], breaker: Breaker) -> T:
        breaker.enter()
        try:
            answer = await attempt()
        except WebFailure as failure:
            if failure.counts:
                breaker.failed()
            elif failure.code == "upstream_rate_limited":
                breaker.left()
            else:
                breaker.succeeded()
            raise
        except BaseException:  # cancelled: that says nothing about the provider
            breaker.left()
            raise
        breaker.succeeded()
        return answer

    def _breaker_of(self, part: str) -> Breaker:
        breaker = self._breakers.pop(part, None)
        if breaker is None:
            name = part or self.name
            breaker = Breaker(name, self._breaker.failures, self._breaker.cooldown_s, self._clock)
        self._breakers[part] = breaker
        if len(self._breakers) > _MOST_BREAKERS:
            self._breakers.popitem(last=False)
        return breaker
