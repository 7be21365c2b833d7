"""Budgets in US dollars, tokens, calls and wall time: a call beyond one raises `LimitReached`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.errors import LimitReached
from agentflow_core.models.clock import Clock, SystemClock
from agentflow_core.models.trace import call_trace
from agentflow_core.records import Usage
from agentflow_core.records.events import Event, LimitHit

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.models.config import BudgetConfig
    from agentflow_core.records import Completion, ModelRequest

__all__ = ["Budget", "BudgetedModel"]


class Budget:
    """What may be used, and what was used of it. A run has one; a unit of work may have its own.

    Calls are counted when they begin, so that their limit is exact. Tokens and dollars are known when an answer is
    there: what is in flight when a limit is reached is finished and counted.

    Args:
        limits: the limits.
        used: what was used before, such as by the part of the run that is resumed.
        count_cached: answers from the cache count too (a unit's budget ends it at the same point on every resume);
            a run's budget counts only what is really spent.
        observe: is told once of each kind of limit that was reached.
        clock: for wall time, which begins now.
    """

    def __init__(
        self,
        limits: BudgetConfig,
        *,
        used: Usage | None = None,
        count_cached: bool = True,
        observe: Callable[[Event], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits
        self.count_cached = count_cached
        self._used = used or Usage()
        self._calls = self._used.calls
        self._observe = observe
        self._clock = clock or SystemClock()
        self._began = self._clock.now()
        self._told: set[str] = set()

    @property
    def used(self) -> Usage:
        """What was used so far; ``calls`` includes those in flight."""
        used = self._used
        return Usage(
            calls=self._calls,
            prompt_tokens=used.prompt_tokens,
            cached_tokens=used.cached_tokens,
            completion_tokens=used.completion_tokens,
            reasoning_tokens=used.reasoning_tokens,
            cost_usd=used.cost_usd,
        )

    def check(self) -> None:
        """Raise `LimitReached` if nothing more may be used.

        Raises:
            LimitReached: with ``kind`` usd, tokens, calls or wall_time.
        """
        limits, used = self.limits, self._used
        if limits.calls is not None and self._calls >= limits.calls:
            self._reached("calls", f"the budget of {limits.calls} model calls is used up")
        if limits.tokens is not None and used.total_tokens >= limits.tokens:
            self._reached("tokens", f"{used.total_tokens} of {limits.tokens} tokens are used")
        if limits.usd is not None and used.cost_usd is not None and used.cost_usd >= limits.usd and used.cost_usd > 0:
            self._reached("usd", f"${used.cost_usd:.4f} of ${limits.usd:g} are spent")
        if limits.usd is not None and used.cost_usd is None:
            self._reached("usd", "the price of the answers is unknown, so a budget in dollars cannot be kept")
        if limits.wall_time_s is not None and self._clock.now() - self._began >= limits.wall_time_s:
            self._reached("wall_time", f"{limits.wall_time_s:g} seconds are over")

    def begin(self) -> None:
        """Count one call that begins. Raises `LimitReached` if it may not."""
        self.check()
        self._calls += 1

    def end(self, usage: Usage | None, *, cached: bool = False) -> None:
        """Count what a call used; None: it failed and used nothing that is known."""
        if cached and not self.count_cached:
            self._calls -= 1
            return
        if usage is not None:
            self._used += usage

    def _reached(self, kind: str, message: str) -> None:
        if kind not in self._told and self._observe is not None:
            self._told.add(kind)
            self._observe(LimitHit(kind=kind, message=message))
        raise LimitReached(kind, message, hint="what was done is kept; resume with a larger budget")


class BudgetedModel:
    """A model whose calls are counted against a budget."""

    def __init__(self, model: ChatModel, budget: Budget) -> None:
        self.model = model
        self.budget = budget

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    async def complete(self, request: ModelRequest) -> Completion:
        """The answer. Raises `LimitReached` when the budget is used up, and what the model raises."""
        self.budget.begin()
        with call_trace() as trace:
            usage: Usage | None = None
            try:
                completion = await self.model.complete(request)
                usage = completion.usage
            finally:
                self.budget.end(usage, cached=trace.cached)
        return completion

    async def aclose(self) -> None:
        """Close the model."""
        await self.model.aclose()
