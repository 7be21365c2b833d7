"""Try failed requests again, by the kind of failure, with full jitter and a deadline."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from agentflow_core.errors import ModelError, RateLimitError
from agentflow_core.models.clock import Clock, SystemClock
from agentflow_core.models.config import RetryConfig
from agentflow_core.models.trace import call_trace

if TYPE_CHECKING:
    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import Completion, ModelRequest

__all__ = ["RetryingModel"]

_MESSAGE_CHARS = 200


class RetryingModel:
    """A model whose retryable failures are tried again.

    A transient failure is tried up to ``max_attempts`` times. A rate limit is waited out until the deadline however
    many attempts that takes, so that one long window does not use them all up; it is never tried before the time
    that the server asked for. Other failures (bad request, authentication, context overflow, content filter) are
    raised at once. What is finally raised has the history in ``attempts``. A wait holds no place in the limiter,
    which stands below.
    """

    def __init__(self, model: ChatModel, config: RetryConfig | None = None, *, clock: Clock | None = None) -> None:
        self.model = model
        self.config = config or RetryConfig()
        self._clock = clock or SystemClock()
        self._rng = Random(f"{self.config.seed}:{model.name}")

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    async def complete(self, request: ModelRequest) -> Completion:
        """The first answer. Raises the last failure."""
        config = self.config
        began = self._clock.now()
        history: list[str] = []
        failures = rate_limits = 0
        with call_trace() as trace:
            while True:
                trace.attempts += 1
                try:
                    return await self.model.complete(request)
                except ModelError as error:
                    history.append(_entry(trace.attempts, self._clock.now() - began, error))
                    if isinstance(error, RateLimitError):
                        rate_limits += 1
                    else:
                        failures += 1
                    wait = self._wait(error, max(failures, rate_limits))
                    over = self._clock.now() - began + wait > config.deadline_s
                    if not error.retryable or failures >= config.max_attempts or over:
                        error.attempts = tuple(history)
                        raise
                await self._clock.sleep(wait)

    async def aclose(self) -> None:
        """Close the model."""
        await self.model.aclose()

    def _wait(self, error: ModelError, attempt: int) -> float:
        """Full jitter below a bound that doubles; on top of what the server asked for, if it did."""
        bound = min(self.config.cap_s, self.config.base_s * 2.0 ** min(attempt - 1, 30))
        return (error.retry_after_s or 0.0) + self._rng.uniform(0.0, bound)


def _entry(attempt: int, elapsed_s: float, error: ModelError) -> str:
    status = f" {error.status}" if error.status is not None else ""
    return f"attempt {attempt} at {elapsed_s:.1f} s: {error.kind}{status}: {error.message[:_MESSAGE_CHARS]}"
