"""exact_match, f1_score and their variants, contains_answer, similarity."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.builtin import agentflow_metrics
from agentflow_core.metrics.contains import ContainsAnswer, ContainsAnswerConfig
from agentflow_core.metrics.references import reference_texts
from agentflow_core.metrics.similarity import Similarity
from agentflow_core.metrics.squad import (
    ExactMatch,
    F1Score,
    HotpotExact,
    HotpotF1,
    Squad2Exact,
    Squad2F1,
    exact_match,
    f1_score,
    hotpotqa_f1,
    squad2_f1,
)
from agentflow_core.refs import resolve
from agentflow_core.text import normalize_answer


# The published rules, written again in the plainest way: four passes over the text, and a multiset by removal.
def rule_normalize(text):
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def rule_f1(prediction, reference):
    said, expected = rule_normalize(prediction).split(), rule_normalize(reference).split()
    left = list(expected)
    common = 0
    for token in said:
        if token in left:
            left.remove(token)
            common += 1
    if common == 0:
        return 0.0
    precision, recall = common / len(said), common / len(expected)
    return 2 * precision * recall / (precision + recall)


texts = st.text() | st.lists(
    st.sampled_from(
        ["a", "The", "an", "yes", "no", "noanswer", "U.S.A.", "usa", "1,234", "x-y", "«x»", "ſ", "İ", "-", "\u00a0"]
    ),
    max_size=6,
).map(" ".join)


@given(texts, texts)
def test_squad_1_is_the_published_rule(prediction, reference):
    assert normalize_answer(prediction) == rule_normalize(prediction)
    assert exact_match(prediction, reference) == (rule_normalize(prediction) == rule_normalize(reference))
    assert f1_score(prediction, reference) == rule_f1(prediction, reference)


@given(texts, texts)
def test_squad_2_is_the_published_rule(prediction, reference):
    said, expected = rule_normalize(prediction).split(), rule_normalize(reference).split()
    expected_f1 = float(said == expected) if not said or not expected else rule_f1(prediction, reference)
    assert squad2_f1(prediction, reference) == expected_f1


@given(texts, texts)
def test_hotpotqa_is_the_published_rule(prediction, reference):
    said, expected = rule_normalize(prediction), rule_normalize(reference)
    whole = {"yes", "no", "noanswer"}
    zero = (said in whole and said != expected) or (expected in whole and said != expected)
    assert hotpotqa_f1(prediction, reference) == (0.0 if zero else rule_f1(prediction, reference))


@given(texts, texts)
def test_f1_is_symmetric_and_between_zero_and_one(left, right):
    assert f1_score(left, right) == pytest.approx(f1_score(right, left))
    assert 0 <= f1_score(left, right) <= 1


@pytest.mark.parametrize(
    ("prediction", "reference", "em", "f1"),
    [
        ("The U.S.A.", "usa", 1, 1),
        ("Greenwich Village", "Greenwich Village, New York City", 0, 2 * 1 * 0.4 / 1.4),
        ("x x b b", "b x", 0, 2 * 0.5 * 1 / 1.5),
        ("1,234", "1234", 1, 1),
        ("well-known", "well known", 0, 0),
        ("", "", 1, 0),
    ],
)
async def test_known_pairs_have_known_scores(score, prediction, reference, em, f1):
    assert (await score(ExactMatch(), prediction, reference)).value == em
    assert (await score(F1Score(), prediction, reference)).value == pytest.approx(f1)


async def test_the_best_reference_counts(score):
    assert (await score(F1Score(), "New York", "Boston", "New York City", "York")).value == pytest.approx(0.8)
    assert (await score(ExactMatch(), "york", "New York", "York")).reason == "'york' is 'york'"


async def test_hotpotqa_gives_nothing_for_half_a_yes(score):
    assert (await score(F1Score(), "yes it is", "yes")).value == 1 / 2
    assert (await score(HotpotF1(), "yes it is", "yes")).value == 0


async def test_squad_2_counts_no_answer_as_an_answer(score):
    for metric in (Squad2Exact(), Squad2F1()):
        assert (await score(metric, "")).value == 1
        assert (await score(metric, "something")).value == 0
        assert (await score(metric, "", "", "the")).value == 1
        assert (await score(metric, "", "", "Paris")).value == 0
        assert (await score(metric, None)).value == 0


PURE = [ExactMatch, F1Score, HotpotExact, HotpotF1, ContainsAnswer, Similarity]


@pytest.mark.parametrize("metric", PURE)
async def test_a_task_without_a_reference_is_ungraded(score, metric):
    for prediction in ("x", "", None):
        found = await score(metric(), prediction)
        assert (found.graded, found.reason) == (False, "the task has no reference")
    assert not (await score(metric(), "x", None)).graded


@pytest.mark.parametrize("metric", PURE)
async def test_no_prediction_is_zero(score, metric):
    found = await score(metric(), None, "x", outcome="error:timeout")
    assert (found.value, found.graded, found.reason) == (0.0, True, "there is no prediction (error:timeout)")


@pytest.mark.parametrize("metric", PURE)
async def test_an_empty_prediction_is_zero_against_an_answer(score, metric):
    assert (await score(metric(), "  ", "x")).value == 0


@pytest.mark.parametrize("metric", PURE)
async def test_references_that_are_no_strings_are_compared_as_people_write_them(score, metric):
    assert (await score(metric(), "5", 5)).value == 1
    assert (await score(metric(), "5", 5.0)).value == 1
    assert (await score(metric(), "yes", True)).value == 1
    assert (await score(metric(), "2.5", None, 2.5)).value == 1


def test_references_are_taken_once():
    assert reference_texts([1, 1.0, "1", None, True, ""]) == ("1", "yes", "")


@pytest.mark.parametrize(
    ("prediction", "reference", "tokens", "substring"),
    [
        ("It is in Greenwich Village, I think.", "greenwich village", 1, 1),
        ("I have known it", "no", 0, 1),
        ("The answer is: 1,234.", "1234", 1, 1),
        ("New Jersey and York", "New York", 0, 0),
        ("it was U.S.A. then", "USA", 1, 1),
        ("option A is right", "A", 1, 1),
        ("option B is right", "A", 0, 0),
        ("the sum of C++", "+", 0, 1),
        ("", "", 1, 1),
        ("x", "", 0, 0),
    ],
)
async def test_a_reference_is_contained_by_whole_tokens_or_as_a_substring(
    score, prediction, reference, tokens, substring
):
    assert (await score(ContainsAnswer(), prediction, reference)).value == tokens
    loose = ContainsAnswer(ContainsAnswerConfig(mode="substring"))
    assert (await score(loose, prediction, reference)).value == substring


async def test_similarity_minds_the_order_of_letters(score):
    assert (await score(Similarity(), "listen", "silent")).value < 0.7
    assert (await score(Similarity(), "The Color!", "color")).value == 1
    assert (await score(Similarity(), "colour", "color")).value == pytest.approx(2 * 5 / 11)
    assert (await score(Similarity(), "", "")).value == 1


async def test_every_built_in_metric_can_be_built_and_has_a_reason(score):
    for spec in agentflow_metrics():
        if (spec.needs, spec.gives) == ("nothing", "score") and spec.name != "state_match":  # it reads no answers
            found = await score(resolve(spec.target)(), "5", "5")
            assert (found.value, found.graded, bool(found.reason)) == (1.0, True, True), spec.name
