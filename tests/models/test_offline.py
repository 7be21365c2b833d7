"""The offline model combines what the policies of the offered tools say."""

from __future__ import annotations

import json

import pytest

from agentflow_core.contributions import BackendSpec, ToolSpec
from agentflow_core.errors import RefError
from agentflow_core.interfaces import Move
from agentflow_core.models.offline import OfflineModel
from agentflow_core.records import (
    QA,
    Action,
    DraftInputs,
    Evidence,
    JudgeInputs,
    ModelRequest,
    Node,
    ProposeInputs,
    ReasoningStep,
    Seed,
    SolveInputs,
    ToolDefinition,
    user,
)

SEED = Seed(id="s", content="Ada")
ROOT = Node(id="s/0", seed_id="s", intent="Ada")


def tool(name):
    return ToolDefinition(name=name, description="", parameters={})


RAG = (tool("rag:search"), tool("rag:get"))
SQL = (tool("sql:query"),)


class Policy:
    """A policy that says what it was made with."""

    def __init__(self, *, actions=(), drafts=(), move=None):
        self.actions = actions
        self.drafts = drafts
        self.move = move or Move()

    def propose(self, inputs):
        return self.actions

    def draft(self, inputs):
        return self.drafts

    def solve(self, inputs):
        return self.move


def search(query, tool="rag:search"):
    return Action(tool=tool, params={"query": query}, intent=f"find {query}")


async def answer(inputs, **policies):
    model = OfflineModel(policies=policies)
    return await model.complete(ModelRequest(messages=(user("x"),), inputs=inputs))


async def propose(k, tools=RAG + SQL, taken=(), **policies):
    inputs = ProposeInputs(seed=SEED, path=(ROOT,), k=k, tools=tools, taken=taken)
    return (await answer(inputs, **policies)).parsed["actions"]


async def solve(turn=0, max_turns=5, tools=RAG + SQL, **policies):
    return await answer(SolveInputs(question="q", steps=(), tools=tools, turn=turn, max_turns=max_turns), **policies)


async def test_proposals_of_several_policies_take_turns_until_there_are_k():
    rag = Policy(actions=[search("a"), search("b"), search("c")])
    sql = Policy(actions=[search("1", "sql:query"), search("2", "sql:query")])
    actions = await propose(4, rag=rag, sql=sql)
    assert [action["params"]["query"] for action in actions] == ["a", "1", "b", "2"]
    assert actions[0] == {"tool": "rag:search", "params": {"query": "a"}, "intent": "find a"}


async def test_repeated_taken_and_unoffered_actions_are_not_proposed():
    rag = Policy(actions=[search("a"), search("a"), search("taken"), search("x", "bash:run"), search("b")])
    actions = await propose(3, taken=(search("taken"),), rag=rag)
    assert [action["params"]["query"] for action in actions] == ["a", "b"]


async def test_without_a_policy_nothing_is_proposed_or_drafted():
    assert await propose(2) == []
    completion = await answer(DraftInputs(seed=SEED, path=(ROOT,), tools=RAG))
    assert completion.parsed == {"drafts": []}


async def test_drafts_are_concatenated_up_to_n_with_their_evidence_and_extras():
    step = ReasoningStep(step="Ada wrote it.", evidence=(Evidence(node="s/0.0", quote="Ada", start=3),))
    draft = QA(
        id="",
        seed_id="s",
        path_id="",
        question="Who?",
        answer="Ada",
        aliases=("Lovelace",),
        answer_type="person",
        reasoning_steps=(step,),
        extra={"sql": "SELECT 1", "question": "never this"},
    )
    policies = {"rag": Policy(drafts=[draft, draft]), "sql": Policy(drafts=[draft])}
    completion = await answer(DraftInputs(seed=SEED, path=(ROOT,), n=2, tools=RAG + SQL), **policies)
    drafts = completion.parsed["drafts"]
    assert len(drafts) == 2
    assert drafts[0] == {
        "question": "Who?",
        "answer": "Ada",
        "aliases": ["Lovelace"],
        "answer_type": "person",
        "reasoning_steps": [{"step": "Ada wrote it.", "evidence": [{"node": "s/0.0", "quote": "Ada"}]}],
        "sql": "SELECT 1",
    }
    assert json.loads(completion.text) == completion.parsed


async def test_a_draft_without_tools_asks_the_policies_of_the_tools_on_its_path():
    found = Node(id="s/0.0", seed_id="s", tool="rag:search")
    rag = Policy(drafts=[QA(id="", seed_id="", path_id="", question="Q", answer="A")])
    completion = await answer(DraftInputs(seed=SEED, path=(ROOT, found)), rag=rag)
    assert completion.parsed["drafts"][0]["question"] == "Q"


async def test_calls_of_all_policies_are_made_at_once_each_once():
    rag = Policy(move=Move(actions=(search("a"), search("a")), reasoning="I search."))
    sql = Policy(move=Move(actions=(search("1", "sql:query"),)))
    completion = await solve(turn=2, rag=rag, sql=sql)
    assert [(call.id, call.name, json.loads(call.arguments)) for call in completion.tool_calls] == [
        ("call_2_0", "rag_search", {"query": "a"}),
        ("call_2_1", "sql_query", {"query": "1"}),
    ]
    assert completion.finish_reason == "tool_calls"
    assert completion.text == "I search."


async def test_the_most_confident_answer_wins_when_nobody_wants_a_call():
    rag = Policy(move=Move(answer="Paris", confidence=0.9, reasoning="It says so."))
    sql = Policy(move=Move(answer="London", confidence=0.2))
    completion = await solve(sql=sql, rag=rag)
    assert completion.text == "It says so.\n<answer>Paris</answer>"
    assert completion.tool_calls == ()


async def test_on_the_last_turn_there_is_always_an_answer():
    rag = Policy(move=Move(actions=(search("a"),), answer="Paris", confidence=0.1))
    assert (await solve(turn=4, rag=rag)).text == "<answer>Paris</answer>"
    stubborn = Policy(move=Move(actions=(search("a"),)))
    assert (await solve(turn=4, rag=stubborn)).text == "<answer>unknown</answer>"


async def test_without_a_policy_the_answer_is_unknown():
    assert (await solve()).text == "<answer>unknown</answer>"


@pytest.mark.parametrize(
    ("prediction", "correct"), [("the Eiffel tower!", True), ("Eiffel  Tower", True), ("Big Ben", False), ("", False)]
)
async def test_as_a_judge_it_compares_normalized_answers(prediction, correct):
    inputs = JudgeInputs(question="q", references=("Louvre", "Eiffel Tower"), prediction=prediction)
    verdict = (await answer(inputs)).parsed
    assert verdict["correct"] is correct
    assert verdict["reason"]


async def test_without_inputs_it_says_that_it_does_not_know():
    completion = await OfflineModel().complete(ModelRequest(messages=(user("Who?"),), purpose="judge"))
    assert completion.text == "unknown"


async def test_it_is_free_and_says_what_it_is():
    completion = await solve()
    assert completion.model == OfflineModel.name == "offline"
    assert completion.usage.calls == 1
    assert completion.usage.total_tokens == 0
    assert completion.usage.cost_usd == 0.0


async def test_a_policy_of_a_tool_goes_before_that_of_its_group():
    policies = {
        "rag": Policy(move=Move(answer="group", confidence=1.0)),
        "rag:search": Policy(move=Move(answer="tool", confidence=1.0)),
    }
    assert "tool" in (await solve(tools=(tool("rag:search"),), **policies)).text


POLICY = """
from agentflow_core.interfaces import Move

class Policy:
    def solve(self, inputs):
        return Move(answer="from the plugin", confidence=0.5)
"""


@pytest.mark.parametrize("kind", ["backend", "tool"])
async def test_plugins_name_the_policies_in_their_specs(kind, fake_dist, plugin_host):
    fake_dist("agentflow-toy", modules={"policy.py": POLICY})
    at = {"target": "agentflow_toy.backend:Backend", "offline": "agentflow_toy.policy:Policy", "summary": "x"}
    spec = BackendSpec("toy", **at) if kind == "backend" else ToolSpec("toy:play", **at)
    model = OfflineModel()
    model.bind(plugin_host(spec))
    inputs = SolveInputs(question="q", steps=(), tools=(tool("toy:play"),), turn=0, max_turns=2)
    completion = await model.complete(ModelRequest(messages=(user("x"),), inputs=inputs))
    assert completion.text == "<answer>from the plugin</answer>"


async def test_a_policy_that_cannot_be_imported_is_an_error_that_names_it():
    with pytest.raises(RefError, match="no_such_module"):
        await solve(rag="no_such_module:Policy")
