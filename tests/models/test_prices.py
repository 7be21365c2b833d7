"""Prices: dated, by host, and never guessed."""

from __future__ import annotations

from datetime import date

import pytest

from agentflow_core.models.openai import OpenAIConfig, OpenAIModel
from agentflow_core.models.prices import PriceConfig, price_of, table_date

OPENAI = "https://api.openai.com/v1"


def test_the_table_has_a_date():
    assert date.fromisoformat(table_date())


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-4.1-2025-04-14", "gpt-4.1-latest"])
def test_snapshots_cost_what_their_model_costs(name):
    assert price_of(OPENAI, name) == PriceConfig(input=2, cached=0.5, output=8)


@pytest.mark.parametrize(
    ("url", "name"), [(OPENAI, "gpt-99"), ("http://localhost:8000/v1", "gpt-4.1"), ("", "gpt-4.1")]
)
def test_other_models_and_other_hosts_have_no_price(url, name):
    assert price_of(url, name) is None


def test_cached_tokens_cost_as_much_as_others_where_nothing_else_is_said():
    assert PriceConfig(input=1, output=2).cost_usd(prompt=1_000_000, cached=500_000, completion=1) == 1.000002


def test_a_configured_price_wins_over_the_table():
    mine = PriceConfig(input=1, output=1)
    assert OpenAIModel(OpenAIConfig(name="gpt-4.1", base_url=OPENAI, prices=mine)).price == mine
