"""The rules that play the environment: what they propose, draft and answer."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.gates.evidence import AnswerSupported, Grounded
from agentflow_core.gates.form import Leak, Schema, SelfContained
from agentflow_core.gates.hops import Chain, MultiHop
from agentflow_core.gates.run import judge_draft
from agentflow_core.interfaces import GateContext
from agentflow_core.policies import calls_in_steps
from agentflow_core.records import (
    DraftInputs,
    Node,
    Observation,
    ProposeInputs,
    Seed,
    SolveInputs,
    SolveStep,
    ToolDefinition,
)
from agentflow_core.text import action_key
from agentflow_rag.layout import find_result, get_result, search_result
from agentflow_rag.offline import RagPolicy
from agentflow_rag.offline.asking import facts
from agentflow_rag.offline.describing import descriptions
from agentflow_rag.offline.names import salient_names
from agentflow_rag.offline.profiles import profile
from agentflow_rag.offline.reading import TextRead, seen_of

TOOLS = tuple(ToolDefinition(name=f"rag:{name}", description="", parameters={}) for name in ("search", "get", "find"))
GATES = [
    (type(gate).__name__, gate)
    for gate in (Schema(), Leak(), SelfContained(), Grounded(), AnswerSupported(), Chain(), MultiHop())
]


def observe(corpus, action):
    params = dict(action.params)
    if action.tool == "rag:get":
        result = get_result(corpus, corpus.get(params["doc_id"], 0, 4000))
    elif action.tool == "rag:find":
        result = find_result(corpus, corpus.find(params["pattern"], is_regex=False))
    else:
        queries = params.pop("queries", None) or [params.pop("query")]
        result = search_result(corpus, queries, [corpus.search(query, **{"k": 5, **params}) for query in queries], 0)
    return Observation(ok=result.ok, code=result.code, data=result.data, text=result.text)


def grow(corpus, seed, policy, *, max_depth=4, branching_factor=2, depth_threshold=2):
    """The paths of a tree as the sampler grows it, without its bookkeeping."""
    root = Node(id=f"{seed.id}/0", seed_id=seed.id, intent=seed.content)
    taken, keys, leaves, frontier = [], set(), [], [(root,)]
    while frontier:
        grown = []
        for path in frontier:
            k = branching_factor if len(path) - 1 < depth_threshold else 1
            children = []
            for action in policy.propose(ProposeInputs(seed=seed, path=path, k=k, tools=TOOLS, taken=tuple(taken))):
                assert action_key(action.tool, action.params) not in keys
                keys.add(action_key(action.tool, action.params))
                taken.append(action)
                node = Node(
                    id=f"{path[-1].id}.{len(children)}",
                    seed_id=seed.id,
                    parent=path[-1].id,
                    depth=len(path),
                    tool=action.tool,
                    params=action.params,
                    result=observe(corpus, action),
                )
                children.append((*path, node))
            leaves += [path] if not children else [child for child in children if len(child) > max_depth]
            grown += [child for child in children if len(child) <= max_depth]
        frontier = grown
    return leaves


async def accepted(corpus, seed, policy):
    found = []
    for path in grow(corpus, seed, policy):
        for draft in policy.draft(DraftInputs(seed=seed, path=path, n=1)):
            judged = await judge_draft(draft, GATES, GateContext(seed=seed, path=path))
            if all(verdict.passed for verdict in judged.gates):
                found.append(judged)
    return found


def solve(corpus, question, policy, max_turns=8):
    steps = []
    for turn in range(max_turns):
        move = policy.solve(
            SolveInputs(question=question, steps=tuple(steps), tools=TOOLS, turn=turn, max_turns=max_turns)
        )
        if not move.actions:
            return move
        steps += [SolveStep(tool=item.tool, params=item.params, result=observe(corpus, item)) for item in move.actions]
    raise AssertionError("no answer on the last turn")


@pytest.fixture
def bundled(open_corpus):
    from importlib.resources import files

    return open_corpus(files("agentflow_rag").joinpath("data", "facts.jsonl"))


def seeds_of(path):
    return [Seed(id=row["id"], content=row["content"]) for row in map(json.loads, path.read_text("utf-8").splitlines())]


async def test_the_bundled_corpus_gives_drafts_that_pass_the_gates_and_that_the_rules_can_answer(bundled):
    from importlib.resources import files

    policy = RagPolicy()
    seeds = seeds_of(files("agentflow_rag").joinpath("data", "facts-seeds.jsonl"))
    drafts = [draft for seed in seeds for draft in await accepted(bundled, seed, policy)]
    assert len({draft.seed_id for draft in drafts}) >= 30
    assert len({draft.question for draft in drafts}) >= 30
    assert len(Counter(draft.answer_type for draft in drafts)) >= 3
    solved = sum(solve(bundled, draft.question, policy).answer == draft.answer for draft in drafts)
    assert solved / len(drafts) >= 0.8


async def test_at_least_twenty_of_the_forty_hotpotqa_seeds_give_a_draft_that_passes_the_gates(hotpotqa, open_corpus):
    corpus, policy = open_corpus(hotpotqa / "hotpotqa-corpus.jsonl"), RagPolicy()
    good = [seed.id for seed in seeds_of(hotpotqa / "hotpotqa-seeds.jsonl") if await accepted(corpus, seed, policy)]
    assert len(good) >= 20


def test_the_rules_answer_a_part_of_the_hotpotqa_questions(hotpotqa, open_corpus):
    corpus, policy = open_corpus(hotpotqa / "hotpotqa-corpus.jsonl"), RagPolicy()
    rows = [json.loads(line) for line in (hotpotqa / "hotpotqa-dev.jsonl").read_text().splitlines()]
    right = sum((solve(corpus, row["question"], policy).answer or "").lower() == row["answer"].lower() for row in rows)
    assert right / len(rows) >= 0.15


def test_the_same_inputs_give_the_same_tree_and_drafts(bundled):
    seed = Seed(id="s", content="Danube")

    def run():
        policy = RagPolicy()
        return [
            ([(node.tool, dict(node.params)) for node in path], policy.draft(DraftInputs(seed=seed, path=path, n=3)))
            for path in grow(bundled, seed, policy)
        ]

    assert run() == run()


def test_only_offered_tools_are_proposed(bundled):
    seed = Seed(id="s", content="Danube")
    root = Node(id="s/0", seed_id="s", intent="Danube")
    (action,) = RagPolicy().propose(ProposeInputs(seed=seed, path=(root,), k=3, tools=TOOLS[:1]))
    assert action.tool == "rag:search"


def test_failed_calls_and_other_tools_on_a_path_are_passed_over():
    seed = Seed(id="s", content="Danube")
    root = Node(id="s/0", seed_id="s", intent="Danube")
    failed = Node(
        id="s/0.0", seed_id="s", depth=1, tool="rag:get", params={"doc_id": "x"},
        result=Observation(ok=False, code="not_found", text="error"), error="not_found",
    )  # fmt: skip
    other = Node(id="s/0.0.0", seed_id="s", depth=2, tool="bash:run", params={}, result=Observation(text="x", data=[1]))
    path = (root, failed, other)
    assert RagPolicy().draft(DraftInputs(seed=seed, path=path)) == []
    assert RagPolicy().propose(ProposeInputs(seed=seed, path=path, k=2, tools=TOOLS))


def test_a_tool_of_another_environment_with_the_same_name_is_none_of_its_own():
    seed = Seed(id="s", content="Danube")
    rows = [{"doc_id": "d1", "title": "Danube", "snippet": "The Danube is a river."}]
    web = SolveStep(
        tool="web:search", params={"query": "Danube"}, result=Observation(text="[1] Danube", data={"hits": rows})
    )
    got = SolveStep(
        tool="web:get",
        params={},
        result=Observation(text="Danube\n\nIt is long.", data={"doc_id": "d1", "title": "Danube"}),
    )
    seen = seen_of(calls_in_steps([web, got]))
    assert (seen.queries, seen.hits, seen.read) == ([], {}, [])
    assert list(seen.texts.values()) == ["[1] Danube", "Danube\n\nIt is long."]
    path = (
        Node(id="s/0", seed_id="s", intent="Danube"),
        Node(id="s/0.0", seed_id="s", depth=1, tool=web.tool, params=web.params, result=web.result),
    )
    (action,) = RagPolicy().propose(ProposeInputs(seed=seed, path=path, k=1, tools=TOOLS))
    assert (action.tool, action.params["query"]) == ("rag:search", "Danube")


def test_with_no_turn_left_there_is_an_answer_and_no_call():
    move = RagPolicy().solve(SolveInputs(question="Who wrote it?", steps=(), tools=TOOLS, turn=4, max_turns=5))
    assert not move.actions


def read(title, text):
    return profile(TextRead(doc_id=title, title=title, text=text, node=title))


AIDA = read(
    "Aida", "Aida is an opera in four acts by Giuseppe Verdi. Aida was first performed in Cairo on 24 December 1871."
)
VERDI = read(
    "Giuseppe Verdi",
    "Giuseppe Verdi (10 October 1813 – 27 January 1901) was an Italian composer who was born at Le Roncole.",
)
INN = read("Inn", "The Inn is a river that rises in Switzerland. It flows into the Danube at Passau.")
DANUBE = read("Danube", "The Danube is a river of about 2,850 kilometres that rises in the Black Forest in Germany.")


def test_a_document_is_described_by_what_another_one_says_of_it():
    assert descriptions(AIDA, VERDI)[0].text == "the Italian composer who wrote Aida"
    assert descriptions(INN, DANUBE)[0].text == "the river into which the Inn flows at Passau"


def test_facts_become_questions_with_a_place_for_the_subject():
    asked = {fact.question: fact.answer for fact in facts(VERDI)}
    assert asked["Where was {} born?"] == "Le Roncole"
    assert asked["On what date was {} born?"] == "10 October 1813"
    assert asked["On what date did {} die?"] == "27 January 1901"


def test_a_part_of_a_longer_name_is_not_taken_for_the_name():
    army = read("Army", "Army is a song by Ellie Goulding that was released in 2016.")
    division = read("122nd Division", "The 122nd Division was a division of the Imperial Japanese Army.")
    assert descriptions(division, army) == []


def test_the_names_of_a_text_are_found():
    assert salient_names("Originally it was a river. It passes Ulm Minster and the Danube.") == [
        "Ulm Minster",
        "Danube",
    ]


@given(st.text(max_size=300), st.text(min_size=1, max_size=40))
def test_no_text_breaks_the_reading_of_a_document(text, title):
    item = read(title, text)
    facts(item)
    descriptions(item, VERDI)
    descriptions(AIDA, item)
