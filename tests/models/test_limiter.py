"""The limiter: it finds the limit of a server, pauses when asked, and keeps quotas."""

from __future__ import annotations

import anyio
import pytest

from agentflow_core.errors import RateLimitError, TransientError
from agentflow_core.models.limiter import AdaptiveLimiter, LimitedModel, estimate_tokens
from agentflow_core.models.trace import call_trace
from agentflow_core.records import ModelRequest, Sampling, Usage, user
from agentflow_core.testing.models import ScriptedModel, says

REQUEST = ModelRequest(messages=(user("hi"),))


async def fill(limiter, count):
    return [await limiter.acquire() for _ in range(count)]


async def clean_window(limiter):
    permits = await fill(limiter, limiter.limit)
    for permit in permits:
        limiter.succeeded(permit)


async def test_it_starts_at_64_and_doubles_after_each_clean_window(clock):
    limiter = AdaptiveLimiter(300, clock=clock)
    limits = [limiter.limit]
    for _ in range(4):
        await clean_window(limiter)
        limits.append(limiter.limit)
    assert limits == [64, 128, 256, 300, 300]


async def test_it_starts_at_the_maximum_where_that_is_lower(clock):
    assert AdaptiveLimiter(8, clock=clock).limit == 8


async def test_it_does_not_grow_while_the_limit_is_not_reached(clock):
    limiter = AdaptiveLimiter(300, clock=clock)
    for _ in range(200):
        limiter.succeeded(await limiter.acquire())
    assert limiter.limit == 64


async def test_a_burst_of_429_lowers_it_once_and_growth_is_additive_from_then_on(clock):
    limiter = AdaptiveLimiter(300, clock=clock)
    for permit in await fill(limiter, 64):
        limiter.rate_limited(permit)
    assert limiter.limit == 48
    await clean_window(limiter)
    assert limiter.limit == 49
    limiter.rate_limited(await limiter.acquire())
    assert limiter.limit == 36


async def test_it_never_falls_below_one(clock):
    limiter = AdaptiveLimiter(2, clock=clock)
    for _ in range(10):
        limiter.rate_limited(await limiter.acquire())
    assert limiter.limit == 1


async def test_retry_after_pauses_everybody(clock):
    limiter = AdaptiveLimiter(8, clock=clock)
    limiter.rate_limited(await limiter.acquire(), retry_after_s=20)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(limiter.acquire)
    assert clock.now() == 1020
    assert limiter.in_flight == 3


async def test_no_more_than_the_limit_are_under_way_and_the_queue_is_served_in_order(clock):
    limiter = AdaptiveLimiter(2, clock=clock)
    order = []
    async with anyio.create_task_group() as group:

        async def call(number):
            permit = await limiter.acquire()
            order.append(number)
            assert limiter.in_flight <= 2
            await anyio.lowlevel.checkpoint()
            limiter.succeeded(permit)

        for number in range(20):
            group.start_soon(call, number)
    assert order == list(range(20))
    assert limiter.in_flight == 0


async def test_a_cancelled_waiter_leaves_the_queue(clock):
    limiter = AdaptiveLimiter(1, clock=clock)
    permit = await limiter.acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(limiter.acquire)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    limiter.succeeded(permit)
    await limiter.acquire()
    assert limiter.in_flight == 1


async def test_requests_per_minute_are_kept_beyond_a_short_burst(clock):
    limiter = AdaptiveLimiter(1000, requests_per_minute=60, clock=clock)
    for _ in range(70):
        limiter.succeeded(await limiter.acquire())
    assert clock.now() - 1000 == pytest.approx(60)


async def test_tokens_per_minute_are_corrected_by_what_was_really_used(clock):
    limiter = AdaptiveLimiter(1000, tokens_per_minute=6000, clock=clock)
    limiter.succeeded(await limiter.acquire(900), tokens=100)  # 900 of the burst of 1,000 are left
    await limiter.acquire(900)
    assert clock.slept == []
    await limiter.acquire(500)
    assert clock.now() - 1000 == pytest.approx(5)


async def test_a_request_larger_than_the_quota_passes_when_the_bucket_is_full(clock):
    limiter = AdaptiveLimiter(1000, tokens_per_minute=600, clock=clock)
    await limiter.acquire(5000)
    assert clock.slept == []
    await limiter.acquire(10)
    assert clock.now() - 1000 == pytest.approx(491)


async def test_a_model_gives_its_place_back_whatever_happens(clock):
    limiter = AdaptiveLimiter(4, clock=clock)
    script = [says("ok"), TransientError("no"), RateLimitError("slow", retry_after_s=3), AssertionError("bug")]
    model = LimitedModel(ScriptedModel(script), limiter)
    await model.complete(REQUEST)
    for error in (TransientError, RateLimitError, AssertionError):
        with pytest.raises(error):
            await model.complete(REQUEST)
    assert limiter.in_flight == 0
    assert limiter.limit == 3


async def test_a_cancelled_call_gives_its_place_back(clock):
    limiter = AdaptiveLimiter(4, clock=clock)

    async def never(request):
        await anyio.sleep_forever()

    model = LimitedModel(ScriptedModel(never), limiter)
    async with anyio.create_task_group() as group:
        group.start_soon(model.complete, REQUEST)
        await anyio.wait_all_tasks_blocked()
        assert limiter.in_flight == 1
        group.cancel_scope.cancel()
    assert limiter.in_flight == 0


async def test_a_pause_told_with_a_success_holds_the_next_request(clock):
    limiter = AdaptiveLimiter(4, clock=clock)

    def used_up(request):
        with call_trace() as trace:
            trace.pause_s = 2.5
        return says("ok", usage=Usage(calls=1))

    model = LimitedModel(ScriptedModel(used_up), limiter)
    await model.complete(REQUEST)
    await model.complete(REQUEST)
    assert clock.slept == [2.5]


def test_an_estimate_counts_text_and_the_answer():
    request = ModelRequest(messages=(user("x" * 400),), sampling=Sampling(max_tokens=50))
    assert estimate_tokens(request) == 150
