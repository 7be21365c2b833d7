"""How many requests a server gets at once: a limit that finds itself, pauses that the server asks for, and quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from attrs import define, frozen

from agentflow_core.errors import RateLimitError, TransientError
from agentflow_core.models.clock import Clock, SystemClock
from agentflow_core.models.trace import call_trace
from agentflow_core.records import TextPart

if TYPE_CHECKING:
    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import Completion, ModelRequest

__all__ = ["AdaptiveLimiter", "LimitedModel", "estimate_tokens"]

_START = 64
_DECREASE = 0.75
#: A quota per minute may be used this many seconds ahead at once.
_BURST_S = 10.0
_CHARS_PER_TOKEN = 4
_IMAGE_TOKENS = 800
_ANSWER_TOKENS = 256


@frozen
class _Permit:
    """One request under way: how often the limit had been lowered when it began, and the tokens set aside for it."""

    epoch: int
    tokens: int


@define
class _Quota:
    """A token bucket; it may be overdrawn by one request, which the next ones wait for."""

    per_minute: float
    level: float
    at: float

    @property
    def capacity(self) -> float:
        return max(1.0, self.per_minute * _BURST_S / 60)

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until ``amount`` may be taken."""
        self.level = min(self.capacity, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        missing = min(amount, self.capacity) - self.level
        return missing * 60 / self.per_minute if missing > 1e-9 else 0.0


class AdaptiveLimiter:
    """Gates the requests to one model on one server, first come first served.

    The limit starts at ``min(max_concurrency, 64)`` and doubles after each clean window (as many answers as the
    limit, which was reached) until the first 429; from then on it grows by one a window. A 429 lowers it to three
    quarters, once for all requests that were under way together. A ``Retry-After`` pauses everybody.
    """

    def __init__(
        self,
        max_concurrency: int,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.max_concurrency = max_concurrency
        self.in_flight = 0
        self._clock = clock or SystemClock()
        self._limit = float(min(max_concurrency, _START))
        self._turnstile = anyio.Lock(fast_acquire=True)
        self._freed = anyio.Event()
        self._epoch = 0
        self._doubling = True
        self._clean = 0
        self._reached = False
        self._paused_until = self._clock.now()
        self._requests = self._quota(requests_per_minute)
        self._tokens = self._quota(tokens_per_minute)

    @property
    def limit(self) -> int:
        """How many requests may be under way now."""
        return int(self._limit)

    @property
    def counts_tokens(self) -> bool:
        """Is there a quota of tokens, so that requests must be estimated?"""
        return self._tokens is not None

    async def acquire(self, tokens: int = 0) -> _Permit:
        """Wait until one more request may be sent; ``tokens`` is its estimated size."""
        async with self._turnstile:  # the first in the queue waits for time and room, the others for it
            while True:
                wait = self._wait_s(tokens)
                if wait > 0:
                    await self._clock.sleep(wait)
                elif self.in_flight >= self.limit:
                    self._reached = True
                    self._freed = anyio.Event()
                    await self._freed.wait()
                else:
                    break
            self.in_flight += 1
            self._reached = self._reached or self.in_flight >= self.limit
            if self._requests is not None:
                self._requests.level -= 1
            if self._tokens is not None:
                self._tokens.level -= tokens
            return _Permit(self._epoch, tokens)

    def succeeded(self, permit: _Permit, *, tokens: int = 0, pause_s: float = 0.0) -> None:
        """The request was answered with ``tokens`` used; the server may ask everybody to pause."""
        self._release(permit, tokens)
        self.pause(pause_s)
        self._clean += 1
        if self._clean >= self.limit:
            if self._reached:
                grown = self._limit * 2 if self._doubling else self._limit + 1
                self._limit = min(float(self.max_concurrency), grown)
            self._clean = 0
            self._reached = False

    def rate_limited(self, permit: _Permit, *, retry_after_s: float | None = None) -> None:
        """The request was refused with 429."""
        self._release(permit, 0)
        self.pause(retry_after_s or 0.0)
        if permit.epoch == self._epoch:
            self._epoch += 1
            self._limit = max(1.0, self._limit * _DECREASE)
            self._doubling = False
            self._clean = 0
            self._reached = False

    def failed(self, permit: _Permit) -> None:
        """The request failed otherwise, or was cancelled."""
        self._release(permit, 0)

    def pause(self, seconds: float) -> None:
        """Send nothing for that long."""
        if seconds > 0:
            self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def _release(self, permit: _Permit, tokens: int) -> None:
        self.in_flight -= 1
        if self._tokens is not None:
            self._tokens.level += permit.tokens - tokens
        self._freed.set()

    def _wait_s(self, tokens: int) -> float:
        now = self._clock.now()
        wait = self._paused_until - now
        if self._requests is not None:
            wait = max(wait, self._requests.wait_s(now, 1))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait_s(now, tokens))
        return wait

    def _quota(self, per_minute: float | None) -> _Quota | None:
        if per_minute is None:
            return None
        quota = _Quota(per_minute, 0.0, self._clock.now())
        quota.level = quota.capacity
        return quota


class LimitedModel:
    """A model whose requests pass a limiter, which it may share with others on the same server."""

    def __init__(self, model: ChatModel, limiter: AdaptiveLimiter) -> None:
        self.model = model
        self.limiter = limiter

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    async def complete(self, request: ModelRequest) -> Completion:
        """The answer of the model; raises what the model raises."""
        limiter = self.limiter
        permit = await limiter.acquire(estimate_tokens(request) if limiter.counts_tokens else 0)
        with call_trace() as trace:
            trace.limit = limiter.limit
            trace.pause_s = 0.0
            try:
                completion = await self.model.complete(request)
            except RateLimitError as error:
                limiter.rate_limited(permit, retry_after_s=error.retry_after_s)
                raise
            except TransientError as error:
                limiter.failed(permit)
                limiter.pause(error.retry_after_s or 0.0)  # a 503 may say when the server is back
                raise
            except BaseException:  # cancellation too must give the place back
                limiter.failed(permit)
                raise
            limiter.succeeded(permit, tokens=completion.usage.total_tokens, pause_s=trace.pause_s)
        return completion

    async def aclose(self) -> None:
        """Close the model."""
        await self.model.aclose()


def estimate_tokens(request: ModelRequest) -> int:
    """About how many tokens a request takes with its answer, before the server has counted."""
    chars = 0
    images = 0
    for message in request.messages:
        for part in message.content:
            if isinstance(part, TextPart):
                chars += len(part.text)
            else:
                images += 1
        chars += sum(len(call.arguments) for call in message.tool_calls)
    answer = request.sampling.max_tokens or _ANSWER_TOKENS
    return chars // _CHARS_PER_TOKEN + images * _IMAGE_TOKENS + answer
