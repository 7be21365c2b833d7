"""The cache: every answer once, durable before it is used, and keyed by all that decides it."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve

from agentflow_core.answers import AnswerStore
from agentflow_core.errors import StorageError, TransientError
from agentflow_core.models.cache import CachedModel
from agentflow_core.models.trace import call_trace
from agentflow_core.records import (
    Completion,
    ImagePart,
    Message,
    ModelRequest,
    Sampling,
    SolveInputs,
    TextPart,
    ToolCall,
    ToolDefinition,
    Usage,
    assistant,
    user,
)
from agentflow_core.testing.models import ScriptedModel, says

REQUEST = ModelRequest(messages=(user("hi"),))
TOOL = ToolDefinition(name="rag:search", description="Search.", parameters={"type": "object"})


@pytest.fixture
async def store(tmp_path):
    async with AnswerStore(tmp_path / "cache.sqlite") as store:
        yield store


async def test_an_answer_comes_back_whole_and_the_model_is_asked_once(store):
    answer = Completion(
        message=Message(
            role="assistant",
            content=(TextPart("é"),),
            tool_calls=(ToolCall(id="1", name="x", arguments="{ }"),),
            reasoning="hm",
        ),
        finish_reason="tool_calls",
        usage=Usage(calls=1, prompt_tokens=5, cost_usd=None),
        model="m",
        parsed={"a": [1, None]},
        details={"logprobs": {"content": []}},
    )
    inner = ScriptedModel([answer])
    assert await CachedModel(inner, store).complete(REQUEST) == answer
    with call_trace() as trace:
        assert await CachedModel(inner, store).complete(REQUEST) == answer
    assert trace.cached
    assert len(inner.requests) == 1


DIFFERENT = {
    "text": evolve(REQUEST, messages=(user("ho"),)),
    "role": evolve(REQUEST, messages=(assistant("hi"),)),
    "image": evolve(REQUEST, messages=(Message(role="user", content=(TextPart("hi"), ImagePart("a" * 64))),)),
    "tools": evolve(REQUEST, tools=(TOOL,)),
    "tool choice": evolve(REQUEST, tools=(TOOL,), tool_choice="required"),
    "schema": evolve(REQUEST, response_schema={"type": "object"}),
    "temperature": evolve(REQUEST, sampling=Sampling(temperature=1.0)),
    "stop": evolve(REQUEST, sampling=Sampling(stop=("x",))),
    "extra": evolve(REQUEST, sampling=Sampling(extra={"top_k": 1})),
    "sample": evolve(REQUEST, sample=1),
}


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT)
def test_all_that_decides_an_answer_is_in_the_key(other, tmp_path):
    model = CachedModel(ScriptedModel([]), AnswerStore(tmp_path / "x"))
    assert model.key(other) != model.key(REQUEST)


def test_the_model_its_host_and_its_settings_are_in_the_key(tmp_path):
    store = AnswerStore(tmp_path / "x")
    models = [
        CachedModel(ScriptedModel([], name=name), store, host=host, sampling=Sampling(temperature=temperature))
        for name in ("a", "b")
        for host in ("http://one", "http://two")
        for temperature in (None, 0.0)
    ]
    assert len({model.key(REQUEST) for model in models}) == 8


def test_inputs_and_purpose_are_not_in_the_key(tmp_path):
    model = CachedModel(ScriptedModel([]), AnswerStore(tmp_path / "x"))
    inputs = SolveInputs(question="q", steps=(), tools=(), turn=0, max_turns=1)
    assert model.key(evolve(REQUEST, inputs=inputs, purpose="judge")) == model.key(REQUEST)


def test_the_order_of_keys_in_a_schema_does_not_matter(tmp_path):
    model = CachedModel(ScriptedModel([]), AnswerStore(tmp_path / "x"))
    one, other = {"type": "object", "required": ["a"]}, {"required": ["a"], "type": "object"}
    assert model.key(evolve(REQUEST, response_schema=one)) == model.key(evolve(REQUEST, response_schema=other))


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
async def test_truncated_and_filtered_answers_are_not_stored(store, finish_reason):
    inner = ScriptedModel([evolve(says("Par"), finish_reason=finish_reason), "Paris"])
    model = CachedModel(inner, store)
    assert (await model.complete(REQUEST)).text == "Par"
    assert (await model.complete(REQUEST)).text == "Paris"


async def test_failures_are_not_stored(store):
    model = CachedModel(ScriptedModel([TransientError("no"), "yes"]), store)
    with pytest.raises(TransientError):
        await model.complete(REQUEST)
    assert (await model.complete(REQUEST)).text == "yes"


async def test_equal_requests_at_the_same_time_are_sent_once(store):
    release = anyio.Event()

    async def slow(request):
        await release.wait()
        return says("one")

    inner = ScriptedModel(slow)
    model = CachedModel(inner, store)
    answers = []
    async with anyio.create_task_group() as group:

        async def call():
            answers.append((await model.complete(REQUEST)).text)

        for _ in range(5):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert answers == ["one"] * 5
    assert len(inner.requests) == 1


async def test_when_the_first_of_equal_requests_fails_the_next_one_is_sent(store):
    release = anyio.Event()
    replies = iter([TransientError("no"), says("yes")])

    async def slow(request):
        await release.wait()
        return next(replies)

    model = CachedModel(ScriptedModel(slow), store)
    results = []
    async with anyio.create_task_group() as group:

        async def call():
            try:
                results.append((await model.complete(REQUEST)).text)
            except TransientError:
                results.append("failed")

        for _ in range(3):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert sorted(results) == ["failed", "yes", "yes"]


async def test_an_answer_that_cannot_be_stored_is_not_used(tmp_path):
    (tmp_path / "file").write_text("")
    async with AnswerStore(tmp_path / "file" / "cache.sqlite") as store:
        with pytest.raises(StorageError):
            await CachedModel(ScriptedModel(["lost"]), store).complete(REQUEST)
