"""The language of ``--where``: what it says, what it refuses, and that it is never Python."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.errors import UsageError
from agentflow_core.export.conditions import All, Compare, Either, Field, Items, Not, Value, holds, to_text
from agentflow_core.export.where import parse_where

RECORD = {
    "outcome": "answered",
    "answer": None,
    "sample": 3,
    "aliases": ["Wien", "Vienna"],
    "scores": {"f1_score": {"value": 0.8, "graded": True}},
    "gates": [{"name": "leak", "passed": True}, {"name": "chain", "passed": False}],
    "metadata": {"two words": 1, "deep": {"list": [1, [2]]}},
}


@pytest.mark.parametrize(
    "text",
    [
        "scores.f1_score.value >= 0.8 and outcome == 'answered'",
        'outcome == "answered"',
        "not (outcome != 'answered')",
        "answer == null",
        "missing == null and scores.none.value == null",
        "sample == 3.0",
        "sample > -1 and sample < 1e2",
        "'Wien' in aliases",
        "'answer' in outcome",
        "'f1_score' in scores",
        "sample in [1, 2, 3]",
        "sample not in [1, 2]",
        "gates.leak.passed",
        "not gates.chain.passed",
        "gates.1.name == 'chain'",
        "metadata.'two words' == 1",
        "metadata.deep.list.1.0 == 2",
        "scores.f1_score.graded == true",
        "sample == 1 or sample == 2 or sample == 3",
        "sample == 9 and sample == 9 or sample == 3",
        "aliases == ['Wien', 'Vienna']",
        "'b' > 'a'",
        "true",
        "outcome == 'an\\'t' or true",
    ],
)
def test_a_condition_that_holds(text):
    assert holds(parse_where(text), RECORD)


@pytest.mark.parametrize(
    "text",
    [
        "scores.f1_score.graded == 1",
        "sample == '3'",
        "sample < 'a'",
        "answer < 1",
        "answer >= 0",
        "true < 2",
        "outcome in answer",
        "1 in aliases",
        "sample",
        "false",
        "sample == 3 and (sample == 4 or sample == 5)",
        "gates.7.name == 'chain'",
        "aliases == ['Vienna', 'Wien']",
    ],
)
def test_a_condition_that_does_not_hold(text):
    assert not holds(parse_where(text), RECORD)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "a condition is expected"),
        ("outcome = 'answered'", 9, "'=' is written '=='"),
        ("a == 1 && b == 2", 8, "'&&' is written 'and'"),
        ("a == 1 || b == 2", 8, "'||' is written 'or'"),
        ("a == 'open", 6, "does not end"),
        ("a == 1 b == 2", 8, "'and', 'or' or the end is expected"),
        ("0 < a < 1", 7, "not chained"),
        ("a == ", 6, "not the end"),
        ("(a == 1", 8, "')' is expected"),
        ("a == [1, 2", 11, "',' or ']' is expected"),
        ("3", 1, "a value alone is no condition"),
        ("a not 3", 7, "'in' is expected"),
        ("a == 1; import os", 7, "';' is not understood"),
        ("__import__('os').system('true')", 17, "is not understood"),
        ("a == lambda: 1", 12, "':' is not understood"),
        ("a == 1 and and b", 12, "is expected"),
    ],
)
def test_a_mistake_is_shown_by_its_column(text, column, message):
    with pytest.raises(UsageError, match=f"column {column}: ") as raised:
        parse_where(text)
    assert message in raised.value.message
    if text:
        shown, mark = raised.value.hint.splitlines()
        assert len(mark) == column
        assert shown == text


@pytest.mark.parametrize("text", ["(" * 5000 + "a", "not " * 5000 + "a", "a in " + "[" * 5000])
def test_what_is_nested_too_deeply_is_refused_and_not_a_crash(text):
    with pytest.raises(UsageError, match=r"nested|expected"):
        parse_where(text)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in {"and", "or", "not", "in", "true", "false", "null", "none"}
)
FIELDS = st.builds(lambda first, rest: Field((first, *rest)), NAMES, st.lists(st.text(max_size=6), max_size=3))
VALUES = st.builds(
    Value,
    st.one_of(
        st.text(max_size=8),
        st.integers(-(10**15), 10**15),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
    ),
)
OPERANDS = st.recursive(
    st.one_of(FIELDS, VALUES),
    lambda inner: st.builds(lambda items: Items(tuple(items)), st.lists(inner, max_size=3)),
    max_leaves=4,
)
OPERATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
TESTS = st.one_of(st.builds(Compare, OPERANDS, OPERATORS, OPERANDS), st.builds(Compare, FIELDS))
CONDITIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda many: All(tuple(many)), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda many: Either(tuple(many)), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.text("ab", max_size=2)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)


@pytest.mark.parametrize("step", [".0", "'a'", '"', "", "a.b", "\\", "1", "-"])
def test_a_step_of_any_text_reads_back(step):
    condition = Compare(Field(("a", step)))
    assert parse_where(to_text(condition)) == condition


@settings(deadline=None)
@given(CONDITIONS)
def test_a_condition_reads_back_from_its_text(condition):
    assert parse_where(to_text(condition)) == condition


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_a_usage_error(text):
    try:
        condition = parse_where(text)
    except UsageError as error:
        assert "column" in error.message  # noqa: PT017 (either is fine, nothing else is)
    else:
        assert isinstance(holds(condition, RECORD), bool)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b.c", "'x'", "1", "==", "in", "not", "and", "or", "(", ")", "[", "]", ","])))
def test_any_order_of_its_words_is_a_condition_or_a_usage_error(words):
    try:
        condition = parse_where(" ".join(words))
    except UsageError:
        return
    assert isinstance(holds(condition, {"a": 1, "b": {"c": "x"}}), bool)


@settings(deadline=None)
@given(CONDITIONS, st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_a_condition_holds_or_its_opposite_does(condition, record):
    assert holds(condition, record) != holds(Not(condition), record)


@settings(deadline=None)
@given(JSON, JSON)
def test_comparisons_agree_with_each_other(left, right):
    record = {"a": left, "b": right}

    def test(text):
        return holds(parse_where(text), record)

    assert test("a == b") == test("b == a") == (not test("a != b"))
    assert test("a < b") == test("b > a")
    assert test("a <= b") == (test("a < b") or (test("a == b") and test("a <= a")))
    assert test("a in [b]") == test("a == b")
    assert test("a not in b") == (not test("a in b"))
    assert test("a == a")
