"""What offline policies have in common: calls that were seen, actions that are left, drafts that are best."""

from __future__ import annotations

import pytest

from agentflow_core.policies import Ranked, best_drafts, calls_in_steps, calls_on_path, undone, untaken
from agentflow_core.records import (
    QA,
    Action,
    DraftInputs,
    Evidence,
    Node,
    Observation,
    ProposeInputs,
    ReasoningStep,
    Seed,
    SolveInputs,
    SolveStep,
    ToolDefinition,
)

SEED = Seed(id="s", content="Esk")
ROOT = Node(id="s/0", seed_id="s")
TOOLS = (ToolDefinition(name="web:search", description="", parameters={}),)
FAILED = Observation(ok=False, code="not_found", text="not there")


def search(query):
    return Action(tool="web:search", params={"query": query})


def draft(question, answer, *, rank=0, answer_type="entity", quote="It is so."):
    step = ReasoningStep(step="So it is.", evidence=(Evidence(node="n", quote=quote),))
    qa = QA(
        id="", seed_id="s", path_id="", question=question, answer=answer, answer_type=answer_type,
        reasoning_steps=(step,),
    )  # fmt: skip
    return Ranked(qa=qa, rank=rank)


def test_failed_calls_of_a_path_are_left_out():
    read = Node(id="s/0.0", seed_id="s", tool="web:visit", params={"url": "x"}, result=Observation(text="Esk"))
    failed = Node(id="s/0.1", seed_id="s", tool="web:visit", result=FAILED, error="not_found")
    (call,) = calls_on_path((ROOT, failed, read))
    assert (call.where, call.tool, call.params, call.result) == ("s/0.0", "web:visit", {"url": "x"}, read.result)


def test_the_calls_of_an_agent_are_named_by_their_numbers():
    steps = [SolveStep(tool="web:visit", params={}, result=result) for result in (FAILED, Observation(text="Esk"))]
    assert [(call.where, call.result.ok) for call in calls_in_steps(steps)] == [("0", False), ("1", True)]


def test_what_is_taken_or_not_offered_or_wished_twice_is_not_proposed():
    inputs = ProposeInputs(seed=SEED, path=(ROOT,), k=2, tools=TOOLS, taken=(search("Esk"),))
    wishes = [
        search("Esk"),
        Action(tool="web:visit", params={}),
        search("Wend"),
        search(" Wend"),
        search("Innis"),
        search("x"),
    ]
    assert untaken(iter(wishes), inputs) == [search("Wend"), search("Innis")]


def test_no_more_wishes_are_thought_of_than_are_proposed():
    def wishes():
        yield search("Esk")
        pytest.fail("one was enough")

    assert untaken(wishes(), ProposeInputs(seed=SEED, path=(ROOT,), k=1, tools=TOOLS)) == [search("Esk")]


def test_what_an_agent_has_done_is_not_done_again():
    steps = (SolveStep(tool="web:search", params={"query": "Esk"}, result=FAILED),)
    inputs = SolveInputs(question="?", steps=steps, tools=TOOLS, turn=1, max_turns=3)
    wishes = [search("Esk"), search("Wend"), Action(tool="web:visit", params={}), search("Wend")]
    assert undone(wishes, inputs) == [search("Wend")]


def test_the_best_and_shortest_drafts_come_first():
    drafts = [draft("What is it that is long?", "a", rank=1), draft("What is so long?", "b"), draft("What?", "c")]
    inputs = DraftInputs(seed=SEED, path=(ROOT,), n=2)
    assert [qa.answer for qa in best_drafts(drafts, inputs)] == ["c", "b"]


def test_one_answer_from_one_quote_is_asked_for_once():
    drafts = [draft("What?", "a"), draft("And what?", "a"), draft("What then?", "a", quote="Then it is so.")]
    found = best_drafts(drafts, DraftInputs(seed=SEED, path=(ROOT,), n=3))
    assert [qa.question for qa in found] == ["What?", "What then?"]


def test_only_wanted_types_of_answers_are_asked_for():
    drafts = [draft("Is it?", "yes", answer_type="yes_no"), draft("How long is it?", "3", answer_type="number")]
    (qa,) = best_drafts(drafts, DraftInputs(seed=SEED, path=(ROOT,), n=3, answer_types=("number",)))
    assert qa.answer == "3"
