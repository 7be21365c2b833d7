"""The rules that play the environment: what they propose, draft and answer."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table, TableStyle

from agentflow_core.gates.evidence import AnswerSupported, Grounded
from agentflow_core.gates.form import Leak, Schema, SelfContained
from agentflow_core.gates.hops import Chain, MultiHop
from agentflow_core.gates.run import judge_draft
from agentflow_core.interfaces import GateContext
from agentflow_core.records import (
    Action,
    DraftInputs,
    Node,
    Observation,
    ProposeInputs,
    Seed,
    SolveInputs,
    SolveStep,
    ToolDefinition,
)
from agentflow_core.sandbox import observation_of
from agentflow_core.text import action_key
from agentflow_doc.offline import DocPolicy
from agentflow_doc.offline.markdown import charts_of, sentences_of, tables_of
from agentflow_doc.offline.seen import Seen, owner
from agentflow_doc.offline.wording import asked, columns_of, greatest, named, value_of

STYLES = getSampleStyleSheet()
TOOLS = tuple(
    ToolDefinition(name=f"doc:{name}", description="", parameters={})
    for name in ("list", "outline", "search", "read", "table", "page_image", "figure")
)
GATES = [
    (type(gate).__name__, gate)
    for gate in (Schema(), Leak(), SelfContained(), Grounded(), AnswerSupported(), Chain(), MultiHop())
]
SHIPS = [
    ["Ship", "Home harbour", "Seats", "Length (m)"],
    ["Heron", "Oldwick", "120", "41.5"],
    ["Curlew", "Ness Bay", "310", "77.0"],
    ["Dunlin", "Farport", "88", "30.2"],
]
HARBOURS = [
    ["Harbour", "Berths", "Depth (m)", "Opened"],
    ["Oldwick", "9", "7.4", "1881"],
    ["Ness Bay", "16", "10.1", "1934"],
    ["Farport", "5", "4.6", "1902"],
]
MEASURES = [["Measure", "2022", "2023"], ["Employees", "210", "218"], ["Revenue (million crowns)", "31.5", "33.0"]]
OTHERS = [["Measure", "2022", "2023"], ["Employees", "96", "104"], ["Revenue (million crowns)", "12.2", "15.9"]]
REPORTS = {
    "ferries.pdf": (
        "Bay Ferries: Report 2023",
        ("1 The fleet", "Curlew is the largest ship of Bay Ferries. Heron was refitted in March 2022.", SHIPS),
        ("2 Key figures", "The office moved.", MEASURES),
    ),
    "harbours.pdf": (
        "Coast Harbours: Report 2023",
        ("1 The harbours", "Every harbour has a crane.", HARBOURS),
        ("2 Key figures", "Dredging went on.", OTHERS),
    ),
}


def ruled(rows):
    made = Table(rows)
    made.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))
    return made


@pytest.fixture
def reports(make):
    """Two reports, of ships and of the harbours that they lie in."""
    for name, (title, *sections) in REPORTS.items():
        story = [Paragraph(title, STYLES["Title"]), PageBreak()]
        for heading, text, rows in sections:
            caption = Paragraph(f"Table: {heading}", STYLES["BodyText"])
            story += [Paragraph(heading, STYLES["Heading1"]), Paragraph(text, STYLES["BodyText"]), caption]
            story += [ruled(rows), Paragraph("These figures were audited.", STYLES["BodyText"]), PageBreak()]
        SimpleDocTemplate(str(make.folder / name), pagesize=A4, title=title, invariant=1).build(story)


async def observe(sandbox, action):
    return observation_of(await sandbox.execute(action.tool, dict(action.params)), None)


async def explore(sandbox, seed, depth, tools=TOOLS):
    """A path as an explorer that goes straight on grows it."""
    path = (Node(id=f"{seed.id}/0", seed_id=seed.id, intent=seed.content),)
    taken = []
    for number in range(depth):
        inputs = ProposeInputs(seed=seed, path=path, k=1, tools=tools, taken=tuple(taken))
        for action in DocPolicy().propose(inputs):
            assert action_key(action.tool, action.params) not in {action_key(a.tool, a.params) for a in taken}
            taken.append(action)
            result = await observe(sandbox, action)
            assert result.ok, result.text
            node = Node(
                id=f"{path[-1].id}.0",
                seed_id=seed.id,
                parent=path[-1].id,
                depth=number + 1,
                tool=action.tool,
                params=action.params,
                result=result,
            )
            path = (*path, node)
    return path


async def solve(sandbox, question, max_turns=8):
    steps = []
    for turn in range(max_turns):
        inputs = SolveInputs(question=question, steps=tuple(steps), tools=TOOLS, turn=turn, max_turns=max_turns)
        move = DocPolicy().solve(inputs)
        if not move.actions:
            return move
        steps += [
            SolveStep(tool=item.tool, params=item.params, result=await observe(sandbox, item)) for item in move.actions
        ]
    raise AssertionError("no answer on the last turn")


SEED = Seed(id="s", content="ships and their home harbours")


async def test_a_path_over_two_reports_gives_drafts_that_pass_the_gates_with_page_and_box(opened, reports):
    async with opened() as sandbox:
        path = await explore(sandbox, SEED, 5)
    drafts = DocPolicy().draft(DraftInputs(seed=SEED, path=path, n=8, tools=TOOLS))
    assert len(drafts) >= 6
    assert len({draft.extra["kind"] for draft in drafts}) >= 3
    for draft in drafts:
        judged = await judge_draft(evolve(draft, id="d"), GATES, GateContext(seed=SEED, path=path))
        assert judged.gates[-1].passed, (draft.question, judged.gates[-1].reason)
        sources = [item.source for step in judged.reasoning_steps for item in step.evidence]
        assert {source["doc"] for source in sources} == set(REPORTS)
        assert all(source["page"] >= 2 and len(source["box"]) == 4 for source in sources)


async def test_questions_lead_from_a_cell_of_one_report_to_the_table_of_another_one(opened, reports):
    async with opened() as sandbox:
        path = await explore(sandbox, SEED, 5)
    drafts = DocPolicy().draft(DraftInputs(seed=SEED, path=path, n=40, tools=TOOLS))
    answers = {draft.question: draft.answer for draft in drafts}
    assert answers["What is the depth of the home harbour of the largest ship of Bay Ferries, in m?"] == "10.1"
    assert answers["How many berths does the home harbour of the ship Heron have?"] == "9"
    assert answers["In which year was the home harbour of the ship with the fewest seats opened?"] == "1902"
    assert (
        answers["How many seats does the ship whose home harbour is the harbour with the greatest depth have?"] == "310"
    )


async def test_the_same_figure_of_two_organisations_is_compared(opened, reports):
    seed = Seed(id="s", content="key figures of Bay Ferries and Coast Harbours")
    async with opened() as sandbox:
        path = await explore(sandbox, seed, 4)
    drafts = DocPolicy().draft(DraftInputs(seed=seed, path=path, n=40, tools=TOOLS))
    differences = [draft for draft in drafts if draft.extra["kind"] == "difference"]
    assert {draft.answer for draft in differences} <= {"114", "19.3", "17.1"}
    assert len(differences) == 3
    for draft in drafts:
        if draft.extra["kind"] == "comparison":
            assert draft.answer == ("yes" if draft.question.startswith("Did Bay Ferries") else "no")


async def test_answer_types_that_are_not_asked_for_are_not_drafted(opened, reports):
    async with opened() as sandbox:
        path = await explore(sandbox, SEED, 5)
    drafts = DocPolicy().draft(DraftInputs(seed=SEED, path=path, n=40, tools=TOOLS, answer_types=("date",)))
    assert drafts
    assert {draft.answer_type for draft in drafts} == {"date"}


async def test_the_same_inputs_give_the_same_path_and_drafts(opened, reports):
    async with opened() as sandbox:
        paths = [await explore(sandbox, SEED, 5) for _ in range(2)]
    first, second = ([(node.tool, dict(node.params)) for node in path] for path in paths)
    assert first == second
    drafts = [DocPolicy().draft(DraftInputs(seed=SEED, path=path, n=5, tools=TOOLS)) for path in paths]
    assert drafts[0] == drafts[1]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How many berths does the harbour Farport have?", "5"),
        ("What is the home harbour of the Heron?", "Oldwick"),
        ("In which year was the home harbour of the ship Curlew opened?", "1934"),
        ("How deep is the home harbour of the largest ship of Bay Ferries, in metres?", "10.1"),
        ("When was the Heron refitted?", "March 2022"),
        ("Did Coast Harbours have more employees in 2023 than Bay Ferries?", "no"),
        ("Did Coast Harbours have fewer employees in 2023 than Bay Ferries?", "yes"),
        ("How many more employees did Bay Ferries have in 2022 than Coast Harbours?", "114"),
        ("What was the revenue of Coast Harbours in 2023, in million crowns?", "15.9"),
        ("How many employees did Bay Ferries have in 2011?", "Not answerable"),
    ],
)
async def test_questions_are_answered_by_following_cells_and_comparing(opened, reports, question, answer):
    async with opened() as sandbox:
        assert (await solve(sandbox, question)).answer == answer


# ---- proposals


def test_only_offered_tools_are_proposed():
    root = Node(id="s/0", seed_id="s", intent=SEED.content)
    search = [tool for tool in TOOLS if tool.name == "doc:search"]
    (action,) = DocPolicy().propose(ProposeInputs(seed=SEED, path=(root,), k=3, tools=tuple(search)))
    assert action.tool == "doc:search"


def test_failed_calls_and_other_tools_on_a_path_are_passed_over():
    root = Node(id="s/0", seed_id="s", intent=SEED.content)
    failed = Node(
        id="s/0.0",
        seed_id="s",
        depth=1,
        tool="doc:read",
        params={"doc": "x"},
        result=Observation(ok=False, code="not_found", text="error"),
        error="not_found",
    )
    other = Node(id="s/0.0.0", seed_id="s", depth=2, tool="bash:run", params={}, result=Observation(text="x", data=[1]))
    path = (root, failed, other)
    assert DocPolicy().draft(DraftInputs(seed=SEED, path=path)) == []
    assert DocPolicy().propose(ProposeInputs(seed=SEED, path=path, k=2, tools=TOOLS))


def test_another_environment_that_has_been_seen_in_the_tree_has_its_turn():
    nodes = [Node(id="s/0", seed_id="s", intent=SEED.content)]
    nodes += [Node(id=f"s/0{'.0' * at}", seed_id="s", tool="doc:list", result=Observation(data={})) for at in (1, 2)]
    inputs = ProposeInputs(seed=SEED, path=tuple(nodes), k=1, tools=TOOLS)
    assert DocPolicy().propose(inputs)
    assert DocPolicy().propose(evolve(inputs, taken=(Action(tool="code:run"),))) == []


def test_with_no_turn_left_there_is_an_answer_and_no_call():
    move = DocPolicy().solve(SolveInputs(question="Who wrote it?", steps=(), tools=TOOLS, turn=4, max_turns=5))
    assert not move.actions
    assert move.answer == "Not answerable"


# ---- reading


def test_tables_are_read_with_their_captions_and_the_lines_they_stand_in():
    text = "Table 3. Ships | boats\n\n| Ship | Note |\n| --- | --- |\n| Heron | red \\| white |\n| Curlew |\n\nMore."
    (table,) = tables_of(text)
    assert table.caption == "Ships | boats"
    assert table.head.cells == ("Ship", "Note")
    assert [row.cells for row in table.rows] == [("Heron", "red | white")]
    assert text[table.rows[0].start :].startswith(table.rows[0].quote)


def test_a_bar_chart_is_read_only_if_each_bar_has_a_label():
    labelled = "[figure 1 on page 4] 12 | 7.5 | Oldwick | Ness Bay | 0 | 5 | 10 | 15\n\nFigure 1. Cranes, 2023"
    (chart,) = charts_of(labelled)
    assert chart.head.cells == ("bar", "Cranes, 2023")
    assert [row.cells for row in chart.rows] == [("Oldwick", "12"), ("Ness Bay", "7.5")]
    years = "[figure 1 on page 4] 3 | 8 | 2022 | 2023 | 0 | 5 | 10"
    assert [row.cells for row in next(charts_of(years)).rows] == [("2022", "3"), ("2023", "8")]
    for line in ("2021 | 2022 | 2023 | 0 | 5 | 10", "12 | 7 | Oldwick Ness Bay | 0 | 5", "Oldwick | Ness Bay", ""):
        assert not list(charts_of(f"[figure 1 on page 4] {line}"))


def test_sentences_are_those_of_the_prose():
    text = "# Heading one.\n\nIt rose. Dr. Low said so\nin May. Then it fell.\n\nTable 1. A caption.\n\n| a | b. |\n\n3"
    found = list(sentences_of(text))
    assert [sentence for _, sentence in found] == ["It rose.", "Dr. Low said so\nin May.", "Then it fell."]
    assert all(text[start:].startswith(sentence) for start, sentence in found)


def test_the_owner_of_a_report_is_named_by_its_title():
    assert owner("Bay Ferries: Report 2023") == "Bay Ferries"
    assert owner("Bay Ferries – Report") == "Bay Ferries"
    assert owner("Well-kept roads") == "Well-kept roads"


# ---- wording


def table_seen(rows, below=("", "Some prose stands below it.")):
    lines = [f"| {' | '.join(row)} |" for row in rows]
    text = "\n".join((lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:], *below))
    seen = Seen()
    source = {"start": 0, "end": len(text), "doc": "d.pdf", "page": 2}
    seen.add("n", "doc:read", {}, Observation(data={"doc": "d.pdf", "title": "T", "sources": [source]}, text=text))
    return seen.tables[0]


@pytest.mark.parametrize(
    ("head", "cells", "question"),
    [
        ("Berths", ("9", "16"), "How many berths does it have?"),
        ("Depth (m)", ("7.4", "10.1"), "What is the depth of it, in m?"),
        ("Opened", ("1881", "1934"), "In which year was it opened?"),
        ("Contract ends", ("2027", "2030"), 'Which year is given under "Contract ends" for it?'),
        ("On time (%)", ("88", "97"), 'What percentage is given under "On time" for it?'),
        ("Water from", ("Low Works", "Mill Works"), 'What is given under "Water from" for it?'),
        ("Fuel", ("diesel", "wind"), "What is the fuel of it?"),
        ("Population", ("1,204", "980"), "What figure is given for the population of it?"),
    ],
)
def test_a_column_is_asked_for_as_its_head_and_cells_suggest(head, cells, question):
    table = table_seen([["Harbour", head], *([f"H{at}", cell] for at, cell in enumerate(cells))])
    assert asked(columns_of(table)[1], "it") == question


def test_only_a_row_that_is_alone_in_front_is_called_the_greatest():
    rows = [["Ship", "Seats", "Length (m)", "Built"], ["A1", "9", "5", "1999"], ["B2", "9", "7", "2001"]]
    table = table_seen([*rows, ["C3", "4", "6", "2001"]])
    found = [text for column in columns_of(table) for text, _ in greatest(table, column)]
    assert found == [
        "the ship with the fewest seats",
        "the ship with the greatest length",
        "the ship with the least length",
        "the ship that was built first",
    ]


def test_rows_that_sum_up_others_are_not_ranked():
    table = table_seen([["Ship", "Seats"], ["A1", "9"], ["B2", "4"], ["C3", "6"], ["Total", "19"]])
    assert greatest(table, columns_of(table)[1]) == [
        ("the ship with the most seats", 0),
        ("the ship with the fewest seats", 1),
    ]


def test_a_table_that_ends_its_page_may_go_on_and_is_not_ranked():
    table = table_seen([["Ship", "Seats"], ["A1", "9"], ["B2", "4"], ["C3", "6"]], below=("", "3"))
    assert greatest(table, columns_of(table)[1]) == []


def test_a_kind_is_not_said_twice():
    assert named("ship", "Kestrel") == "the ship Kestrel"
    assert named("hospital", "Merrin Cottage Hospital") == "Merrin Cottage Hospital"


def test_a_cell_is_a_number_only_if_it_is_nothing_else():
    assert str(value_of("1,204")) == "1204"
    assert value_of("7 of 9") is None
    assert value_of("Pier 9") is None


@given(st.text(alphabet="|-\n a1.#[]Tableigur\\", max_size=200))
def test_no_text_breaks_the_reading_of_an_observation(text):
    seen = Seen()
    source = {"start": 0, "end": len(text), "doc": "d.pdf", "page": 1}
    result = Observation(data={"doc": "d.pdf", "title": "T", "sources": [source]}, text=text)
    seen.add("n", "doc:read", {}, result)
    list(charts_of(text))
    node = Node(id="s/0.0", seed_id="s", depth=1, tool="doc:read", params={"doc": "d.pdf"}, result=result)
    path = (Node(id="s/0", seed_id="s", intent="x"), node)
    DocPolicy().draft(DraftInputs(seed=SEED, path=path, n=2))
    assert DocPolicy().propose(ProposeInputs(seed=SEED, path=path, k=1, tools=TOOLS))


@pytest.mark.parametrize("data", [None, [], {}, {"sources": "x"}, {"documents": [1, {"doc": 3}], "sections": [{}]}])
def test_observations_without_the_expected_data_show_nothing(data):
    seen = Seen()
    for tool in ("doc:list", "doc:outline", "doc:search", "doc:read", "doc:table", "doc:page_image"):
        seen.add("n", tool, {}, Observation(data=data, text="| a | b |\n| --- | --- |\n| c | d |"))
    assert not seen.tables
    assert not seen.read
