"""Configuration of a run's models: which model plays which role, retries and budget."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from attrs import evolve, frozen

from agentflow_core.config import PluginChoice, option
from agentflow_core.errors import UsageError
from agentflow_core.records import ModelRole

__all__ = ["BudgetConfig", "ModelsConfig", "RetryConfig", "parse_budget"]

_ROLES: tuple[str, ...] = get_args(ModelRole)


@frozen(kw_only=True)
class BudgetConfig:
    """What a run, or a unit of work, may use; None is without limit."""

    usd: float | None = option(None, help="US dollars", at_least=0)
    tokens: int | None = option(None, help="input and output tokens together", at_least=0)
    calls: int | None = option(None, help="model calls", at_least=0)
    wall_time_s: float | None = option(None, help="seconds from the start", at_least=0)


@frozen(kw_only=True)
class RetryConfig:
    """How failed requests are tried again."""

    max_attempts: int = option(
        6, help="requests at most for one call that fails for transient reasons; rate limits do not count", at_least=1
    )
    deadline_s: float = option(600.0, help="seconds for one call with all its retries", at_least=0)
    base_s: float = option(0.5, help="upper bound of the first wait; it doubles with each retry", at_least=0)
    cap_s: float = option(30.0, help="upper bound of a wait that the server did not ask for", at_least=0)
    seed: int = option(0, help="seed of the jitter")


@frozen(kw_only=True)
class ModelsConfig:
    """The models of a run."""

    model: PluginChoice = option(
        PluginChoice("offline"), help="the model of every role but embedder that is not named in roles", plugin="model"
    )
    roles: Mapping[str, PluginChoice] = option(
        factory=dict, help="models of single roles", plugin="model", choices=_ROLES
    )
    budget: BudgetConfig = option(BudgetConfig(), help="what the run may use")
    retries: RetryConfig = option(RetryConfig(), help="how failed requests are tried again")
    cache: bool = option(True, help="keep every answer in the run directory, so that a resumed run asks only once")


_AMOUNT = re.compile(r"(\d+(?:[_.]\d+)*)\s*(k|m(?=tokens|calls))?\s*([a-z$]+)", re.IGNORECASE)
_SCALE = {"": 1, "k": 1_000, "m": 1_000_000}
_UNITS: dict[str, tuple[str, float]] = {
    "usd": ("usd", 1),
    "$": ("usd", 1),
    "tokens": ("tokens", 1),
    "token": ("tokens", 1),
    "calls": ("calls", 1),
    "call": ("calls", 1),
    "s": ("wall_time_s", 1),
    "m": ("wall_time_s", 60),
    "min": ("wall_time_s", 60),
    "h": ("wall_time_s", 3600),
}


def parse_budget(text: str, budget: BudgetConfig | None = None) -> BudgetConfig:
    """Read ``5usd``, ``200000tokens``, ``1000calls``, ``30m``, or several joined by commas, over ``budget``.

    Thousands may be written ``200_000tokens`` or ``200ktokens``, times as ``90s``, ``30m`` or ``2h``.

    Raises:
        UsageError: a part is no amount with a unit.
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        match = _AMOUNT.fullmatch(part.strip())
        unit = _UNITS.get(match[3].lower()) if match else None
        if match is None or unit is None:
            raise UsageError(
                f"{part.strip()!r} is not a budget",
                hint="write 5usd, 200000tokens, 1000calls, 30m, or several with commas",
            )
        name, factor = unit
        try:
            amount = float(match[1].replace("_", "")) * _SCALE[(match[2] or "").lower()] * factor
        except ValueError as error:
            raise UsageError(f"{part.strip()!r} is not a budget: {match[1]!r} is not a number") from error
        found[name] = int(amount) if name in ("tokens", "calls") else amount
    return evolve(budget or BudgetConfig(), **found)
