"""The token bucket and the circuit breaker, by a clock of their own."""

from __future__ import annotations

import anyio
import pytest

from agentflow_core.concurrency import Merged
from agentflow_websearch.failures import WebFailure, retry_after_s
from agentflow_websearch.pacing import Breaker, TokenBucket


async def test_a_bucket_lets_a_burst_pass_and_then_so_many_a_minute(clock):
    bucket = TokenBucket("x", 12, clock)
    for _ in range(2):
        await bucket.take(60)
    assert clock.slept == []
    await bucket.take(60)
    assert clock.slept == [pytest.approx(5.0)]


async def test_who_is_not_patient_enough_is_told_how_long(clock):
    bucket = TokenBucket("x", None, clock)
    bucket.pause(30)
    with pytest.raises(WebFailure) as caught:
        await bucket.take(10)
    assert (caught.value.code, caught.value.retry_after_s) == ("upstream_rate_limited", 30)
    await bucket.take(31)
    assert clock.slept == [30]


def test_a_breaker_lets_one_try_after_it_has_cooled_down(clock):
    breaker = Breaker("x", 2, 30, clock)
    for _ in range(2):
        breaker.enter()
        breaker.failed()
    with pytest.raises(WebFailure, match="left alone"):
        breaker.enter()
    clock.at += 31
    breaker.enter()
    with pytest.raises(WebFailure):
        breaker.enter()  # one tries already
    breaker.left()  # it was cancelled
    breaker.enter()
    breaker.succeeded()
    breaker.enter()


def test_a_success_forgets_the_failures_before_it(clock):
    breaker = Breaker("x", 2, 30, clock)
    for _ in range(5):
        breaker.enter()
        breaker.failed()
        breaker.enter()
        breaker.succeeded()
    breaker.enter()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-3", None),
        ("99999999", 86400.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after_s(text) == seconds


async def test_a_flight_whose_first_passenger_is_cancelled_goes_on_with_the_next():
    flights: Merged[int] = Merged()
    began, count = anyio.Event(), []

    async def work() -> int:
        count.append(1)
        began.set()
        if len(count) == 1:
            await anyio.sleep_forever()
        return 7

    async def first(scope: anyio.CancelScope) -> None:
        with scope:
            await flights.run("k", work)

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(first, scope)
        await began.wait()
        group.start_soon(lambda: _cancel(scope))
        assert await flights.run("k", work) == 7
    assert len(count) == 2


async def _cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()


async def test_who_waits_in_a_bucket_keeps_a_place_in_the_queue(clock):
    bucket = TokenBucket("x", 6, clock)
    await bucket.take(0)
    with pytest.raises(WebFailure):
        await bucket.take(9)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await bucket.take(60)
    clock.at += 10 - sum(clock.slept)
    await bucket.take(0)  # neither the impatient nor the cancelled one took a turn
