"""Near-copies of what earlier seeds kept."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.interfaces import Candidate, Choice
from agentflow_core.records import Node, Observation, Path
from agentflow_core.scorers.features import path_shingles
from agentflow_core.selectors.earlier import EarlierSeeds
from agentflow_core.text import overlap


def candidate(path_id, text):
    seed = path_id.partition("/")[0]
    nodes = (
        Node(id=f"{seed}/0", seed_id=seed),
        Node(id=path_id, seed_id=seed, tool="t", result=Observation(text=text)),
    )
    return Candidate(path=Path(id=path_id, seed_id=seed, nodes=tuple(node.id for node in nodes)), nodes=nodes)


def words(first, count):
    return " ".join(f"w{number}" for number in range(first, first + count))


def first(most):
    """A selector that takes the first candidates."""

    def select(candidates):
        return [Choice(path_id=one.path.id, selected=at < most, reason=str(at)) for at, one in enumerate(candidates)]

    return select


def kept(choices):
    return [choice.path_id for choice in choices if choice.selected]


def test_a_near_copy_of_an_earlier_seed_gives_its_place_to_another_path():
    earlier = EarlierSeeds(0.7)
    assert kept(earlier.choose([candidate("a/0.0", words(0, 100))], first(1))) == ["a/0.0"]
    later = [
        candidate("b/0.0", words(2, 100)),
        candidate("b/0.1", words(500, 100)),
        candidate("b/0.2", words(900, 100)),
    ]
    choices = earlier.choose(later, first(1))
    assert kept(choices) == ["b/0.1"]
    assert sorted(choice.path_id for choice in choices) == ["b/0.0", "b/0.1", "b/0.2"]
    reason = next(choice.reason for choice in choices if choice.path_id == "b/0.0")
    assert reason == "96% like a/0.0 of an earlier seed, over the threshold of 70%"


def test_what_an_earlier_seed_did_not_keep_leaves_nothing_out():
    earlier = EarlierSeeds(0.7)
    earlier.choose([candidate("a/0.0", words(0, 100)), candidate("a/0.1", words(500, 100))], first(1))
    assert kept(earlier.choose([candidate("b/0.0", words(500, 100))], first(1))) == ["b/0.0"]


def test_a_seed_is_not_compared_with_itself_and_paths_without_text_are_near_nothing():
    earlier = EarlierSeeds(0.7)
    alike = [candidate("a/0.0", words(0, 100)), candidate("a/0.1", words(0, 100)), candidate("a/0.2", "")]
    assert kept(earlier.choose(alike, first(3))) == ["a/0.0", "a/0.1", "a/0.2"]
    assert kept(earlier.choose([candidate("b/0.0", "")], first(1))) == ["b/0.0"]


@pytest.mark.parametrize(("threshold", "keeps"), [(0.0, False), (0.9, False), (0.97, True), (1.0, True)])
def test_the_threshold_is_exclusive(threshold, keeps):
    earlier = EarlierSeeds(threshold)
    earlier.choose([candidate("a/0.0", words(0, 100))], first(1))
    assert bool(kept(earlier.choose([candidate("b/0.0", words(2, 100))], first(1)))) is keeps


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_it_is_the_fold_that_compares_with_every_path_kept_before(seed):
    rng = Random(seed)
    earlier, before = EarlierSeeds(0.5), []
    for number in range(12):
        offered = [
            candidate(f"s{number}/0.{at}", words(rng.randrange(20) * 10, rng.choice([40, 60, 120]))) for at in range(3)
        ]
        expected = []
        for one in offered:
            content = path_shingles(one.nodes)
            if len(expected) < 2 and all(overlap(content, other) <= 0.5 for other in before):
                expected.append(one.path.id)
        before += [path_shingles(one.nodes) for one in offered if one.path.id in expected]
        assert kept(earlier.choose(offered, first(2))) == expected
