"""Count what each role really spends, and tell of every model call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.errors import ModelError
from agentflow_core.models.clock import Clock, SystemClock
from agentflow_core.models.trace import CallTrace, call_trace
from agentflow_core.records import ModelRole, Purpose, Usage
from agentflow_core.records.events import Event, ModelCalled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import Completion, ModelRequest

__all__ = ["AccountedModel", "Ledger", "Spending"]


@frozen(kw_only=True)
class Spending:
    """What one model spent in one role for one purpose."""

    model: str
    role: ModelRole
    purpose: Purpose
    usage: Usage


class Ledger:
    """What a run's models really spent: answers from the cache cost nothing, failed requests count as calls."""

    def __init__(self) -> None:
        self._usage: dict[tuple[str, ModelRole, Purpose], Usage] = {}

    def add(self, model: str, request: ModelRequest, usage: Usage) -> None:
        """Count a call."""
        key = (model, request.role, request.purpose)
        known = self._usage.get(key)
        self._usage[key] = usage if known is None else known + usage

    @property
    def by_role(self) -> Mapping[str, Usage]:
        """The sums by role; roles that were never played are missing."""
        found: dict[str, Usage] = {}
        for (_, role, _), usage in sorted(self._usage.items()):
            found[role] = found[role] + usage if role in found else usage
        return found

    @property
    def entries(self) -> tuple[Spending, ...]:
        """The sums by model, role and purpose (which is the stage), sorted."""
        return tuple(
            Spending(model=model, role=role, purpose=purpose, usage=usage)
            for (model, role, purpose), usage in sorted(self._usage.items())
        )


class AccountedModel:
    """A model whose calls are counted in a ledger and told to an observer."""

    def __init__(
        self,
        model: ChatModel,
        ledger: Ledger,
        *,
        observe: Callable[[Event], None],
        clock: Clock | None = None,
    ) -> None:
        self.model = model
        self.ledger = ledger
        self._observe = observe
        self._clock = clock or SystemClock()

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    async def complete(self, request: ModelRequest) -> Completion:
        """The answer of the model; raises what the model raises."""
        began = self._clock.now()
        with call_trace() as trace:
            try:
                completion = await self.model.complete(request)
            except ModelError as error:
                if trace.attempts:
                    self.ledger.add(self.name, request, Usage(calls=trace.attempts))
                self._tell(request, trace, began, Usage(), f"error:{error.kind}")
                raise
        usage = completion.usage
        if not trace.cached:
            spent = usage if trace.attempts <= usage.calls else evolve(usage, calls=trace.attempts)
            self.ledger.add(self.name, request, spent)
        self._tell(request, trace, began, usage, "ok")
        return completion

    async def aclose(self) -> None:
        """Close the model."""
        await self.model.aclose()

    def _tell(self, request: ModelRequest, trace: CallTrace, began: float, usage: Usage, outcome: str) -> None:
        self._observe(
            ModelCalled(
                model=self.name,
                role=request.role,
                purpose=request.purpose,
                outcome=outcome,
                wall_s=self._clock.now() - began,
                attempts=0 if trace.cached else max(trace.attempts, 1),
                cached=trace.cached,
                usage=usage,
                limit=trace.limit,
            )
        )
