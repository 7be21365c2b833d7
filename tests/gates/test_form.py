"""The gates schema, leak and self_contained."""

from __future__ import annotations

import pytest
from attrs import evolve

from agentflow_core.gates.form import Leak, Schema, SelfContained


async def test_a_whole_draft_passes(case):
    for gate in (Schema(), Leak(), SelfContained()):
        outcome = await case.check(gate)
        assert outcome.passed, outcome.reason


@pytest.mark.parametrize(
    "question",
    [
        "Who directed it?",
        "Name the town where the director of the film was born.",
        "In which town was he born (the director)?",
        "導演出生在哪裡？",
        "Compute the mean of the two totals",
    ],
)
async def test_a_question_asks_or_requests(case, question):
    assert (await case.changed(question=question).check(Schema())).passed


@pytest.mark.parametrize("question", ["", "Who?", "The director was born in a town.", "word " * 200 + "?"])
async def test_what_is_no_question_is_refused(case, question):
    assert not (await case.changed(question=question).check(Schema())).passed


async def test_steps_have_evidence_but_for_a_conclusion(case):
    first, last = case.draft.reasoning_steps
    bare = evolve(last, evidence=())
    assert (await case.changed(reasoning_steps=(first, last, bare)).check(Schema())).passed
    assert (
        await case.changed(reasoning_steps=(bare, last)).check(Schema())
    ).reason == "reasoning step 1 has no evidence"
    assert (await case.changed(reasoning_steps=()).check(Schema())).reason == "there are no reasoning steps"
    assert not (await case.changed(reasoning_steps=(evolve(first, step=" "), last)).check(Schema())).passed
    assert not (await case.changed(reasoning_steps=(bare,)).check(Schema())).passed


@pytest.mark.parametrize(
    ("answer_type", "answer"),
    [
        ("number", "35,124"),
        ("number", "more than 70 countries"),
        ("number", "seventy-five"),
        ("date", "April 23, 1926"),
        ("date", "1986"),
        ("date", "from 1986 to 2013"),
        ("date", "March and April"),
        ("date", "the 18th century"),
        ("yes_no", "Yes"),
        ("person", "Aram Avakian"),
        ("person", "王菲"),
        ("place", "Manhattan"),
        ("entity", "the North Atlantic Conference"),
        ("entity", "Drifting"),
        ("entity", "2112"),
        ("list", "Max Martin, Savan Kotecha and Ilya Salmanzadeh"),
        ("text", "shortest player ever to play in the National Basketball Association"),
    ],
)
async def test_answers_fit_their_type(case, answer_type, answer):
    outcome = await case.changed(answer=answer, answer_type=answer_type).check(Schema())
    assert outcome.passed, outcome.reason


@pytest.mark.parametrize(
    ("answer_type", "answer"),
    [
        ("number", "many"),
        ("number", "between 3 and 5"),
        ("date", "long ago"),
        ("yes_no", "maybe"),
        ("person", "the director"),
        ("person", "1926"),
        ("place", "no"),
        ("entity", "yes"),
        ("list", "Max Martin"),
        ("text", " "),
        ("text", "word " * 100),
        ("thing", "Manhattan"),
    ],
)
async def test_answers_that_do_not_fit_their_type_are_refused(case, answer_type, answer):
    assert not (await case.changed(answer=answer, answer_type=answer_type).check(Schema())).passed


@pytest.mark.parametrize(
    ("answer", "answer_type"), [("yes", "yes_no"), ("1,234", "number"), ("5 May 2001", "date"), ("Manhattan", "text")]
)
async def test_a_missing_answer_type_is_filled_in(case, answer, answer_type):
    outcome = await case.changed(answer=answer, answer_type="").check(Schema())
    assert outcome.draft.answer_type == answer_type


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        ("Was Manhattan the birthplace?", {}),
        ("Was MANHATTAN's son the director?", {}),
        ("Who was born in New York City?", {"aliases": ("New York City",)}),
        ("Which conference was the North Atlantic Conference before?", {"answer": "The North Atlantic Conference"}),
        ("Is the U.S.A. the country?", {"answer": "USA"}),
        ("Which town had 35124 people?", {"answer": "35,124", "answer_type": "number"}),
        ("Who wrote with Max Martin?", {"answer": "Max Martin and Savan Kotecha", "answer_type": "list"}),
    ],
)
async def test_a_question_that_holds_its_answer_is_refused(case, question, fields):
    assert not (await case.changed(question=question, **fields).check(Leak())).passed


@pytest.mark.parametrize(
    ("question", "fields"),
    [
        ("Who directed Manhattans?", {}),
        ("Is there no known director?", {"answer": "no", "answer_type": "yes_no"}),
        ("How many of the 124 towns are there?", {"answer": "24", "answer_type": "number"}),
    ],
)
async def test_a_part_of_a_word_is_no_leak(case, question, fields):
    outcome = await case.changed(question=question, **fields).check(Leak())
    assert outcome.passed, outcome.reason


@pytest.mark.parametrize(
    "question",
    [
        "According to the document, where was he born?",
        "Based on the text, who directed the film?",
        "What does the passage say about Aram Avakian?",
        "In the document above, who is the director?",
        "Who is named in the first passage?",
        "Which tool call in the trajectory returned the film?",
        "What is shown in the observation?",
        "Which of the search results mentions Aram Avakian?",
        "What is the population given in the table above?",
        "Which film is described in document 2?",
        "Who is the person mentioned in the article?",
        "What does the provided context state about the film?",
        "Who directed the film [1]?",
        "Which doc_id has the film?",
        "As stated in the passages, who was born first?",
        "Which director do both documents above mention?",
        "Based only on the given information, who was it?",
    ],
)
async def test_a_question_that_looks_at_its_author_s_notes_is_refused(case, question):
    assert not (await case.changed(question=question).check(SelfContained())).passed


@pytest.mark.parametrize(
    "question",
    [
        "Which document signed in 1776 declared independence?",
        "Which president signed the document that ended the war?",
        "Which text editor did the author of Emacs write?",
        "When was the passage of the Civil Rights Act?",
        "Who first described the trajectory of a projectile?",
        "Which article of the constitution did the court cite?",
        "In what context of the novel does the hero appear?",
        "What is printed by the program when x[0] is read?",
        "According to the 2001 census, what was the population of Kirton End?",
        "Which page of the web site lists the price of the lamp?",
        "How many lines are in the file that the script writes?",
        "Who made the first observation of the moons of Uranus?",
    ],
)
async def test_words_that_a_question_has_of_its_own_are_let_through(case, question):
    outcome = await case.changed(question=question).check(SelfContained())
    assert outcome.passed, outcome.reason


async def test_a_question_that_names_a_node_is_refused(case):
    assert not (await case.changed(question="What does s/0.0 say?").check(SelfContained())).passed
