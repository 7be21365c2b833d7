"""Two rollouts of one benchmark, paired."""

from __future__ import annotations

import json
from random import Random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core import MetricSpec, hookimpl
from agentflow_core.errors import UnknownNameError, UsageError
from agentflow_core.evaluation.comparison import compare_runs
from agentflow_core.metrics.aggregates import paired_difference
from agentflow_core.records import Score, TaskResult
from agentflow_core.records.codec import dumps


def result(
    task, value, *, sample=0, metric="m", question="?", outcome="answered", references=("x",), figures=None, **metadata
):
    scores = {} if value is None else {metric: Score(value=value)}
    if figures:
        scores["tool_use"] = Score(value=0, graded=False, figures=figures)
    return TaskResult(
        task_id=task,
        sample=sample,
        question=question,
        outcome=outcome,
        scores=scores,
        references=references,
        metadata=metadata,
    )


@pytest.fixture
def rollout(tmp_path):
    """A run directory of these results."""

    def make(name, results, kind="rollout", **config):
        directory = tmp_path / name
        directory.mkdir()
        manifest = {"schema": 1, "kind": kind, "status": "complete"}
        (directory / "run.json").write_text(json.dumps(manifest))
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        (directory / "results.jsonl").write_bytes(b"".join(map(dumps, results)))
        return directory

    return make


@pytest.fixture
def registry(plugin_host):
    return plugin_host().registry


def runs(count=40, gain=0.1, samples=1):
    rng = Random(4)
    left = [
        result(f"t{at}", rng.uniform(0, 0.9), sample=sample, book=f"b{at % 4}")
        for at in range(count)
        for sample in range(samples)
    ]
    right = [
        result(one.task_id, one.scores["m"].value + gain, sample=one.sample, book=one.metadata["book"]) for one in left
    ]
    return left, right


def test_samples_are_paired_by_task_and_number(rollout, registry):
    left, right = runs(samples=2)
    found = compare_runs(rollout("a", left), rollout("b", [*reversed(right)]), registry)
    assert (found.tasks, found.pairs, found.only_left, found.only_right) == (40, 80, (), ())
    one = found.metrics["m"]
    assert one.mean == pytest.approx(0.1)
    assert one.ci95 == pytest.approx((0.1, 0.1))
    assert (one.better, one.equal, one.worse, one.pairs) == (80, 0, 0, 80)
    assert one.right - one.left == pytest.approx(0.1)


def test_what_only_one_run_has_is_named_and_left_out(rollout, registry):
    left, right = runs(count=5)
    found = compare_runs(
        rollout("a", [*left, result("t0", 1.0, sample=1)]), rollout("b", [*right[1:], result("new", 1.0)]), registry
    )
    assert (found.only_left, found.only_right) == (("t0#0", "t0#1"), ("new#0",))
    assert (found.tasks, found.pairs, found.metrics["m"].pairs) == (4, 4, 4)


def test_a_crash_is_0_and_an_ungraded_sample_leaves_its_pair_out(rollout, registry):
    left = [result("a", 1.0), result("b", 1.0), result("c", 0.5)]
    ungraded = TaskResult(task_id="c", question="?", references=("x",), scores={"m": Score(value=0, graded=False)})
    right = [result("a", None, outcome="error:timeout"), result("b", 1.0), ungraded]
    one = compare_runs(rollout("a", left), rollout("b", right), registry).metrics["m"]
    assert (one.mean, one.pairs, one.better, one.equal, one.worse) == (-0.5, 2, 0, 1, 1)


def test_two_runs_of_other_benchmarks_are_refused(rollout, registry):
    a, b = rollout("a", [result("a", 1.0)]), rollout("b", [result("b", 1.0)])
    with pytest.raises(UsageError, match=r"no task in common \(a and b\): they are of different benchmarks"):
        compare_runs(a, b, registry)
    c = rollout("c", [result("a", 1.0, question="something else?")])
    with pytest.raises(UsageError, match=r"task 'a' asks '\?' in one and 'something else\?' in the other"):
        compare_runs(a, c, registry)
    with pytest.raises(UsageError, match="holds a run of kind 'synthesis'"):
        compare_runs(a, rollout("d", [], kind="synthesis"), registry)


def test_other_references_are_told_of(rollout, registry):
    a, b = (
        rollout("a", [result("a", 1.0), result("b", 1.0)]),
        rollout("b", [result("a", 1.0), result("b", 0.0, references=("y",))]),
    )
    assert compare_runs(a, b, registry).changed_references == ("b",)


def test_a_metric_that_one_run_lacks_comes_with_the_command_that_scores_it(rollout, registry):
    a, b = rollout("a", [result("a", 1.0)]), rollout("b", [result("a", 1.0, metric="n")])
    with pytest.raises(UsageError, match="has no scores of 'n'") as raised:
        compare_runs(a, b, registry, metrics=["n"])
    assert raised.value.hint == f"agentflow score {a} --metric n"
    with pytest.raises(UnknownNameError):
        compare_runs(a, b, registry, metrics=["o"])
    assert compare_runs(a, b, registry).metrics == {}


def test_scores_that_were_added_later_count(rollout, registry):
    a, b = rollout("a", [result("a", None)]), rollout("b", [result("a", 1.0, metric="n")])
    line = {"task_id": "a", "sample": 0, "scores": {"n": {"value": 0.25, "graded": True, "reason": ""}}}
    (a / "scores.jsonl").write_text(json.dumps(line) + "\n")
    assert compare_runs(a, b, registry, metrics=["n"]).metrics["n"].mean == 0.75


def test_figures_are_compared_by_name_and_a_crash_is_no_0(rollout, registry):
    a = rollout("a", [result("a", 1.0, figures={"calls": 4.0}), result("b", 1.0)])
    b = rollout("b", [result("a", None, outcome="error:x", figures={"calls": 3.0, "recovery": 1.0}), result("b", 1.0)])
    found = compare_runs(a, b, registry)
    assert set(found.metrics) == {"m", "tool_use.calls"}
    assert (found.metrics["tool_use.calls"].mean, found.metrics["m"].mean) == (-1.0, -0.5)


def test_aggregates_of_both_configurations_are_paired_by_task(rollout, registry):
    metrics = [{"pass_at_k": {"k": 2, "metric": "m"}}, {"pass_hat_k": {"k": 1, "metric": "m"}}]
    left = [result("a", 0.0), result("a", 0.0, sample=1), result("b", 1.0), result("b", 1.0, sample=1)]
    right = [result("a", 0.0), result("a", 1.0, sample=1), result("b", 1.0), result("b", 1.0, sample=1)]
    scores = [{"m": {}}]
    a = rollout("a", left, metrics=[metrics[0], {"pass_hat_k": {"k": 2, "metric": "m"}}, *scores])
    found = compare_runs(a, rollout("b", right, metrics=metrics), registry)
    assert set(found.metrics) == {"m", "pass_at_k"}
    one = found.metrics["pass_at_k"]
    assert (one.left, one.right, one.pairs, one.better, one.equal) == (0.5, 1.0, 2, 1, 1)


class Peak:
    """The highest score of all samples."""

    metric = "m"
    pooled = True

    def __call__(self, scores):
        return Score(value=max(score.value for score in scores))


def test_a_figure_of_all_samples_is_compared_as_one(rollout, plugin_host):
    class Plugin:
        @hookimpl
        def agentflow_metrics(self):
            yield MetricSpec("peak", target=f"{__name__}:Peak", summary="the highest", gives="aggregate")

    left = [result("a", 0.2), result("b", 0.6), result("c", 0.9)]
    right = [result("a", 0.3), result("b", 0.8), result("d", 1.0)]
    a, b = (rollout(name, of, metrics=["peak"]) for name, of in (("a", left), ("b", right)))
    found = compare_runs(a, b, plugin_host(Plugin()).registry).metrics["peak"]
    assert (found.left, found.right, found.pairs, found.better) == (0.6, 0.8, 2, 2)
    assert found.mean == pytest.approx(0.2)


def test_the_interval_resamples_the_clusters_that_both_configurations_name(rollout, registry):
    left, _ = runs()
    right = [
        result(one.task_id, one.scores["m"].value + 0.1 * int(one.metadata["book"][1]), book=one.metadata["book"])
        for one in left
    ]
    a, b = rollout("a", left, cluster_by="book"), rollout("b", right, cluster_by="book")
    clustered = compare_runs(a, b, registry)
    assert clustered.cluster_by == "book"
    alone = compare_runs(a, rollout("c", right), registry)
    assert alone.cluster_by is None
    assert clustered.metrics["m"].stderr > 2 * alone.metrics["m"].stderr
    assert compare_runs(a, b, registry, cluster_by="book").metrics == clustered.metrics


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 1)), max_size=12), st.randoms())
def test_comparing_the_other_way_round_turns_the_difference_around(drawn, rng):
    left = [result(f"t{task}", float(one), sample=at) for at, (task, one, _) in enumerate(drawn)]
    right = [result(f"t{task}", float(other), sample=at) for at, (task, _, other) in enumerate(drawn)]
    there, back = paired_difference(left, right, "m"), paired_difference(right, left, "m")
    assert (there.pairs, there.better, there.worse) == (back.pairs, back.worse, back.better)
    assert there.mean == (None if back.mean is None else pytest.approx(-back.mean))
    assert there.stderr == (None if back.stderr is None else pytest.approx(back.stderr))
    rng.shuffle(right)
    assert paired_difference(left, right, "m") == there


def test_the_command_prints_a_table_and_json(rollout, cli):
    left, right = runs(count=30)
    a, b = rollout("a", [*left, result("gone", 1.0)]), rollout("b", right)
    shown = cli("compare", a, b)
    assert shown.code == 0, shown.err
    row = next(line for line in shown.out.splitlines() if line.startswith("m "))
    assert row.split()[3:] == ["+0.100", "[+0.100,", "+0.100]", "30", "0", "0", "30"]
    assert "30 tasks, 30 pairs of samples in both" in shown.out
    assert "only in A: 1 (gone#0)" in shown.out
    told = json.loads(cli("compare", a, b, "--metric", "m", "--json").out)
    assert told["metrics"]["m"]["pairs"] == 30
    refused = cli("compare", a, rollout("c", [result("other", 1.0)]))
    assert (refused.code, "different benchmarks" in refused.err) == (2, True)
