"""The rules that play the web: what they propose, draft and answer, over the pages of the example."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

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
from agentflow_websearch.finding import find_passages
from agentflow_websearch.found import Link, Page, Result, Results
from agentflow_websearch.layout import Searched, Visited, find_result, search_result, visit_result
from agentflow_websearch.offline import WebPolicy
from agentflow_websearch.offline.asking import facts
from agentflow_websearch.offline.describing import descriptions
from agentflow_websearch.offline.pages import Page as Seen
from agentflow_websearch.offline.pages import name_of, seen_of
from agentflow_websearch.offline.portraits import plain, portrait

EXAMPLE = Path(__file__).parents[3] / "examples" / "deep-research"
ORIGIN = "http://127.0.0.1:8020"
TOOLS = tuple(ToolDefinition(name=f"web:{name}", description="", parameters={}) for name in ("search", "visit", "find"))
GATES = [
    (type(gate).__name__, gate)
    for gate in (Schema(), Leak(), SelfContained(), Grounded(), AnswerSupported(), Chain(), MultiHop())
]
SEEDS = ("Ostrel Bridge", "Innis Traverse", "Lantern Museum", "Keldwick", "Petrel Lamp", "lighthouses", "Grey Heron")


class Web:
    """The pages of the example and its search, laid out as the tools do, without a server between."""

    def __init__(self, module):
        self.module = module
        self.web = module.Web(EXAMPLE / "web.jsonl")

    def observe(self, action):
        params = dict(action.params)
        if action.tool == "web:search":
            result = search_result([self._searched(params)])
        elif action.tool == "web:visit":
            page = self.page(params["url"])
            result = visit_result([Visited(url=page.url, page=page, end=len(page.text))], shown_links=20, goal=None)
        else:
            page = self.page(params["url"])
            found = find_passages(page, params["pattern"], most=5, around=200)
            result = find_result(page, params["pattern"], found, cached=False)
        text = "".join(part.text for part in result.content)
        return Observation(ok=result.ok, code=result.code, data=result.data, text=text)

    def page(self, url):
        row = self.web.pages[url.removeprefix(ORIGIN)]
        text = "\n\n".join(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", part) for part in row["paragraphs"])
        links = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", " ".join(row["paragraphs"]))
        title = f"{row['title']} – {row['site']}"
        links = tuple(Link(text=name, url=ORIGIN + path) for name, path in links)
        return Page(provider="local", url=url, final_url=url, title=title, text=text, links=links)

    def _searched(self, params):
        num, page = params.get("num", 10), params.get("page", 1)
        rows = [row for _, row in self.web.search(params["query"])][num * (page - 1) : num * page]
        results = tuple(
            Result(
                title=f"{row['title']} – {row['site']}",
                url=ORIGIN + row["path"],
                snippet=self.module.snippet(row, params["query"]),
            )
            for row in rows
        )
        return Searched(query=params["query"], results=Results(provider="serper", results=results))


@pytest.fixture(scope="module")
def web():
    spec = spec_from_file_location("deep_research_serve", EXAMPLE / "serve.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return Web(module)


def grow(web, seed, policy, *, max_depth=5, branching_factor=2, depth_threshold=3):
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
                    result=web.observe(action),
                )
                children.append((*path, node))
            leaves += [path] if not children else [child for child in children if len(child) > max_depth]
            grown += [child for child in children if len(child) <= max_depth]
        frontier = grown
    return leaves


async def accepted(web, seed, policy, n=2):
    found = {}
    for path in grow(web, seed, policy):
        for draft in policy.draft(DraftInputs(seed=seed, path=path, n=n)):
            judged = await judge_draft(draft, GATES, GateContext(seed=seed, path=path))
            if all(verdict.passed for verdict in judged.gates):
                found[judged.question] = judged
    return list(found.values())


def solve(web, question, policy, max_turns=10):
    steps = []
    for turn in range(max_turns):
        move = policy.solve(
            SolveInputs(question=question, steps=tuple(steps), tools=TOOLS, turn=turn, max_turns=max_turns)
        )
        if not move.actions:
            return move
        steps += [SolveStep(tool=item.tool, params=item.params, result=web.observe(item)) for item in move.actions]
    raise AssertionError("no answer on the last turn")


def visited(text, title="Ostrel Bridge – Register of Works", *, url=f"{ORIGIN}/page", links=(), node="s/0.0", end=None):
    """A node that read a page with this text."""
    page = Page(provider="local", url=url, final_url=url, title=title, text=text, links=tuple(links))
    shown = Visited(url=url, page=page, end=len(text) if end is None else end)
    result = visit_result([shown], shown_links=20, goal=None)
    observed = Observation(ok=True, data=result.data, text="".join(part.text for part in result.content))
    return Node(id=node, seed_id="s", depth=1, tool="web:visit", params={"url": url}, result=observed)


def about(text, title):
    return portrait(Seen(key=title, title=title, text=text))


async def test_the_pages_of_the_example_give_drafts_that_pass_the_gates_and_that_the_rules_can_answer(web):
    policy = WebPolicy()
    drafts = [
        draft
        for number, content in enumerate(SEEDS)
        for draft in await accepted(web, Seed(id=f"s{number}", content=content), policy)
    ]
    assert len(drafts) >= 40
    assert {len(draft.reasoning_steps) for draft in drafts} == {2, 3}
    assert len(Counter(draft.answer_type for draft in drafts)) >= 3
    assert all(item.source["url"].startswith(ORIGIN) for draft in drafts for item in evidence(draft))
    solved = sum(solve(web, draft.question, policy).answer == draft.answer for draft in drafts)
    assert solved / len(drafts) >= 0.8


def evidence(draft):
    return [item for step in draft.reasoning_steps for item in step.evidence]


def test_most_questions_of_the_example_are_answered_from_the_pages(web):
    tasks = [json.loads(line) for line in (EXAMPLE / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    right = sum(solve(web, task["question"], WebPolicy()).answer == task["answer"] for task in tasks)
    assert right / len(tasks) >= 0.6


def test_the_same_inputs_give_the_same_tree_and_drafts(web):
    seed = Seed(id="s", content="Innis Traverse")

    def run():
        policy = WebPolicy()
        return [
            ([(node.tool, dict(node.params)) for node in path], policy.draft(DraftInputs(seed=seed, path=path, n=3)))
            for path in grow(web, seed, policy)
        ]

    assert run() == run()


def test_a_tree_searches_opens_results_and_follows_links(web):
    tools = Counter(node.tool for path in grow(web, Seed(id="s", content="Grey Heron"), WebPolicy()) for node in path)
    assert tools["web:search"]
    assert tools["web:visit"] > tools["web:search"]


def test_only_tools_that_are_offered_are_proposed(web):
    root = Node(id="s/0", seed_id="s", intent="Grey Heron")
    seed = Seed(id="s", content="Grey Heron")
    only = tuple(tool for tool in TOOLS if tool.name == "web:visit")
    assert WebPolicy().propose(ProposeInputs(seed=seed, path=(root,), k=3, tools=only)) == []


def test_what_is_taken_is_not_proposed_again(web):
    root = Node(id="s/0", seed_id="s", intent="Grey Heron")
    seed = Seed(id="s", content="Grey Heron")
    policy = WebPolicy()
    first = policy.propose(ProposeInputs(seed=seed, path=(root,), k=1, tools=TOOLS))
    second = policy.propose(ProposeInputs(seed=seed, path=(root,), k=1, tools=TOOLS, taken=tuple(first)))
    assert first != second
    assert second


def test_a_page_of_which_a_part_was_shown_is_searched_for_the_names_of_the_question():
    text = "The Long Wall is a wall in Farlow. " * 5
    node = visited(text, "Long Wall", end=60)
    step = SolveStep(tool=node.tool, params=node.params, result=node.result)
    asked = SolveStep(tool="web:search", params={"query": "x"}, result=Observation(ok=True, data={}, text=""))
    move = WebPolicy().solve(
        SolveInputs(question="Who built the Gate of Farlow?", steps=(asked, step), tools=TOOLS, turn=1, max_turns=6)
    )
    assert ("web:find", "Gate of Farlow") in [(item.tool, item.params.get("pattern")) for item in move.actions]


def test_the_seed_is_looked_for_in_the_rest_of_a_long_page():
    node = visited("The Long Wall is a wall in Farlow. " * 5, "Long Wall", end=60)
    asked = Node(
        id="s/0.1", seed_id="s", depth=1, tool="web:search", params={"query": "Farlow Gate"}, result=node.result
    )
    inputs = ProposeInputs(seed=Seed(id="s", content="Farlow Gate"), path=(asked, node), k=1, tools=TOOLS)
    (action,) = WebPolicy().propose(inputs)
    assert (action.tool, action.params["pattern"]) == ("web:find", "Farlow Gate")


def test_whole_sentences_of_what_was_found_in_a_page_are_read():
    text = f"{'Grass grows on it. ' * 30}The Long Wall was built in 1764 by the people of Farlow. {'Sheep stand by it. ' * 30}"
    page = Page(provider="local", url=ORIGIN, final_url=ORIGIN, title="Long Wall", text=text)
    result = find_result(page, "Farlow", find_passages(page, "Farlow", most=3, around=120), cached=False)
    observed = Observation(ok=True, data=result.data, text="".join(part.text for part in result.content))
    step = SolveStep(tool="web:find", params={"url": ORIGIN, "pattern": "Farlow"}, result=observed)
    inputs = SolveInputs(
        question="In what year was the Long Wall built?", steps=(step,), tools=TOOLS, turn=5, max_turns=6
    )
    assert WebPolicy().solve(inputs).answer == "1764"
    (read,) = seen_of(calls_in_steps([step])).pages
    assert read.text in text
    assert read.text.startswith(("Grass", "The Long Wall"))
    assert read.text.endswith("by it.")


def test_the_last_turn_has_no_calls_and_says_nothing_where_nothing_was_found():
    move = WebPolicy().solve(SolveInputs(question="Who built it?", steps=(), tools=TOOLS, turn=5, max_turns=6))
    assert move.actions == ()
    assert move.answer is None


def test_a_visit_that_failed_is_no_page(web):
    failed = Observation(ok=False, code="not_found", data={"failed": [], "sources": []}, text="not there")
    node = Node(id="s/0.0", seed_id="s", depth=1, tool="web:visit", params={"url": ORIGIN}, result=failed, error="x")
    assert WebPolicy().draft(DraftInputs(seed=Seed(id="s", content="x"), path=(node,), n=3)) == []


async def test_a_question_leads_from_a_document_of_another_environment_to_a_page():
    text = "Ash Folio (doc_id: paper-01)\n\nThe Ash Folio is a folio in an archive. The Ash Folio describes the Ostrel Bridge."
    sources = [{"doc_id": "paper-01", "start": 0, "end": len(text)}]
    read = Observation(ok=True, data={"doc_id": "paper-01", "title": "Ash Folio", "sources": sources}, text=text)
    paper = Node(id="s/0.0", seed_id="s", depth=1, tool="rag:get", params={"doc_id": "paper-01"}, result=read)
    said = "The Ostrel Bridge is a brick bridge in Dunmarrow. The bridge is 346 metres long and has 8 arches."
    page = visited(said, url=f"{ORIGIN}/ostrel", node="s/0.0.0")
    seed = Seed(id="s", content="Ash Folio")
    path = (Node(id="s/0", seed_id="s"), paper, page)
    (first, *_) = WebPolicy().draft(DraftInputs(seed=seed, path=path, n=2))
    assert first.question == "How long is the brick bridge that the Ash Folio describes, in metres?"
    assert first.answer == "346"
    judged = await judge_draft(first, GATES, GateContext(seed=seed, path=path))
    assert all(verdict.passed for verdict in judged.gates), judged.gates
    assert [set(item.source) & {"doc_id", "url"} for item in evidence(judged)] == [{"doc_id"}, {"url"}, {"url"}]


def test_a_description_that_fits_two_pages_is_not_used():
    maker = about(
        "Ember Works is a lamp maker. Ember Works makes the Petrel Lamp. Ember Works makes the Tern Lamp.",
        "Ember Works",
    )
    lamp = about("The Petrel Lamp is a lamp.", "Petrel Lamp")
    assert descriptions(maker, lamp) == []
    only = about("Ember Works is a lamp maker. Ember Works makes the Petrel Lamp.", "Ember Works")
    assert [item.text for item in descriptions(only, lamp)] == ["the lamp that Ember Works makes"]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("The Ostrel Bridge crosses the River Esk.", "the river that the Ostrel Bridge crosses"),
        (
            "The Ostrel Bridge was built over the Esk in 1904.",
            "the river over which the Ostrel Bridge was built in 1904",
        ),
        ("The Ostrel Bridge was washed away by the Esk.", "the river by which the Ostrel Bridge was washed away"),
        ("The Ostrel Bridge was named by the Esk.", "the river that named the Ostrel Bridge"),
        ("The Ostrel Bridge is guarded by the Esk.", "the river by which the Ostrel Bridge is guarded"),
        ("The Ostrel Bridge crosses the Esk, the Wend and the Tarrow.", ""),
        ("The Ostrel Bridge crosses the Esk Canal.", ""),
    ],
)
def test_a_page_is_described_by_what_another_says_of_it(said, text):
    bridge = about(f"The Ostrel Bridge is a bridge. {said}", "Ostrel Bridge")
    river = about("The Esk is a river in the north.", "Esk")
    assert [item.text for item in descriptions(bridge, river)] == [text] * bool(text)


@pytest.mark.parametrize(
    ("said", "question", "answer"),
    [
        ("It was built by Ferrant Works and opened in 1904.", "In what year was {} opened?", "1904"),
        ("It was built by Ferrant Works and opened in 1904.", "By whom or what was {} built?", "Ferrant Works"),
        ("It is 346 metres long and has 8 arches.", "How long is {}, in metres?", "346"),
        ("It is 346 metres long and has 8 arches.", "How many arches does {} have?", "8"),
        ("It has a population of 12,480.", "What is the population of {}?", "12,480"),
        ("It received its charter in 1265.", "What is the year in which {} received its charter?", "1265"),
        ("It was opened on 3 May 1904.", "On what date was {} opened?", "3 May 1904"),
        ("It takes place in June and lasts 8 days.", "In what month does {} take place?", "June"),
        ("It takes place in June and lasts 8 days.", "How many days does {} last?", "8"),
        ("It flows into Lake Sorrow.", "Into what does {} flow?", "Lake Sorrow"),
        ("It crosses the Esk.", "What does {} cross?", "Esk"),
        ("It is kept at the Tide Museum.", "Where is {} kept?", "Tide Museum"),
        ("It is known for its slate.", "For what is {} known?", "slate"),
    ],
)
def test_what_a_page_states_can_be_asked_for(said, question, answer):
    found = {fact.question: fact.answer for fact in facts(about(f"Skellow is a thing. {said}", "Skellow"))}
    assert found.get(question) == answer


def test_what_a_page_answers_in_two_ways_is_not_asked_for():
    assert facts(about("Skellow is a thing. It was built in 1904. It was built in 1905.", "Skellow")) == ()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Keldwick – Atlas of Orsany", "Keldwick"),
        ("Keldwick - Atlas | Orsany", "Keldwick"),
        ("Mercury (planet) · Encyclopedia", "Mercury"),
        ("Ash Folio (doc_id: paper-01)", "Ash Folio"),
        ("Rock &amp; Roll", "Rock & Roll"),
        ("Bosnia-Herzegovina", "Bosnia-Herzegovina"),
        ("– Home", "– Home"),
    ],
)
def test_the_name_of_a_page_is_its_title_without_the_site(title, name):
    assert name_of(title) == name


def test_sentences_are_read_without_marks():
    assert plain("The **Wend** is a [river](http://x.org/a_(b)) (in Tarnmoor).") == "The Wend is a river."
    assert plain("## Wend") == "Wend"


PIECES = st.sampled_from(
    ["The Esk", "Esk", "is a river", "was built by", "in 1904", "and", ",", ".", "\n\n", "[Wend](http://x)", "(", ")", "1,2",
     "is 3 km long", "It", "crosses", "the Wend", "#", "–", "’s", "é", "\u200b", "has 4 arches"]
)  # fmt: skip


@given(
    first=st.lists(PIECES, max_size=30), second=st.lists(PIECES, max_size=30), question=st.lists(PIECES, max_size=12)
)
def test_no_page_makes_the_rules_fail(first, second, question):
    seed, asked = Seed(id="s", content="Esk"), " ".join(question)
    links = (Link(text="Wend", url=f"{ORIGIN}/wend"),)
    path = (
        Node(id="s/0", seed_id="s"),
        visited(" ".join(first), "Esk – Atlas", url=f"{ORIGIN}/esk", links=links),
        visited(" ".join(second), "Wend", url=f"{ORIGIN}/wend", node="s/0.0.0"),
    )
    policy = WebPolicy()
    steps = tuple(SolveStep(tool=node.tool, params=node.params, result=node.result) for node in path[1:])
    assert len(policy.propose(ProposeInputs(seed=seed, path=path, k=3, tools=TOOLS))) <= 3
    for draft in policy.draft(DraftInputs(seed=seed, path=path, n=3)):
        assert len(draft.reasoning_steps) >= 2
    for turn in (0, 5):
        move = policy.solve(SolveInputs(question=asked, steps=steps, tools=TOOLS, turn=turn, max_turns=6))
        assert turn == 0 or move.actions == ()
