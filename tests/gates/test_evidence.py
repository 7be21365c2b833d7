"""The gates grounded and answer_supported."""

from __future__ import annotations

import anyio
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.gates.evidence import AnswerSupported, Grounded
from agentflow_core.interfaces import GateContext
from agentflow_core.records import QA, Evidence, Node, Observation, ReasoningStep, Seed, cut


def evidence_of(outcome):
    return [item for step in outcome.draft.reasoning_steps for item in step.evidence]


async def test_quotes_get_their_place_and_their_source(case):
    outcome = await case.check(Grounded())
    texts = {node.id: node.result.text for node in case.path if node.result}
    for item, doc_id in zip(evidence_of(outcome), ("hp-1", "hp-2"), strict=True):
        assert texts[item.node][item.start : item.end] == item.quote
        assert item.source == {"doc_id": doc_id}
    assert outcome.reason == "all 2 quotes stand in their observations"


async def test_a_quote_in_another_form_is_replaced_by_the_exact_one(case):
    text = "He said “it’s  over” – and\nleft the room."
    case = case.with_node(2, result=Observation(text=text)).quoting([(2, 'said "it\'s over" - and left')])
    (item,) = evidence_of(await case.check(Grounded()))
    assert item.quote == "said “it’s  over” – and\nleft"
    assert text[item.start : item.end] == item.quote


async def test_judging_twice_changes_nothing(case):
    once = (await case.check(Grounded())).draft
    assert (await evolve(case, draft=once).check(Grounded())).draft == once


async def refusal(case):
    outcome = await case.check(Grounded())
    assert not outcome.passed
    return outcome.reason


async def test_what_is_no_quote_is_refused(case):
    assert "does not stand in" in await refusal(case.quoting([(1, "directed by somebody else")]))
    assert "does not stand in" in await refusal(case.quoting([(2, "directed by Aram Avakian.")]))
    assert "a quote is empty" in await refusal(case.quoting([(1, "  ")]))
    assert "too short" in await refusal(case.quoting([(1, "film")]))
    assert "there is no evidence" in await refusal(case.changed(reasoning_steps=(ReasoningStep(step="x"),)))


async def test_a_short_quote_is_evidence_if_it_is_the_answer(case):
    case = case.with_node(2, result=Observation(text="count\n275\n")).quoting([(2, "275")]).changed(answer="275")
    assert (await case.check(Grounded())).passed


async def test_only_successful_observations_of_the_path_are_quoted(case):
    failed = Observation(ok=False, code="timeout", text="11 Harrowhouse is a film")
    assert "is a failure (timeout)" in await refusal(
        case.with_node(1, result=failed).quoting([(1, "11 Harrowhouse is")])
    )
    assert "has no observation" in await refusal(case.quoting([(0, "11 Harrowhouse")]))
    stray = ReasoningStep(step="x", evidence=(Evidence(node="other/0.1", quote="11 Harrowhouse is"),))
    assert "not a node of the path" in await refusal(case.changed(reasoning_steps=(stray,)))


async def test_a_quote_over_the_cut_of_what_was_shown_is_refused(case):
    text = "".join(f"line {number:06}\n" for number in range(5000))
    shown = cut(text)
    head = shown.index("\n[…")
    case = case.with_node(2, result=Observation(text=text, shown=shown))
    assert "crosses the cut" in await refusal(case.quoting([(2, text[head - 20 : head + 20].strip())]))
    assert "crosses the cut" in await refusal(
        case.quoting([(2, text[len(text) - 16384 - 20 : len(text) - 16384 + 20].strip())])
    )
    assert "does not stand" in await refusal(case.quoting([(2, shown[head - 10 : head + 40].strip())]))
    for place in (100, len(text) - 100):
        assert (await case.quoting([(2, text[place : place + 30].strip())]).check(Grounded())).passed


async def test_of_several_places_one_that_is_whole_is_taken(case):
    block = "the same words again. "
    text = "x" * 16380 + block + "y" * 20000 + block
    shown = cut(text)
    case = case.with_node(2, result=Observation(text=text, shown=shown)).quoting([(2, block.strip())])
    (item,) = evidence_of(await case.check(Grounded()))
    assert item.start == text.rindex(block)


async def test_a_quote_over_two_sources_is_refused(case):
    text = case.path[1].result.text
    at = text.index("\n\n[2]")
    assert "runs over 2 sources" in await refusal(case.quoting([(1, text[at - 15 : at + 15])]))


async def test_without_ranges_the_source_is_what_the_data_say_at_the_top(case):
    page = Observation(text="The page says so.", data={"url": "https://example.com/", "title": "x", "status": 200})
    (item,) = evidence_of(await case.with_node(2, result=page).quoting([(2, "The page says so.")]).check(Grounded()))
    assert item.source == {"url": "https://example.com/"}


@given(
    st.text(alphabet="ab ’'“”–-\n\u00a0é\u0301\u00ad…", min_size=1, max_size=80),
    st.integers(0, 80),
    st.integers(8, 40),
    st.sampled_from([str, lambda quote: quote.replace("’", "'"), lambda quote: " ".join(quote.split())]),
)
def test_a_grounded_quote_is_the_slice_at_its_place(text, start, length, changed):
    node = Node(id="n", seed_id="s", tool="t", result=Observation(text=text))
    step = ReasoningStep(step="x", evidence=(Evidence(node="n", quote=changed(text[start : start + length])),))
    draft = QA(id="q", seed_id="s", path_id="n", question="?", answer="a", reasoning_steps=(step,))
    outcome = anyio.run(Grounded().check, draft, GateContext(seed=Seed(id="s", content=""), path=(node,)))
    if outcome.passed:
        (item,) = evidence_of(outcome)
        assert text[item.start : item.end] == item.quote
    elif len(changed(text[start : start + length]).strip()) >= 8:
        assert "\u00ad" in text or "\u0301" in text or "…" in text


async def supported(case, **fields):
    outcome = await case.changed(**fields).check(AnswerSupported())
    return outcome.passed, outcome.reason


async def test_an_answer_in_the_last_hop_s_evidence_is_supported(case):
    assert await supported(case) == (True, "'Manhattan' stands in the evidence of step 2")
    assert (await supported(case, answer="New York", aliases=("manhattan",)))[0]
    assert not (await supported(case, answer="Armenia"))[0]
    assert not (await supported(case, answer="11 Harrowhouse"))[0]
    assert not (await supported(case, answer="Man"))[0]


@pytest.mark.parametrize(
    ("answer", "answer_type", "quote"),
    [
        ("1,926", "number", "there were 1926 of them"),
        ("35 million", "number", "it has 35,000,000 inhabitants"),
        ("23 April 1926", "date", "born April 23, 1926, in"),
        ("1926-04-23", "date", "born April 23, 1926, in"),
        ("USA", "place", "in the U.S.A. since"),
        ("1986–2013", "date", "from (1986–2013)"),
        ("the Conversation", "entity", "co-founder of The Conversation."),
    ],
)
async def test_another_form_of_the_answer_is_enough(case, answer, answer_type, quote):
    assert (await supported(case.quoting([(1, "x")], [(2, quote)]), answer=answer, answer_type=answer_type))[0]


@pytest.mark.parametrize(
    ("answer", "quotes", "how"),
    [
        ("27", ["born in 1899", "born in 1926"], "the difference of 1899 and 1926"),
        ("7", ["3 members", "4 members"], "the sum of 2 numbers in the evidence"),
        ("3.5", ["3 members", "4 members"], "the average of 2 numbers in the evidence"),
        ("0.33", ["1 of them", "and 3 others"], "the ratio of 1 to 3"),
        ("40", ["20 of them", "of 50 in all"], "20 as a percentage of 50"),
        ("9", ["9 at last", "5 members", "7 members"], "the greatest of 3 numbers in the evidence"),
        ("3", ["one line\nanother line", "a third line"], "the number of lines in the evidence (3)"),
        ("3", ["Max Martin, Savan Kotecha and Ilya Salmanzadeh", "x"], "the number of items in"),
    ],
)
async def test_a_number_may_be_computed_from_the_evidence(case, answer, quotes, how):
    case = case.quoting(*([(1, quote)] for quote in quotes))
    passed, reason = await supported(case, answer=answer, answer_type="number")
    assert (passed, reason.startswith(f"{answer!r} is {how}")) == (True, True), reason


async def test_a_number_that_follows_from_nothing_is_refused(case):
    case = case.quoting([(1, "born in 1899")], [(2, "born in 1926")])
    assert not (await supported(case, answer="28", answer_type="number"))[0]
    many = case.quoting([(1, " ".join(map(str, range(1000, 9000, 100))))], [(2, "nothing")])
    assert not (await supported(many, answer="300", answer_type="number"))[0]


async def test_yes_and_no_need_two_hops(case):
    assert (await supported(case, answer="yes", answer_type="yes_no"))[0]
    assert not (await supported(case.quoting([(1, "x")]), answer="yes", answer_type="yes_no"))[0]


async def test_every_item_of_a_list_is_supported_by_some_hop(case):
    case = case.quoting([(1, "written with Max Martin")], [(2, "and with Savan Kotecha")])
    assert (await supported(case, answer="Max Martin and Savan Kotecha", answer_type="list"))[0]
    passed, reason = await supported(case, answer="Max Martin and Shellback", answer_type="list")
    assert (passed, reason) == (False, "'Shellback' of the list does not stand in the evidence")
