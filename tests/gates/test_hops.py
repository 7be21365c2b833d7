"""The gates chain and multi_hop."""

from __future__ import annotations

from attrs import evolve

from agentflow_core.gates.evidence import Grounded
from agentflow_core.gates.hops import Chain, MultiHop
from agentflow_core.records import Observation


async def verdict(case, gate):
    grounded = await case.check(Grounded())
    assert grounded.passed, grounded.reason
    outcome = await evolve(case, draft=grounded.draft).check(gate)
    return outcome.passed, outcome.reason


def found(case, index, text, **data):
    return case.with_node(index, result=Observation(text=text, data=data or None))


async def test_a_name_that_a_later_quote_holds_links_the_hops(case):
    assert await verdict(case, Chain()) == (True, "'Aram Avakian' of step 1 stands in the evidence of step 2")


async def test_a_name_that_a_later_action_was_called_with_links_the_hops(case):
    case = case.quoting([(1, "film directed by Aram Avakian.")], [(2, "born in Manhattan on")])
    case = found(case, 2, "He was born in Manhattan on April 23, 1926.")
    assert await verdict(case, Chain()) == (
        True,
        "'Aram Avakian' of step 1 is what rag:search was called with for step 2",
    )


async def test_the_title_of_the_later_document_links_the_hops(case):
    case = case.with_node(2, tool="rag:get", params={"doc_id": "hp-2"}).quoting(
        [(1, "film directed by Aram Avakian.")], [(2, "born in Manhattan on")]
    )
    assert (await verdict(case, Chain()))[0]


async def test_a_surname_is_enough(case):
    case = found(case.with_node(2, params={"doc_id": "hp-2"}), 2, "Avakian was born in Manhattan.")
    assert (
        await verdict(case.quoting([(1, "directed by Aram Avakian.")], [(2, "Avakian was born in Manhattan")]), Chain())
    )[0]


async def test_hops_that_share_only_what_the_question_or_the_answer_has_are_no_chain(case):
    case = case.with_node(2, params={"query": "11 Harrowhouse Manhattan"})
    case = found(case, 2, "The premiere of 11 Harrowhouse was held in Manhattan.")
    case = case.quoting([(1, FILM_QUOTE)], [(2, "The premiere of 11 Harrowhouse was held in Manhattan")])
    assert await verdict(case, Chain()) == (False, "nothing that step 1 found is used by a later step")


FILM_QUOTE = "11 Harrowhouse is a 1974 British film directed by"


async def test_a_nationality_in_both_quotes_links_nothing(case):
    case = case.with_node(2, params={}).quoting([(1, "a 1974 British film")], [(2, "The British were in Manhattan")])
    case = found(case, 2, "The British were in Manhattan")
    case = case.with_node(1, result=Observation(text="11 Harrowhouse is a 1974 British film"))
    assert not (await verdict(case, Chain()))[0]


async def test_without_names_rare_words_link_the_hops(case):
    case = found(found(case, 1, "the module imports its parser lazily"), 2, "the parser keeps a stack of tokens")
    case = case.with_node(2, params={}).changed(question="What does the lazily loaded part keep?", answer="a stack")
    case = case.quoting([(1, "imports its parser lazily")], [(2, "the parser keeps a stack")])
    assert await verdict(case, Chain()) == (True, "'parser' of step 1 stands in the evidence of step 2")


async def test_one_hop_is_no_chain(case):
    assert not (await verdict(case.quoting([(2, "born in Manhattan on")]), Chain()))[0]


async def test_a_comparison_uses_the_hops_that_it_asked_about(case):
    case = found(found(case, 1, "Emma Bull was born in 1954."), 2, "Virginia Woolf was born in 1882.")
    case = case.with_node(2, params={}).quoting(
        [(1, "Emma Bull was born in 1954")], [(2, "Virginia Woolf was born in 1882")]
    )
    yes = case.changed(question="Was Virginia Woolf born before Emma Bull?", answer="yes", answer_type="yes_no")
    assert (await verdict(yes, Chain()))[0]
    difference = case.changed(question="By how many years is Emma Bull younger than Virginia Woolf?", answer="72")
    assert (await verdict(evolve(difference, draft=evolve(difference.draft, answer_type="number")), Chain()))[0]
    other = yes.changed(question="Was Jane Austen born before Emma Bull?")
    assert await verdict(other, Chain()) == (False, "nothing that step 2 found is used by a later step")


async def test_a_question_over_two_documents_is_multi_hop(case):
    assert await verdict(case, MultiHop()) == (
        True,
        "no observation holds 'Manhattan' with all 2 constants of the question",
    )


async def test_an_observation_that_holds_all_of_it_refuses_the_question(case):
    both = f"{case.path[1].result.text}\n\n{case.path[2].result.text}"
    passed, reason = await verdict(case.with_node(1, result=Observation(text=both)), MultiHop())
    assert not passed
    assert reason.startswith("the observation of s/0.0 holds 'Manhattan' with all the question names: ")


async def test_a_failed_observation_answers_nothing(case):
    third = evolve(
        case.path[2],
        id="s/0.0.0.0",
        error="timeout",
        result=Observation(ok=False, text=f"{case.path[1].result.text} {case.path[2].result.text}"),
    )
    assert (await verdict(evolve(case, path=(*case.path, third)), MultiHop()))[0]


async def test_evidence_from_one_node_or_one_document_is_not_multi_hop(case):
    one = case.quoting([(2, "Aram Avakian was an American")], [(2, "born in Manhattan on")])
    assert await verdict(one, MultiHop()) == (False, "the evidence comes from 1 observation(s), not from 2")
    again = case.with_node(1, result=case.path[2].result)
    again = again.quoting([(1, "Aram Avakian was an American")], [(2, "born in Manhattan on")])
    assert await verdict(again, MultiHop()) == (False, "the evidence comes from 1 source(s): doc_id=hp-2")
    assert not (await verdict(evolve(case, min_hops=3), MultiHop()))[0]


async def test_a_question_without_names_is_held_against_its_words(case):
    case = case.changed(question="Where was the director of that strange film born?")
    assert (await verdict(case, MultiHop()))[0]
    easy = case.changed(question="Where was the editor born?")
    assert not (await verdict(easy, MultiHop()))[0]


async def test_a_conclusion_is_refused_if_one_observation_holds_every_quote(case):
    case = case.changed(question="Was Aram Avakian a director?", answer="yes", answer_type="yes_no")
    assert (await verdict(case, MultiHop()))[0]
    both = f"{case.path[1].result.text}\n\n{case.path[2].result.text}"
    assert await verdict(case.with_node(2, result=Observation(text=both)), MultiHop()) == (
        False,
        "the observation of s/0.0.0 holds every quote",
    )


async def test_a_number_that_a_query_returned_may_stand_among_the_figures_of_a_schema(case):
    schema = "genre (13 rows)\n  name TEXT, 13 distinct, such as Jazz, Rock"
    case = case.with_node(1, tool="code:schema", params={}, result=Observation(text=schema))
    case = case.with_node(2, tool="code:sql", params={"query": "…"}, result=Observation(text="| n |\n|--:|\n| 13 |"))
    case = case.quoting([(1, "name TEXT, 13 distinct, such as Jazz, Rock")], [(2, "| n |\n|--:|\n| 13 |")])
    case = case.changed(question="How many tracks of the genre Jazz are there?", answer="13", answer_type="number")
    assert not (await verdict(case, MultiHop()))[0]
    case = case.changed(extra={"sql": "SELECT COUNT(*) …"})
    assert await verdict(case, MultiHop()) == (True, "no observation holds all 2 quotes")
    listed = case.with_node(1, result=Observation(text=f"{schema}\n| n |\n|--:|\n| 13 |"))
    assert await verdict(listed, MultiHop()) == (False, "the observation of s/0.0 holds every quote")
    named = case.changed(question="Which genre has Jazz in its name?", answer="Rock", answer_type="entity")
    named = named.with_node(2, result=Observation(text="| Rock |")).quoting(
        [(1, "name TEXT, 13 distinct")], [(2, "| Rock |")]
    )
    assert not (await verdict(named, MultiHop()))[0]
