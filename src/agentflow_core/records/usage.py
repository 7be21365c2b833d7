"""What a model call, a unit or a run used."""

from __future__ import annotations

from attrs import frozen

from agentflow_core.records.base import Record

__all__ = ["Usage"]


@frozen(kw_only=True)
class Usage(Record):
    """Calls, tokens and their price; sums are exact, and a sum with an unknown price is unknown."""

    calls: int = 0
    prompt_tokens: int = 0  #: all input tokens, cached ones included
    cached_tokens: int = 0  #: input tokens the server had cached
    completion_tokens: int = 0  #: all output tokens, reasoning included
    reasoning_tokens: int = 0
    cost_usd: float | None = 0.0  #: None: the price is unknown, shown as ``?``, never as 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
        )
