"""The scorers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.builtin import agentflow_scorers
from agentflow_core.interfaces import ScoringContext
from agentflow_core.records import Node, Observation, Replay
from agentflow_core.refs import resolve
from agentflow_core.scorers.content import Chain, EntityDensity, Information
from agentflow_core.scorers.shape import Depth, DepthConfig, ErrorShare, Replayable, Staleness, ToolDiversity


def context(tools=("a", "b"), idf=lambda _: 1.0):
    return ScoringContext(tools=tools, max_depth=5, idf=idf)


def step(text="", *, tool="a", params=None, ok=True, **fields):
    return Node(id="n", seed_id="s", tool=tool, params=params or {}, result=Observation(ok=ok, text=text), **fields)


def path(*steps, seed="the seed"):
    return (Node(id="s/0", seed_id="s", intent=seed), *steps)


def test_depth_grows_less_and_less():
    scores = [Depth().score(path(*[step()] * count), context()) for count in (0, 1, 5, 10)]
    assert scores == [0.0, pytest.approx(math.tanh(0.2)), pytest.approx(math.tanh(1)), pytest.approx(math.tanh(2))]
    assert Depth(DepthConfig(soft_cap=1)).score(path(step()), context()) == pytest.approx(math.tanh(1))


def test_tools_are_diverse_where_each_is_used_as_often():
    diversity = ToolDiversity()
    assert diversity.score(path(step(), step()), context()) == 0.0
    assert diversity.score(path(step(), step(tool="b")), context()) == pytest.approx(1.0)
    assert diversity.score(path(step(), step(tool="b")), context(tools=("a", "b", "c", "d"))) == pytest.approx(0.5)
    assert 0 < diversity.score(path(step(), step(), step(tool="b")), context()) < 1
    assert diversity.score(path(), context(tools=())) == 0.0


def test_failed_and_stale_steps_cost_their_share():
    steps = path(step(), step(ok=False), step(error="timeout"), step(stale=True))
    assert ErrorShare().score(steps, context()) == 0.5
    assert Staleness().score(steps, context()) == 0.75
    assert ErrorShare().score(path(), context()) == Staleness().score(path(), context()) == 1.0


def test_a_replay_that_differed_cannot_be_replayed():
    assert Replayable().score(path(step(), step(replay=Replay(equal=True))), context()) == 1.0
    assert Replayable().score(path(step(replay=Replay(equal=False, step=0)), step()), context()) == 0.0


def test_information_counts_each_new_word_once_by_its_weight():
    weights = {"rare": 500.0, "common": 0.0}

    def idf(word):
        return weights.get(word, 100.0)

    information = Information()
    assert information.score(path(step("rare common")), context(idf=idf)) == pytest.approx(500 / 1500)
    assert information.score(path(step("rare"), step("Rare common, rare!")), context(idf=idf)) == pytest.approx(1 / 3)
    assert information.score(path(step("rare seed")), context(idf=idf)) == pytest.approx(1 / 3)
    assert information.score(path(step("rare"), step("other", ok=False)), context(idf=idf)) == pytest.approx(1 / 3)
    assert information.score(path(), context(idf=idf)) == information.score((), context(idf=idf)) == 0.0
    assert information.score(path(step("rare")), context(idf=lambda _: 1000.0)) == pytest.approx(0.5)


def test_entity_density_is_the_share_of_capitalised_content():
    density = EntityDensity()
    assert density.score(path(step("The director Aram Avakian was there")), context()) == pytest.approx(2 / 6)
    assert density.score(path(step("Zoë Kravitz était là")), context()) == pytest.approx(2 / 4)
    assert density.score(path(step("nothing here"), step("Boston", ok=False)), context()) == 0.0
    assert density.score(path(), context()) == 0.0


def test_a_chain_uses_what_an_earlier_observation_first_said():
    find = step("directed by Aram Avakian", params={"query": "film"})
    follow = step("born in Manhattan", params={"query": "Aram Avakian", "k": 5})
    jump = step("a town", params={"query": "Harrow"})
    assert Chain().score(path(find, follow), context()) == 1.0
    assert Chain().score(path(find, jump), context()) == 0.0
    assert Chain().score(path(find, follow, jump), context()) == 0.5
    assert Chain().score(path(find, follow, follow), context()) == 1.0
    assert Chain().score(path(find), context()) == 0.0


def test_what_the_seed_or_an_earlier_argument_said_is_no_discovery():
    find = step("Aram Avakian directed", params={"query": "Avakian"})
    follow = step("x", params={"query": ["avakian", {"who": "of the"}]})
    assert Chain().score(path(find, follow), context()) == 0.0
    assert Chain().score(path(step("Aram"), step(params={"q": "Aram"}), seed="Aram"), context()) == 0.0
    assert Chain().score(path(step("Aram", ok=False), step(params={"q": "Aram"})), context()) == 0.0


texts = st.text(max_size=40) | st.sampled_from(["Aram Avakian", "the seed", "a b c d e f", "北京"])
steps = st.builds(
    step,
    texts,
    tool=st.sampled_from("abc"),
    params=st.dictionaries(st.sampled_from("qk"), texts | st.integers() | st.none(), max_size=2),
    ok=st.booleans(),
    stale=st.booleans(),
)


@given(st.lists(steps, max_size=6))
def test_every_built_in_score_lies_between_zero_and_one(found):
    for spec in agentflow_scorers():
        assert 0 <= resolve(spec.target)().score(path(*found), context()) <= 1, spec.name
