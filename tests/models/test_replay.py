"""Recording and replay."""

from __future__ import annotations

import pytest
from attrs import evolve

from agentflow_core.errors import ContextOverflowError, DataError, ReplayMissError, TransientError
from agentflow_core.models.recording import RecordedModel, recording_store
from agentflow_core.models.replay import ReplayConfig, ReplayModel
from agentflow_core.models.trace import call_trace
from agentflow_core.records import ModelRequest, Usage, system, user
from agentflow_core.testing.models import ScriptedModel, says

REQUEST = ModelRequest(messages=(system("You answer. " * 50), user("Who wrote Faust?")))


async def record(directory, *pairs):
    async with recording_store(directory) as store:
        model = RecordedModel(ScriptedModel([answer for _, answer in pairs]), store)
        for request, _ in pairs:
            await model.complete(request)


def replay(directory):
    return ReplayModel(ReplayConfig(path=directory))


async def test_a_recorded_request_has_its_recorded_answer_and_costs_nothing(tmp_path):
    answer = says("Goethe", usage=Usage(calls=1, prompt_tokens=9, cost_usd=0.5))
    await record(tmp_path, (REQUEST, answer))
    async with replay(tmp_path) as model:
        with call_trace() as trace:
            assert await model.complete(REQUEST) == answer
    assert trace.cached


async def test_repeats_and_roles_are_told_apart(tmp_path):
    requests = [REQUEST, evolve(REQUEST, sample=1), evolve(REQUEST, role="judge")]
    await record(tmp_path, *[(request, f"answer {index}") for index, request in enumerate(requests)])
    async with replay(tmp_path) as model:
        answers = [(await model.complete(request)).text for request in requests]
    assert answers == ["answer 0", "answer 1", "answer 2"]


async def test_a_miss_shows_the_nearest_request_and_what_differs(tmp_path):
    other = evolve(REQUEST, messages=(user("What is the height of the Eiffel Tower in metres?"),))
    await record(tmp_path, (other, "330"), (REQUEST, "Goethe"))
    async with replay(tmp_path) as model:
        with pytest.raises(ReplayMissError) as caught:
            await model.complete(evolve(REQUEST, messages=(REQUEST.messages[0], user("Who wrote Hamlet?"))))
    shown = str(caught.value)
    assert '- "Who wrote Faust?"' in shown
    assert '+ "Who wrote Hamlet?"' in shown
    assert "You answer" not in shown


async def test_a_miss_in_a_long_text_is_shown_around_the_place_that_differs(tmp_path):
    long = "x" * 5000
    await record(tmp_path, (evolve(REQUEST, messages=(user(f"{long} old {long}"),)), "1"))
    async with replay(tmp_path) as model:
        with pytest.raises(ReplayMissError) as caught:
            await model.complete(evolve(REQUEST, messages=(user(f"{long} new {long}"),)))
    lines = caught.value.hint.splitlines()
    assert any("old" in line for line in lines)
    assert max(map(len, lines)) < 220


async def test_an_empty_recording_says_so(tmp_path):
    await record(tmp_path)
    async with recording_store(tmp_path) as store:
        await store.count()
    async with replay(tmp_path) as model:
        with pytest.raises(ReplayMissError) as caught:
            await model.complete(REQUEST)
    assert "no request at all" in caught.value.hint


async def test_a_directory_without_a_recording_is_refused_when_it_is_opened(tmp_path):
    with pytest.raises(DataError, match="holds no recording"):
        async with replay(tmp_path / "nothing"):
            pass


async def test_failures_that_may_pass_are_not_recorded(tmp_path):
    async with recording_store(tmp_path) as store:
        model = RecordedModel(ScriptedModel([TransientError("no")]), store)
        with pytest.raises(TransientError):
            await model.complete(REQUEST)
        assert await store.count() == 0


async def test_a_failure_that_the_request_would_meet_again_is_replayed(tmp_path):
    async with recording_store(tmp_path) as store:
        with pytest.raises(ContextOverflowError):
            await RecordedModel(ScriptedModel([ContextOverflowError("too long", status=400)]), store).complete(REQUEST)
    async with replay(tmp_path) as model:
        with pytest.raises(ContextOverflowError, match="too long") as caught:
            await model.complete(REQUEST)
    assert caught.value.status == 400
