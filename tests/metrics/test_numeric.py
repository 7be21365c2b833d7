"""numeric_match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.metrics.numeric import NumericMatch, NumericMatchConfig, target_number


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("1,234", "1234"),
        ("about $1.5 million", "1500000"),
        ("(5)", "-5"),
        ("5%", "5"),
        ("5%", "0.05"),
        ("0.05", "5 %"),
        ("5 percent", "5%"),
        ("1e3", "1000"),
        ("The answer is 42.", "42"),
        ("We add 3 and 4. The answer is 7.", "7"),
        ("3 + 4 = 7", "7"),
        ("Step 1: 3. Step 2: 4.\n#### 7", "7"),
        ("so \\boxed{7} of 9", "7"),
        ("5, that is 5.0", "5"),
        ("0.3000000001", "0.3"),
        ("12", "eleven or 12 items"),
    ],
)
async def test_equal_numbers_match(score, prediction, reference):
    found = await score(NumericMatch(), prediction, reference)
    assert (found.value, found.graded) == (1.0, True), found.reason


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("1,234", "234"),
        ("5%", "6%"),
        ("5%", "500"),
        ("5", "-5"),
        ("3 or 4", "4"),
        ("The answer is 3 or 4", "4"),
        ("In 2010 there were 7.", "7"),
        ("The answer is 7. Or 8?", "8"),
        ("F-15", "15"),
        ("none", "0"),
        ("0.30001", "0.3"),
    ],
)
async def test_other_numbers_and_unmarked_ones_do_not(score, prediction, reference):
    found = await score(NumericMatch(), prediction, reference)
    assert (found.value, found.graded) == (0.0, True), found.reason


async def test_the_reason_names_the_numbers_that_were_compared(score):
    assert (await score(NumericMatch(), "$1.5M", "2,000", "3%")).reason == "1500000 is not 2000 or 3 %"
    assert (await score(NumericMatch(), "5%", "0.05")).reason == "5 % equals 0.05"
    assert (
        await score(NumericMatch(), "3 or 4", "4")
    ).reason == "the prediction gives several numbers and marks none (3, 4)"


async def test_references_without_one_number_are_left_out(score):
    assert (await score(NumericMatch(), "7", "seven", "7")).value == 1
    found = await score(NumericMatch(), "7", "seven")
    assert (found.graded, found.reason) == (False, "no reference holds one number: 'seven'")
    assert not (await score(NumericMatch(), "7", "3 to 9")).graded
    assert not (await score(NumericMatch(), "7")).graded


async def test_the_tolerances_are_settings(score):
    assert (await score(NumericMatch(NumericMatchConfig(rel_tol=0.01)), "100.9", "100")).value == 1
    assert (await score(NumericMatch(NumericMatchConfig(rel_tol=0.01)), "101.1", "100")).value == 0
    assert (await score(NumericMatch(NumericMatchConfig(abs_tol=0.5)), "3.4", "3")).value == 1
    assert (await score(NumericMatch(NumericMatchConfig(abs_tol=0)), "0.1", "0.10")).value == 1


async def test_numbers_that_are_no_strings_match(score):
    assert (await score(NumericMatch(), "it is 5", 5)).value == 1
    assert (await score(NumericMatch(), "0.1", 0.1)).value == 1


async def test_an_empty_prediction_is_zero_and_a_missing_one_too(score):
    assert (await score(NumericMatch(), "", "5")).reason == "the prediction gives no number"
    assert (await score(NumericMatch(), None, "5")).value == 0


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_a_text_with_two_numbers_gives_one_only_where_it_marks_it(left, right):
    both = target_number(f"from {left} to {right}")
    assert (both is None) == (left != right)
    marked = target_number(f"from {left} to {right}. The answer is {right}.")
    assert marked is not None
    assert marked.value == right
