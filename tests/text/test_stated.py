"""Whether a text states an answer or holds what another text mentions."""

from __future__ import annotations

import pytest

from agentflow_core.text import (
    constants,
    is_bare_number,
    mention_stands_in,
    mentions,
    only_number,
    stands_in,
    states,
    strong_mentions,
)


@pytest.mark.parametrize(
    ("form", "text", "stands"),
    [
        ("the Esk", "It crosses an esk.", True),
        ("Esk", "It is in Eskdale.", False),
        ("O'Neill", "by ONeill in 1904", True),
        ("", "anything", False),
    ],
)
def test_a_form_stands_in_a_text_apart_from_case_punctuation_and_articles(form, text, stands):
    assert stands_in(form, text) is stands


@pytest.mark.parametrize(
    ("answer", "answer_type", "text", "is_stated"),
    [
        ("1904", "", "It has 1,904 seats.", True),
        ("5 January 2010", "date", "It opened on January 5th, 2010.", True),
        ("5 January 2010", "date", "It opened in 2010.", False),
        ("12 seats", "number", "It seats twelve, or 12.0 on a good day.", True),
        ("12 seats", "text", "It seats 12.", False),
    ],
)
def test_a_number_and_a_date_are_stated_in_any_form(answer, answer_type, text, is_stated):
    assert states(answer, answer_type, text) is is_stated


def test_a_number_that_is_mentioned_counts_by_its_value():
    (mention,) = mentions("1904")
    assert mention_stands_in(mention, "1,904 seats")
    assert not mention_stands_in(mention, "19040 seats")


def test_what_a_question_names_ties_it_to_a_text_else_its_longer_words_do():
    question = "In which year did the American Ada Wray cross the Esk?"
    assert [mention.text for mention in strong_mentions(question)] == ["American Ada Wray", "Esk"]
    assert constants(question) == strong_mentions(question)
    assert [constant.text for constant in constants("In what year was the old bridge opened?")] == [
        "year",
        "bridge",
        "opened",
    ]


def test_one_number_is_told_from_none_and_from_several():
    assert only_number("8 arches") == 8
    assert only_number("8 of 12") is only_number("none") is None
    assert is_bare_number("$5 million")
    assert not is_bare_number("8 arches")
