"""Growth: which nodes a wave takes, within the budget, and what a failure is given."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.config import load_config
from agentflow_core.errors import ConfigError
from agentflow_core.records import Node
from agentflow_core.synthesis.config import SamplingConfig, SynthesisConfig
from agentflow_core.synthesis.frontier import Frontier, growth_score


def node(node_id: str, *, novelty: float = 1.0, error: str | None = None) -> Node:
    return Node(id=f"s/{node_id}", seed_id="s", depth=node_id.count("."), novelty=novelty, error=error)


def taken(frontier: Frontier) -> dict[str, int]:
    return {growing.node.id[2:]: growing.children for growing in frontier.take()}


def best_first(**config: object) -> SamplingConfig:
    return SamplingConfig(**{"growth": "best_first", "node_budget": 30, "max_depth": 4, "width": 2, **config})


def started(config: SamplingConfig, *nodes: Node) -> Frontier:
    frontier = Frontier(config, node("0"))
    frontier.take()
    frontier.add(len(nodes), nodes)
    return frontier


def test_uniform_growth_takes_every_node_that_waits_in_the_order_of_their_ids():
    frontier = started(SamplingConfig(), node("0.10", novelty=0.9), node("0.2", novelty=0.1))
    assert list(taken(frontier)) == ["0.2", "0.10"]
    assert taken(frontier) == {}


def test_best_first_takes_the_best_and_leaves_the_others_waiting():
    frontier = started(best_first(), node("0.0", novelty=0.5), node("0.1", novelty=0.9), node("0.2", novelty=0.7))
    assert list(taken(frontier)) == ["0.1", "0.2"]
    assert [waiting.id for waiting in frontier.waiting] == ["s/0.0"]
    frontier.add(1, [node("0.1.0", novelty=0.1)])
    assert list(taken(frontier)) == ["0.0", "0.1.0"]


def test_of_equal_nodes_the_first_by_id_is_taken():
    frontier = started(best_first(width=1), node("0.10"), node("0.9"))
    assert list(taken(frontier)) == ["0.9"]


def test_the_score_is_the_mean_of_novelty_and_of_the_way_to_the_full_depth():
    assert growth_score(node("0.0.0", novelty=0.5), 4) == 0.5
    assert growth_score(node("0.0", novelty=1.0), 4) == 0.625
    assert growth_score(node("0.0.0.0", novelty=0.0), 4) == 0.375


def test_a_failure_is_given_one_child():
    frontier = started(SamplingConfig(branching_factor=3), node("0.0", error="not_found"), node("0.1"))
    assert taken(frontier) == {"0.0": 1, "0.1": 3}


def test_leaves_do_not_wait():
    assert started(SamplingConfig(max_depth=1), node("0.0")).waiting == ()


@pytest.mark.parametrize("growth", ["uniform", "best_first"])
def test_no_more_nodes_are_asked_for_than_the_budget_holds(growth):
    config = SamplingConfig(growth=growth, node_budget=7, branching_factor=3, depth_threshold=4, width=9)
    frontier = started(config, node("0.0"), node("0.1"), node("0.2"))
    assert taken(frontier) == {"0.0": 3, "0.1": 1}


def test_what_a_node_does_not_use_of_the_budget_goes_to_another_one():
    frontier = started(
        best_first(node_budget=6, branching_factor=3, depth_threshold=4, width=1), node("0.0"), node("0.1")
    )
    assert taken(frontier) == {"0.0": 3}
    frontier.add(1, [])  # two of the three were repeats
    assert taken(frontier) == {"0.1": 3}
    frontier.add(3, [node("0.1.0")])
    assert (frontier.waiting, taken(frontier)) == ((), {})


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=12), st.integers(1, 4))
def test_no_node_that_waits_is_better_than_one_that_is_taken(found, width):
    nodes = [node("0" + ".0" * (depth % 3 + 1) + f".{i}", novelty=novelty) for i, (depth, novelty) in enumerate(found)]
    frontier = started(best_first(max_depth=9, width=width, node_budget=100), *nodes)
    waves = []
    while wave := frontier.take():
        waves.append([growth_score(growing.node, 9) for growing in wave])
        assert len(wave) <= width
    assert sum(map(len, waves)) == len(nodes)
    assert all(min(earlier) >= max(later) for earlier, later in pairwise(waves))


def test_best_first_without_a_budget_is_refused_with_its_place():
    with pytest.raises(ConfigError, match=r"sampling\.node_budget.*needs to be set where growth is 'best_first'"):
        load_config(SynthesisConfig, {"sampling": {"growth": "best_first"}})


# ---- whole trees


async def test_a_tree_stays_within_its_budget_and_reaches_its_depth(greenhouse, say):
    def fresh(inputs):
        at = inputs.path[-1].id.partition("/")[2]
        return [
            say.act("facts:words", words=[f"{at}x{number}w{word}" for word in range(9)]) for number in range(inputs.k)
        ]

    config = {"growth": "best_first", "max_depth": 5, "branching_factor": 3, "depth_threshold": 5, "width": 2}
    grown = await greenhouse.grow(say.proposing(fresh), node_budget=30, **config)
    assert len(grown.nodes) == 1 + 30
    assert max(node.depth for node in grown.nodes) == 5


async def test_repeats_leave_their_budget_to_another_node_of_the_frontier(greenhouse, say):
    def some_repeat(inputs):
        at = inputs.path[-1].id.partition("/")[2]
        names = ["a", "b"] if at in ("0", "0.0") else [f"n{at}x", f"n{at}y"]
        return [say.act("facts:look", name=name) for name in names]

    config = {"growth": "best_first", "max_depth": 3, "branching_factor": 2, "depth_threshold": 3, "width": 1}
    grown = await greenhouse.grow(say.proposing(some_repeat), node_budget=4, **config)
    assert say.ids(grown.nodes) == ["0", "0.0", "0.1", "0.1.0", "0.1.1"]
    asked = Counter(request.inputs.path[-1].id for request in greenhouse.model.requests)
    assert asked == {"s/0": 1, "s/0.0": 2, "s/0.1": 1}
