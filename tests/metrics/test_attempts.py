"""pass_at_k and pass_hat_k."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.metrics.attempts import AttemptsConfig, PassAtK, PassHatK, pass_at_k, pass_hat_k
from agentflow_core.records import Score


@st.composite
def attempts(draw):
    n = draw(st.integers(1, 9))
    return [draw(st.booleans()) for _ in range(n)], draw(st.integers(1, n))


@given(attempts())
def test_both_are_the_mean_over_all_choices_of_k_attempts(given_attempts):
    passed, k = given_attempts
    chosen = list(combinations(passed, k))
    n, c = len(passed), sum(passed)
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, chosen)) / len(chosen))


@given(st.integers(1, 300), st.data())
def test_pass_at_k_is_the_product_that_the_paper_computes(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    product = 1.0
    for index in range(n - c + 1, n + 1):
        product *= 1 - k / index
    assert pass_at_k(n, c, k) == pytest.approx(1.0 if n - c < k else 1 - product, abs=1e-9)


def test_known_values():
    assert pass_at_k(200, 10, 1) == pytest.approx(0.05)
    assert pass_at_k(5, 2, 3) == pytest.approx(1 - 1 / 10)
    assert pass_hat_k(5, 4, 2) == pytest.approx(6 / 10)
    assert (pass_hat_k(4, 3, 4), pass_hat_k(4, 4, 4), pass_at_k(4, 0, 4)) == (0, 1, 0)
    assert pass_at_k(100_000, 1, 50_000) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "c", "k"), [(2, 1, 3), (0, 0, 1), (3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_what_is_not_defined_is_refused(n, c, k):
    for estimate in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match="say nothing about"):
            estimate(n, c, k)


def test_a_score_from_the_threshold_on_passes():
    scores = [Score(value=value) for value in (0.4, 0.5, 0.9)]
    found = PassAtK(AttemptsConfig(k=2, metric="f1_score"))(scores)
    assert (found.value, found.graded, found.reason) == (1.0, True, "2 of 3 samples pass")
    assert PassHatK(AttemptsConfig(k=2, threshold=0.9))(scores).value == 0
    assert PassHatK(AttemptsConfig(k=2))(scores).value == pytest.approx(1 / 3)


@pytest.mark.parametrize("aggregate", [PassAtK, PassHatK])
def test_fewer_samples_than_k_are_ungraded_and_not_0(aggregate):
    found = aggregate(AttemptsConfig(k=3))([Score(value=1.0)] * 2)
    assert (found.graded, found.reason) == (False, "not defined for k = 3 with 2 graded samples of a task")
    assert not aggregate()([]).graded
