"""What tokens cost: a dated table that a configuration overrides; an unknown price is None, never 0."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from agentflow_core.config import option

__all__ = ["PriceConfig", "price_of", "table_date"]

_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{4})$|-latest$")
_MILLION = 1_000_000


@frozen(kw_only=True)
class PriceConfig:
    """Prices in US dollars per million tokens."""

    input: float = option(help="prompt tokens", at_least=0)
    output: float = option(help="completion tokens, reasoning included", at_least=0)
    cached: float | None = option(None, help="prompt tokens that the server had cached; default: as input", at_least=0)

    def cost_usd(self, *, prompt: int, cached: int, completion: int) -> float:
        """The cost of an answer; ``cached`` tokens are part of ``prompt``."""
        cached_price = self.input if self.cached is None else self.cached
        fresh = max(prompt - cached, 0)
        return (fresh * self.input + cached * cached_price + completion * self.output) / _MILLION


def price_of(base_url: str, model: str) -> PriceConfig | None:
    """The listed price of a model at a host, snapshots of it included; None if it is not in the table."""
    models = _table()["hosts"].get(urlsplit(base_url).hostname or "", {})
    found = models.get(model) or models.get(_SNAPSHOT.sub("", model))
    return PriceConfig(**found) if found else None


def table_date() -> str:
    """The day of the table, as YYYY-MM-DD."""
    return str(_table()["dated"])


@cache
def _table() -> dict[str, Any]:
    text = files("agentflow_core.models").joinpath("prices.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
