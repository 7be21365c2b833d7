"""Budgets of a run and of a unit."""

from __future__ import annotations

import anyio
import pytest

from agentflow_core.errors import LimitReached, TransientError, UsageError
from agentflow_core.models import Budget, BudgetConfig, BudgetedModel, parse_budget
from agentflow_core.models.trace import call_trace
from agentflow_core.records import ModelRequest, Usage, user
from agentflow_core.records.events import LimitHit
from agentflow_core.testing.models import ScriptedModel, says

REQUEST = ModelRequest(messages=(user("hi"),))


def costing(**usage):
    return ScriptedModel(lambda _: says("ok", usage=Usage(calls=1, **usage)))


async def calls_until_the_limit(model):
    done = 0
    while True:
        try:
            await model.complete(REQUEST)
        except LimitReached as limit:
            return done, limit.kind
        done += 1


@pytest.mark.parametrize(
    ("limits", "usage", "expected"),
    [
        (BudgetConfig(calls=3), {}, (3, "calls")),
        (BudgetConfig(tokens=100), {"prompt_tokens": 30, "completion_tokens": 10}, (3, "tokens")),
        (BudgetConfig(usd=1.0), {"cost_usd": 0.4}, (3, "usd")),
        (BudgetConfig(usd=1.0), {"cost_usd": None}, (1, "usd")),
    ],
)
async def test_the_call_after_the_limit_is_refused(limits, usage, expected):
    assert await calls_until_the_limit(BudgetedModel(costing(**usage), Budget(limits))) == expected


async def test_wall_time_runs_from_the_start(clock):
    model = BudgetedModel(costing(), Budget(BudgetConfig(wall_time_s=60), clock=clock))
    await model.complete(REQUEST)
    clock.time += 60
    with pytest.raises(LimitReached) as caught:
        await model.complete(REQUEST)
    assert caught.value.kind == "wall_time"


async def test_the_limit_of_calls_is_exact_with_many_at_once():
    inner = costing()
    model = BudgetedModel(inner, Budget(BudgetConfig(calls=10)))
    refused = []
    async with anyio.create_task_group() as group:

        async def call():
            try:
                await model.complete(REQUEST)
            except LimitReached:
                refused.append(1)

        for _ in range(25):
            group.start_soon(call)
    assert len(inner.requests) == 10
    assert len(refused) == 15


async def test_what_was_spent_before_a_resume_counts():
    budget = Budget(BudgetConfig(usd=1.0), used=Usage(calls=7, cost_usd=0.9))
    assert await calls_until_the_limit(BudgetedModel(costing(cost_usd=0.2), budget)) == (1, "usd")
    assert budget.used.calls == 8


async def test_a_run_does_not_pay_for_cached_answers_and_a_unit_counts_them():
    def cached(request):
        with call_trace() as trace:
            trace.cached = True
        return says("ok", usage=Usage(calls=1, prompt_tokens=10))

    run = Budget(BudgetConfig(tokens=15, calls=2), count_cached=False)
    unit = Budget(BudgetConfig(tokens=25))
    model = BudgetedModel(BudgetedModel(ScriptedModel(cached), run), unit)
    assert await calls_until_the_limit(model) == (3, "tokens")
    assert run.used == Usage()
    assert unit.used.total_tokens == 30


async def test_a_free_model_never_reaches_a_budget_in_dollars():
    model = BudgetedModel(costing(), Budget(BudgetConfig(usd=0.0)))
    for _ in range(5):
        await model.complete(REQUEST)


async def test_a_failed_call_counts_as_a_call():
    budget = Budget(BudgetConfig(calls=2))
    model = BudgetedModel(ScriptedModel([TransientError("no"), "ok"]), budget)
    with pytest.raises(TransientError):
        await model.complete(REQUEST)
    await model.complete(REQUEST)
    with pytest.raises(LimitReached):
        await model.complete(REQUEST)


async def test_a_reached_limit_is_told_once():
    told = []
    model = BudgetedModel(costing(), Budget(BudgetConfig(calls=0), observe=told.append))
    for _ in range(3):
        with pytest.raises(LimitReached):
            await model.complete(REQUEST)
    assert [type(event) for event in told] == [LimitHit]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5usd", BudgetConfig(usd=5.0)),
        ("0.5 USD", BudgetConfig(usd=0.5)),
        ("200000tokens", BudgetConfig(tokens=200_000)),
        ("200_000tokens", BudgetConfig(tokens=200_000)),
        ("200ktokens", BudgetConfig(tokens=200_000)),
        ("2mtokens", BudgetConfig(tokens=2_000_000)),
        ("1000calls", BudgetConfig(calls=1000)),
        ("30m", BudgetConfig(wall_time_s=1800.0)),
        ("90s", BudgetConfig(wall_time_s=90.0)),
        ("1.5h", BudgetConfig(wall_time_s=5400.0)),
        ("5usd, 30min", BudgetConfig(usd=5.0, wall_time_s=1800.0)),
    ],
)
def test_a_budget_is_read_from_the_command_line(text, expected):
    assert parse_budget(text) == expected


def test_a_budget_from_the_command_line_overrides_the_configured_one():
    assert parse_budget("5usd", BudgetConfig(usd=1.0, calls=3)) == BudgetConfig(usd=5.0, calls=3)


@pytest.mark.parametrize("text", ["", "5", "usd", "5eur", "-5usd", "1..5usd", "1.2.3usd", "5 usd 6", "nanusd"])
def test_what_is_no_budget_is_refused_with_examples(text):
    with pytest.raises(UsageError) as caught:
        parse_budget(text)
    assert "no" in caught.value.message
