"""What questions ask for and what they give away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.prose import answers_alone, asks_yes_no, hides, is_named_first


@pytest.mark.parametrize(
    ("question", "answer", "names"),
    [
        ("Who built the Ostrel Bridge of Ferrant Works?", "ferrant works", ()),
        ("What has a length of 1,904 metres?", "1904", ()),
        ("Where does the Esk rise?", "Tarn Hill", ("Esk",)),
        ("Where does the esk rise?", "Tarn Hill", ("The Esk",)),
    ],
)
def test_a_question_that_says_the_answer_or_a_hidden_name_hides_nothing(question, answer, names):
    assert not hides(question, answer, names)


@pytest.mark.parametrize(
    ("question", "answer", "names"),
    [
        ("Who built the bridge that crosses the Esk?", "Ferrant Works", ("Ostrel Bridge",)),
        ("In what year was the bridge with 8 arches opened?", "1904", ()),
        ("Is the Esk longer than the Wend?", "", ()),
    ],
)
def test_a_question_hides_what_it_does_not_say(question, answer, names):
    assert hides(question, answer, names)


def test_a_text_that_states_the_answer_with_all_that_the_question_names_answers_alone():
    question = "In what year was the bridge over the Esk at Keldwick opened?"
    assert answers_alone(question, "1904", ["nothing", "At Keldwick the bridge over the Esk was opened in 1904."])
    assert not answers_alone(question, "1904", ["The bridge at Keldwick was opened in 1904.", "It crosses the Esk."])


def test_where_a_question_names_nothing_its_longer_words_count():
    question = "In what year was the oldest bridge opened?"
    assert answers_alone(question, "1904", ["the oldest bridge, opened in 1904, the first year"])
    assert not answers_alone(question, "1904", ["something of 1904"])


@pytest.mark.parametrize(
    ("question", "yes_no"), [("Is it?", True), ("Had it?", True), ("What is it?", False), ("Isolde?", False)]
)
def test_a_question_asks_for_yes_or_no_by_its_first_word(question, yes_no):
    assert asks_yes_no(question) is yes_no


@given(st.text(), st.text())
def test_of_two_things_one_is_named_first(left, right):
    assert left == right or is_named_first(left, right) != is_named_first(right, left)
