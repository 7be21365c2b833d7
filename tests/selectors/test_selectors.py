"""The selectors."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.interfaces import Candidate, SelectionContext
from agentflow_core.records import Node, Observation, Path
from agentflow_core.selectors.classic import Classic
from agentflow_core.selectors.coverage import Coverage
from agentflow_core.selectors.ranking import MMR, MMRConfig, RandomChoice, Stratified, TopK


def words(first, count):
    return " ".join(f"w{number}" for number in range(first, first + count))


def candidate(path_id, *texts, total=0.0, tools=None, ids=None):
    nodes = [Node(id="s/0", seed_id="s")]
    for number, text in enumerate(texts):
        failed = text is None
        nodes.append(
            Node(
                id=ids[number] if ids else f"{path_id}.{number}",
                seed_id="s",
                tool=tools[number] if tools else "t",
                result=Observation(
                    ok=not failed, text="the tool failed with a long message about it" if text is None else text
                ),
                error="timeout" if failed else None,
            )
        )
    path = Path(id=path_id, seed_id="s", nodes=tuple(node.id for node in nodes), total=total)
    return Candidate(path=path, nodes=tuple(nodes))


def context(most=3, threshold=0.7, tools=("t", "u")):
    return SelectionContext(max_selected=most, similarity_threshold=threshold, tools=tools, rng=Random(0))


def chosen(choices):
    return [choice.path_id for choice in choices if choice.selected]


def reason(choices, path_id):
    return next(choice.reason for choice in choices if choice.path_id == path_id)


def test_coverage_takes_what_adds_most_per_root_of_length():
    short = candidate("short", words(0, 54))
    long = candidate("long", *(words(1000 + 100 * step, 24) for step in range(4)))
    choices = Coverage().select([long, short], context())
    assert chosen(choices) == ["short", "long"]
    assert reason(choices, "short") == "50 new of 50 shingles in 1 steps"
    assert 80 / math.sqrt(4) < 50


def test_coverage_stops_where_nothing_is_gained():
    whole = candidate("whole", words(0, 100))
    part = candidate("part", words(10, 20))
    empty = candidate("empty", "")
    choices = Coverage().select([part, empty, whole], context(threshold=1.0))
    assert chosen(choices) == ["whole"]
    assert reason(choices, "part") == reason(choices, "empty") == "nothing new"


def test_coverage_leaves_near_copies_out_and_says_of_which():
    one = candidate("one", words(0, 104))
    copy = candidate("copy", words(10, 100))
    other = candidate("other", words(500, 20))
    choices = Coverage().select([copy, one, other], context())
    assert chosen(choices) == ["one", "other"]
    assert reason(choices, "copy").endswith("like one, over the threshold of 70%")


def test_coverage_takes_no_more_than_asked_and_explains_the_rest():
    candidates = [candidate(f"p{number}", words(1000 * number, 50 - number)) for number in range(4)]
    choices = Coverage().select(candidates, context(most=2))
    assert chosen(choices) == ["p0", "p1"]
    assert reason(choices, "p3") == "the 2 chosen ones gain more"
    assert chosen(Coverage().select(candidates, context(most=0))) == []
    assert list(Coverage().select([], context())) == []


def test_failed_steps_cost_and_gain_nothing():
    clean = candidate("clean", words(0, 40))
    failing = candidate("failing", words(1000, 40), None, None)
    assert chosen(Coverage().select([failing, clean], context(most=1))) == ["clean"]


def test_equal_gains_are_decided_by_total_then_id():
    a, b, c = (
        candidate(name, words(1000 * at, 30), total=total)
        for at, (name, total) in enumerate([("a", 0.1), ("b", 0.9), ("c", 0.9)])
    )
    assert chosen(Coverage().select([a, c, b], context())) == ["b", "c", "a"]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=1, max_size=4), max_size=8),
    st.randoms(use_true_random=False),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)
@pytest.mark.parametrize("selector", [Coverage, Classic, TopK, Stratified, RandomChoice, lambda: MMR(MMRConfig())])
def test_the_order_of_the_candidates_changes_nothing(selector, shapes, rng, most, threshold):
    candidates = [candidate(f"p{at}", *(words(*span) for span in spans)) for at, spans in enumerate(shapes)]
    shuffled = list(candidates)
    rng.shuffle(shuffled)
    once = selector().select(candidates, context(most, threshold))
    assert list(selector().select(shuffled, context(most, threshold))) == list(once)
    assert sorted(choice.path_id for choice in once) == sorted(item.path.id for item in candidates)
    assert len(chosen(once)) <= most
    assert [choice.selected for choice in once] == sorted((choice.selected for choice in once), reverse=True)
    assert all(choice.reason for choice in once)


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=1, max_size=4), min_size=1, max_size=7
    )
)
def test_coverage_is_the_plain_greedy_choice(shapes):
    candidates = [candidate(f"p{at}", *(words(*span) for span in spans)) for at, spans in enumerate(shapes)]

    def runs(item):
        found = set()
        for node in item.nodes[1:]:
            split = node.result.text.split()
            found |= {tuple(split[at : at + 5]) for at in range(max(1, len(split) - 4))} if split else set()
        return found

    covered, plain, left = set(), [], list(candidates)
    while left and len(plain) < 3:
        best = min(left, key=lambda item: (-len(runs(item) - covered) / math.sqrt(len(item.nodes) - 1), item.path.id))
        if not runs(best) - covered:
            break
        left.remove(best)
        plain.append(best.path.id)
        covered |= runs(best)
    assert chosen(Coverage().select(candidates, context(threshold=1.0))) == plain


def test_the_classic_formula_is_40_30_30():
    deep = candidate("deep", *["x" * 10] * 5)
    long = candidate("long", "x" * 110, tools=["t"])
    varied = candidate("varied", "x" * 60, "x" * 60, tools=["t", "u"])
    choices = Classic().select([deep, long, varied], context(threshold=1.0))
    points = {choice.path_id: float(choice.reason.split()[0]) for choice in choices}
    assert points == {"deep": 40 + 0 + 15, "long": 8 + 30 + 15, "varied": 16 + 15 + 30}
    assert chosen(choices) == ["varied", "deep", "long"]


def test_the_classic_selector_compares_node_ids():
    first = candidate("a", "x", "x", "x", ids=["1", "2", "3"])
    sibling = candidate("b", "x", "x", "y", ids=["1", "2", "4"])
    apart = candidate("c", "x", "x", ids=["5", "6"])
    choices = Classic().select([sibling, apart, first], context(threshold=0.5))
    assert chosen(choices) == ["a", "c"]
    assert "shares 60% of its nodes with a" in reason(choices, "b")


def test_topk_takes_the_highest_totals_and_of_near_copies_the_first():
    best = candidate("best", words(0, 60), total=0.9)
    copy = candidate("copy", words(1, 60), total=0.8)
    third = candidate("third", words(500, 60), total=0.7)
    last = candidate("last", words(900, 60), total=0.1)
    choices = TopK().select([last, third, copy, best], context(most=2))
    assert chosen(choices) == ["best", "third"]
    assert reason(choices, "copy").endswith("like best, over the threshold of 70%")
    assert reason(choices, "last") == "total 0.100, rank 4; 2 are chosen"


def test_stratified_takes_from_every_stratum_before_a_second_of_one():
    deep = [candidate(f"deep{n}", words(n * 100, 20), words(n * 100 + 50, 20), total=0.9 - n / 100) for n in range(3)]
    flat = [candidate(f"flat{n}", words(1000 + n * 100, 20), total=0.2 - n / 100) for n in range(2)]
    other = candidate("other", words(3000, 20), total=0.1, tools=["u"])
    choices = Stratified().select([*flat, *deep, other], context(most=4))
    assert chosen(choices) == ["deep0", "flat0", "other", "deep1"]
    assert reason(choices, "other") == "number 1 of 1 with 1 steps and u"


def test_random_is_a_function_of_the_seed_of_the_run():
    candidates = [candidate(f"p{n}", words(n * 100, 20)) for n in range(20)]
    drawn = {
        seed: chosen(
            RandomChoice().select(
                candidates, SelectionContext(max_selected=5, similarity_threshold=0.7, tools=("t",), rng=Random(seed))
            )
        )
        for seed in range(8)
    }
    assert drawn[0] == chosen(RandomChoice().select(candidates, context(most=5)))
    assert len({tuple(names) for names in drawn.values()}) == 8


def test_mmr_prefers_the_different_path_to_the_slightly_better_one():
    best = candidate("best", words(0, 60), total=0.9)
    alike = candidate("alike", words(20, 60), total=0.8)
    other = candidate("other", words(500, 60), total=0.7)
    assert chosen(MMR(MMRConfig()).select([alike, other, best], context(most=2))) == ["best", "other"]
    assert chosen(MMR(MMRConfig(relevance=1.0)).select([alike, other, best], context(most=2))) == ["best", "alike"]


def test_mmr_keeps_what_it_has_when_all_is_alike():
    copies = [candidate(name, words(0, 60), total=0.5) for name in ("a", "b")]
    choices = MMR(MMRConfig()).select(copies, context())
    assert chosen(choices) == ["a"]
    assert reason(choices, "b") == "100% like a, over the threshold of 70%"
