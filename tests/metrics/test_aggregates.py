"""Means, intervals, breakdowns, paired differences."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.metrics.aggregates import (
    breakdown,
    paired_difference,
    pooled_difference,
    summarize,
    summarize_metrics,
    summarize_pooled,
)
from agentflow_core.records import Score, TaskResult


def result(task, value, *, sample=0, outcome="answered", graded=True, **metadata):
    scores = {} if value is None else {"m": Score(value=value, graded=graded)}
    return TaskResult(task_id=task, sample=sample, outcome=outcome, scores=scores, metadata=metadata)


def test_a_crash_counts_zero_and_an_ungraded_sample_is_left_out():
    found = summarize(
        [
            result("a", 1.0),
            result("b", 0.5, outcome="limit:turns"),
            result("c", None, outcome="error:timeout"),
            result("d", 0.0, graded=False),
            result("e", None),
        ],
        "m",
    )
    assert found.mean == pytest.approx(1.5 / 3)
    assert found.mean_graded == pytest.approx(1.5 / 2)
    assert (found.attempted, found.graded, found.ungraded, found.errored, found.limited) == (5, 2, 2, 1, 1)


def test_a_crash_counts_zero_whatever_a_metric_said_of_it():
    assert summarize([result("a", 1.0, outcome="error:x"), result("b", 1.0)], "m").mean == 0.5


def test_the_summary_has_the_shape_of_the_file():
    assert summarize_metrics([result("a", 1.0), result("b", 1.0)], ["m"]) == {
        "m": {
            "mean": 1.0,
            "mean_graded": 1.0,
            "stderr": 0.0,
            "ci95": [1.0, 1.0],
            "attempted": 2,
            "graded": 2,
            "ungraded": 0,
            "errored": 0,
            "limited": 0,
        }
    }


def test_nothing_graded_has_no_mean_and_one_cluster_no_interval():
    none = summarize([], "m")
    assert (none.mean, none.mean_graded, none.stderr, none.ci95, none.attempted) == (None, None, None, None, 0)
    one = summarize([result("a", 1.0), result("a", 0.0, sample=1)], "m")
    assert (one.mean, one.stderr, one.ci95) == (0.5, None, None)
    crashed = summarize([result("a", None, outcome="error:x")], "m")
    assert (crashed.mean, crashed.mean_graded) == (0.0, None)


def test_the_standard_error_is_that_of_the_mean():
    values = [0.0, 1.0, 1.0, 0.5]
    found = summarize([result(str(index), value) for index, value in enumerate(values)], "m")
    mean = sum(values) / 4
    assert found.stderr == pytest.approx((sum((value - mean) ** 2 for value in values) / 3 / 4) ** 0.5)


def test_samples_of_one_task_do_not_count_as_independent():
    rng = Random(1)
    values = [float(rng.randrange(2)) for _ in range(50)]
    once = summarize([result(str(index), value) for index, value in enumerate(values)], "m")
    copied = [result(str(index), value, sample=copy) for index, value in enumerate(values) for copy in range(4)]
    four = summarize(copied, "m")
    assert four.stderr == pytest.approx(once.stderr)
    assert four.ci95 == pytest.approx(once.ci95, abs=0.02)


def test_clusters_may_come_from_the_metadata():
    results = [result(str(index), float(index % 2), book=str(index % 2)) for index in range(40)]
    assert summarize(results, "m", cluster_by="book").stderr > 3 * summarize(results, "m").stderr


def test_the_interval_holds_the_truth_about_95_times_in_100():
    held = 0
    for seed in range(200):
        rng = Random(seed)
        results = [result(str(index), float(rng.randrange(10) < 3)) for index in range(60)]
        low, high = summarize(results, "m", resamples=300).ci95
        held += low <= 0.3 <= high
    assert 180 <= held <= 199


@given(st.permutations(range(12)), st.integers(0, 3))
def test_the_order_of_the_samples_changes_nothing(order, seed):
    results = [result(str(index % 5), index / 12, sample=index) for index in range(12)]
    assert summarize([results[index] for index in order], "m", seed=seed) == summarize(results, "m", seed=seed)


def test_the_seed_decides_the_interval():
    results = [result(str(index), index / 30) for index in range(30)]
    assert summarize(results, "m", seed=1) == summarize(results, "m", seed=1)
    assert summarize(results, "m", seed=1).ci95 != summarize(results, "m", seed=2).ci95


def test_a_breakdown_has_a_summary_for_each_value():
    results = [
        result("a", 1.0, type="bridge", tags=["x", "y"]),
        result("b", 0.0, type="bridge", tags=["x"]),
        result("c", 1.0, type=2),
        result("d", 0.0),
    ]
    found = breakdown(results, "type", partial(summarize, metric="m"))
    assert {name: (summary.mean, summary.attempted) for name, summary in found.items()} == {
        "(none)": (0.0, 1),
        "2": (1.0, 1),
        "bridge": (0.5, 2),
    }
    assert {
        name: summary.mean for name, summary in breakdown(results, "tags", partial(summarize, metric="m")).items()
    } == {
        "(none)": 0.5,
        "x": 0.5,
        "y": 1.0,
    }


def test_a_difference_is_taken_pair_by_pair():
    rng = Random(4)
    left = [result(str(index), rng.uniform(0, 0.9)) for index in range(40)]
    right = [result(str(index), item.scores["m"].value + 0.1) for index, item in enumerate(left)]
    found = paired_difference(left, [*reversed(right), result("new", 1.0)], "m")
    assert found.mean == pytest.approx(0.1)
    assert found.ci95 == pytest.approx((0.1, 0.1))
    assert (found.pairs, found.better, found.worse) == (40, 40, 0)
    assert summarize(right, "m").ci95[0] < summarize(left, "m").ci95[1]


# ---- figures of all samples at once


def ratio(scores):
    """The sum of the values over the number of samples that were answered."""
    answered = sum(score.figures.get("answered", 0) for score in scores)
    if not answered:
        return Score(value=0.0, graded=False, reason="none was answered")
    return Score(value=sum(score.value for score in scores) / answered)


def answered(task, value, count=1, **parts):
    score = Score(value=value, figures={"answered": count})
    return TaskResult(task_id=task, scores={"m": score}, **parts)


def test_a_pooled_figure_is_of_all_samples_and_no_mean_of_tasks():
    results = [answered("a", 1), answered("b", 1, 3), answered("c", 0, 0), TaskResult(task_id="d", outcome="error:x")]
    found = summarize_pooled(results, "m", ratio)
    assert found.mean == found.mean_graded == 0.5
    assert (found.attempted, found.graded, found.errored) == (4, 3, 1)
    low, high = found.ci95
    assert low < 0.5 < high
    assert found.stderr > 0
    assert summarize_pooled(reversed(results), "m", ratio) == found


def test_a_pooled_figure_that_is_not_defined_is_none():
    found = summarize_pooled([answered("a", 0, 0), answered("b", 0, 0)], "m", ratio)
    assert (found.mean, found.stderr, found.ci95, found.graded) == (None, None, None, 2)


def test_a_pooled_figure_is_compared_over_the_samples_that_both_have():
    left = [answered("a", 1), answered("b", 1, 3), answered("c", 0, 0), answered("only", 9)]
    right = [answered("a", 2), answered("b", 1, 1), answered("c", 0, 0), TaskResult(task_id="d", outcome="error:x")]
    found = pooled_difference(left, right, "m", ratio)
    assert (found.left, found.right, found.mean) == (0.5, 1.5, 1.0)
    assert (found.pairs, found.better, found.worse, found.equal) == (3, 1, 0, 2)
    low, high = found.ci95
    assert low <= found.mean <= high
    assert found.stderr > 0
    assert pooled_difference(reversed(left), reversed(right), "m", ratio) == found
    turned = pooled_difference(right, left, "m", ratio)
    assert (turned.mean, turned.ci95) == (-1.0, pytest.approx((-high, -low)))


def test_a_pooled_figure_that_one_side_lacks_has_no_difference():
    found = pooled_difference(
        [answered("a", 0, 0), answered("b", 0, 0)], [answered("a", 1), answered("b", 1)], "m", ratio
    )
    assert (found.left, found.right, found.mean, found.ci95, found.pairs) == (None, 1.0, None, None, 2)
