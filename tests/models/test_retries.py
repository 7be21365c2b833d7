"""Retries by the kind of failure."""

from __future__ import annotations

import pytest

from agentflow_core.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    ModelRequestError,
    RateLimitError,
    TransientError,
)
from agentflow_core.models.config import RetryConfig
from agentflow_core.models.limiter import AdaptiveLimiter, LimitedModel
from agentflow_core.models.retries import RetryingModel
from agentflow_core.models.trace import call_trace
from agentflow_core.records import ModelRequest, user
from agentflow_core.testing.models import ScriptedModel

REQUEST = ModelRequest(messages=(user("hi"),))


async def test_a_transient_failure_is_tried_again(clock):
    inner = ScriptedModel([TransientError("gone"), TransientError("gone"), "back"])
    with call_trace() as trace:
        completion = await RetryingModel(inner, clock=clock).complete(REQUEST)
    assert completion.text == "back"
    assert trace.attempts == 3
    assert len(clock.slept) == 2


async def test_waits_are_jittered_below_a_bound_that_doubles_and_the_same_for_the_same_seed(clock):
    config = RetryConfig(max_attempts=9, base_s=1, cap_s=16, deadline_s=10_000)
    waits = []
    for _ in range(2):
        clock.slept.clear()
        with pytest.raises(TransientError):
            await RetryingModel(ScriptedModel(lambda _: TransientError("no")), config, clock=clock).complete(REQUEST)
        waits.append(list(clock.slept))
    assert waits[0] == waits[1]
    assert all(0 <= wait <= bound for wait, bound in zip(waits[0], [1, 2, 4, 8, 16, 16, 16, 16], strict=True))
    assert len({round(wait, 6) for wait in waits[0]}) == 8


async def test_what_is_finally_raised_has_the_history(clock):
    config = RetryConfig(max_attempts=3)
    inner = ScriptedModel([TransientError("reset", status=502), TransientError("timeout"), TransientError("refused")])
    with pytest.raises(TransientError, match="refused") as caught:
        await RetryingModel(inner, config, clock=clock).complete(REQUEST)
    history = caught.value.attempts
    assert len(history) == 3
    assert "attempt 1 at 0.0 s: transient 502: reset" in history[0]


async def test_a_rate_limit_is_waited_out_however_many_attempts_it_takes(clock):
    inner = ScriptedModel([RateLimitError("slow", retry_after_s=10)] * 30 + ["through"])
    config = RetryConfig(max_attempts=2, deadline_s=1000)
    assert (await RetryingModel(inner, config, clock=clock).complete(REQUEST)).text == "through"
    assert all(wait >= 10 for wait in clock.slept)


async def test_the_deadline_ends_it_before_the_wait_that_would_cross_it(clock):
    inner = ScriptedModel(lambda _: RateLimitError("slow", retry_after_s=40))
    with pytest.raises(RateLimitError) as caught:
        await RetryingModel(inner, RetryConfig(deadline_s=100), clock=clock).complete(REQUEST)
    assert clock.now() - 1000 <= 100
    assert len(caught.value.attempts) == len(inner.requests) == 3


@pytest.mark.parametrize(
    "error", [AuthenticationError, ContextOverflowError, ContentFilterError, ModelRequestError], ids=lambda e: e.kind
)
async def test_what_would_fail_again_is_raised_at_once(clock, error):
    inner = ScriptedModel([error("no")])
    with pytest.raises(error) as caught:
        await RetryingModel(inner, clock=clock).complete(REQUEST)
    assert clock.slept == []
    assert len(caught.value.attempts) == 1


async def test_a_waiting_retry_holds_no_place_in_the_limiter(clock):
    limiter = AdaptiveLimiter(1, clock=clock)
    held = []
    sleep = clock.sleep

    class Watching:
        now = staticmethod(clock.now)

        async def sleep(self, seconds):
            held.append(limiter.in_flight)
            await sleep(seconds)

    inner = LimitedModel(ScriptedModel([TransientError("no"), TransientError("no"), "ok"]), limiter)
    await RetryingModel(inner, clock=Watching()).complete(REQUEST)
    assert held == [0, 0]
