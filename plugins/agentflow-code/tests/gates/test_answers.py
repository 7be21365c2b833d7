from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_code.gates.answers import gives_answer, same_value
from agentflow_code.gates.rerunning import order_is_asked
from agentflow_core.records import QA


def qa(answer, *aliases):
    return QA(id="q", seed_id="s", path_id="p", question="?", answer=answer, aliases=aliases)


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        (347, "347"), (347, "347.0"), (1234567, "1,234,567"), (12.5, "$12.50"), ("AC/DC", "ac/dc"), ("The Who", "Who"),
        ("2009-01-01T00:00:00", "2009-01-01"), ("2009-01-01", "January 1, 2009"), (1, "yes"), (0, "No"), (True, "true"),
        ("12.50", "12.5"), (0.1 + 0.2, "0.3"), (-3, "-3"), ("", ""),
    ],
)  # fmt: skip
def test_values_that_are_the_same(cell, answer):
    assert same_value(cell, answer)


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        (347, "348"), (5.7318, "5.73"), ("Paris Hilton", "Paris"), (2, "yes"), (1, "no"), ("2009-01-01", "2009"),
        (10, "between 5 and 10"), ("", "x"), ("a1", "1"), (3, "three or four"),
    ],
)  # fmt: skip
def test_values_that_are_not_the_same(cell, answer):
    assert not same_value(cell, answer)


@pytest.mark.parametrize(
    ("rows", "answer", "ordered", "expected"),
    [
        ([["Rock"], ["Jazz"]], "Jazz and Rock", False, True),
        ([["Rock"], ["Jazz"]], "Jazz, Rock", True, False),
        ([["Rock"], ["Jazz"]], "Rock, Jazz", True, True),
        ([["Rock"]], "Rock, Jazz", False, False),
        ([["Rock"], ["Rock"]], "Rock", False, False),
        ([["Young, Angus"], ["R & B"]], "R & B; Young, Angus", False, True),
        ([["Rock", 3], ["Jazz", 2]], '[["Jazz", 2], ["Rock", 3]]', False, True),
        ([["Rock", 3]], "Rock, 3", False, True),
        ([[None], [5]], "5", False, True),
        ([], "", False, False),
        ([[None]], "None", False, False),
    ],
)
def test_rows_and_answers(rows, answer, ordered, expected):
    assert gives_answer(rows, qa(answer), ordered=ordered) is expected


def test_an_alias_is_as_good_as_the_answer():
    assert gives_answer([["UK"]], qa("United Kingdom", "UK"), ordered=False)


@given(st.integers(-(10**12), 10**12))
def test_every_integer_is_itself(number):
    assert same_value(number, str(number))
    assert not same_value(number, str(number + 1))


@pytest.mark.parametrize("question", ["List them in alphabetical order.", "Name them sorted by price", "Rank the genres",
                                      "Cities from largest to smallest?", "Which, in order, were first?"])  # fmt: skip
def test_an_order_that_is_asked_for(question):
    assert order_is_asked(question)


@pytest.mark.parametrize(
    "question", ["How many orders did Ulm place?", "Which genre is the most common?", "Who ordered the album?"]
)
def test_an_order_that_is_not_asked_for(question):
    assert not order_is_asked(question)
