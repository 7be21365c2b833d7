"""Paths of trees, their scores, and the weights of words."""

from __future__ import annotations

import math
from random import Random

import pytest

from agentflow_core.errors import RunCorruptError
from agentflow_core.interfaces import ScoringContext
from agentflow_core.records import Node, Observation, Path
from agentflow_core.selectors.paths import document_frequencies, enumerate_paths, nodes_of, score_paths


def node(node_id, text="", **fields):
    parent = node_id.rpartition(".")[0] or None
    seed = node_id.partition("/")[0]
    result = Observation(text=text) if parent else None
    made = {"id": node_id, "seed_id": seed, "parent": parent, "tool": "t" if parent else None, "result": result}
    return Node(**{**made, **fields})


def ids(paths):
    return [path.id for path in paths]


def test_paths_run_from_the_root_to_each_leaf_and_are_named_after_it():
    tree = [node(name) for name in ("s/0", "s/0.0", "s/0.1", "s/0.0.0", "s/0.0.1")]
    assert enumerate_paths(tree) == [
        Path(id="s/0.0.0", seed_id="s", nodes=("s/0", "s/0.0", "s/0.0.0")),
        Path(id="s/0.0.1", seed_id="s", nodes=("s/0", "s/0.0", "s/0.0.1")),
        Path(id="s/0.1", seed_id="s", nodes=("s/0", "s/0.1")),
    ]
    assert ids(enumerate_paths(tree, min_depth=2)) == ["s/0.0.0", "s/0.0.1"]


def test_the_order_is_that_of_the_numbers_and_not_of_the_nodes():
    tree = [node("s/0"), *(node(f"s/0.{number}") for number in range(12))]
    Random(1).shuffle(tree)
    assert ids(enumerate_paths(tree)) == [f"s/0.{number}" for number in range(12)]


def test_several_trees_and_a_lone_root():
    tree = [node("seed-10/0"), node("seed-10/0.0"), node("seed-9/0"), node("seed-9/0.0"), node("seed-11/0")]
    assert ids(enumerate_paths(tree)) == ["seed-9/0.0", "seed-10/0.0"]
    assert ids(enumerate_paths(tree, min_depth=0)) == ["seed-9/0.0", "seed-10/0.0", "seed-11/0"]
    assert enumerate_paths([]) == []


def test_a_tree_with_a_gap_or_a_double_is_corrupt():
    with pytest.raises(RunCorruptError, match=r"'s/0\.0\.0' whose parent 's/0\.0' is missing"):
        enumerate_paths([node("s/0"), node("s/0.0.0")])
    with pytest.raises(RunCorruptError, match="two nodes"):
        enumerate_paths([node("s/0"), node("s/0")])
    with pytest.raises(RunCorruptError, match="2 nodes are not reached"):
        enumerate_paths([node("s/0"), node("a", parent="b"), node("b", parent="a")])
    with pytest.raises(RunCorruptError, match="goes through 's/0'"):
        nodes_of(Path(id="p", seed_id="s", nodes=("s/0",)), {})


class Says:
    def __init__(self, value):
        self.value = value

    def score(self, path, context):
        return self.value * (len(path) - 1)


def test_the_total_is_the_mean_by_weight():
    tree = [node("s/0"), node("s/0.0")]
    context = ScoringContext(tools=("t",), max_depth=3, idf=lambda _: 1.0)
    by_id = {item.id: item for item in tree}
    (path,) = score_paths(
        enumerate_paths(tree), by_id, {"a": (Says(1.0), 3.0), "b": (Says(0.2), 1.0), "c": (Says(9.0), 0.0)}, context
    )
    assert path.scores == {"a": 1.0, "b": 0.2, "c": 9.0}
    assert path.total == pytest.approx(0.8)
    assert score_paths(enumerate_paths(tree), by_id, {}, context)[0].total == 0.0


def test_words_weigh_by_how_few_observations_have_them():
    nodes = [
        node("s/0"),
        node("s/0.0", "common rare"),
        node("s/0.1", "Common other other"),
        node("s/0.2", "Common other other"),
        node("s/0.3", "rare failed", error="timeout"),
    ]
    idf = document_frequencies(nodes)
    assert idf.observations == 2
    assert idf("common") == 0.0
    assert idf("rare") == idf("other") == pytest.approx(math.log(3 / 2))
    assert idf("failed") == pytest.approx(math.log(3))
