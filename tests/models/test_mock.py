"""The mock model and the scripted one."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from agentflow_core.config import load_config
from agentflow_core.errors import ConfigError, RateLimitError, TransientError
from agentflow_core.models.mock import MockConfig, MockModel, MockStep
from agentflow_core.records import ModelRequest, user
from agentflow_core.testing.models import ScriptedModel

REQUEST = ModelRequest(messages=(user("hi"),))


async def test_without_a_script_it_says_the_last_message_again():
    assert (await MockModel().complete(REQUEST)).text == "hi"


async def test_steps_are_played_in_turn_and_then_again():
    model = MockModel(MockConfig(steps=(MockStep(text="a"), MockStep(text="b"))))
    assert [(await model.complete(REQUEST)).text for _ in range(3)] == ["a", "b", "a"]


async def test_rules_depend_on_the_request_and_its_attempts_only():
    rules = {"judge": (MockStep(error="transient"), MockStep(json={"correct": True}))}
    model = MockModel(MockConfig(rules=rules))
    one, other = evolve(REQUEST, purpose="judge"), evolve(REQUEST, purpose="judge", sample=1)
    for request in (one, other):
        with pytest.raises(TransientError):
            await model.complete(request)
    for request in (one, other, one):
        completion = await model.complete(evolve(request, response_schema=None))
        assert json.loads(completion.text) == {"correct": True}
    assert (await model.complete(REQUEST)).text == "hi"


async def test_a_schema_makes_it_parse_what_it_says_and_malformed_output_stays_text():
    steps = (MockStep(json={"a": 1}), MockStep(text="no json here"))
    model = MockModel(MockConfig(steps=steps))
    request = evolve(REQUEST, response_schema={"type": "object"})
    assert (await model.complete(request)).parsed == {"a": 1}
    assert (await model.complete(request)).parsed is None


async def test_calls_and_rate_limits_are_written_as_in_a_configuration():
    source = {
        "steps": [
            {"error": "rate_limit", "retry_after_s": 2},
            {"tool_calls": [{"name": "rag_search", "arguments": {"query": "x"}}]},
        ]
    }
    model = MockModel(load_config(MockConfig, source).config)
    with pytest.raises(RateLimitError) as caught:
        await model.complete(REQUEST)
    assert caught.value.retry_after_s == 2
    (call,) = (await model.complete(REQUEST)).tool_calls
    assert (call.name, call.arguments) == ("rag_search", '{"query":"x"}')


def test_an_unknown_error_is_refused():
    with pytest.raises(ConfigError, match="expected one of"):
        load_config(MockConfig, {"steps": [{"error": "flood"}]})


async def test_a_script_that_is_over_fails_the_test():
    model = ScriptedModel(["only"])
    await model.complete(REQUEST)
    with pytest.raises(AssertionError, match="ended before request 2"):
        await model.complete(REQUEST)
