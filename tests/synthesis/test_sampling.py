"""Sampling: the shape of trees, repeats, failures, and that no order of completion shows."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.errors import (
    AuthenticationError,
    BadOutputError,
    ContentFilterError,
    ContextOverflowError,
    TransientError,
)
from agentflow_core.records import Usage
from agentflow_core.records.events import NodeAdded
from agentflow_core.testing.models import says

# ---- shape


def fresh(inputs):
    """As many names as are wanted, each new."""
    at = inputs.path[-1].id.partition("/")[2]
    return [{"tool": "facts:look", "params": {"name": f"n{at}x{number}"}} for number in range(inputs.k)]


async def test_nodes_branch_above_the_threshold_and_go_on_with_one_child_below_it(greenhouse, say):
    grown = await greenhouse.grow(say.proposing(fresh), max_depth=4, branching_factor=3, depth_threshold=2)
    assert Counter(node.depth for node in grown.nodes) == {0: 1, 1: 3, 2: 9, 3: 9, 4: 9}
    children = Counter(node.parent for node in grown.nodes if node.parent)
    assert {children[node.id] for node in grown.nodes if node.depth < 2} == {3}
    assert {children[node.id] for node in grown.nodes if 2 <= node.depth < 4} == {1}


async def test_nodes_come_in_the_order_of_their_ids_parents_first(greenhouse, say):
    grown = await greenhouse.grow(say.proposing(fresh), max_depth=2, branching_factor=11, depth_threshold=1)
    assert say.ids(grown.nodes)[:5] == ["0", "0.0", "0.0.0", "0.1", "0.1.0"]
    assert say.ids(grown.nodes)[-2:] == ["0.10", "0.10.0"]


async def test_a_threshold_of_nothing_is_a_single_path(greenhouse, say):
    grown = await greenhouse.grow(say.proposing(fresh), max_depth=3, branching_factor=5, depth_threshold=0)
    assert say.ids(grown.nodes) == ["0", "0.0", "0.0.0", "0.0.0.0"]


async def test_k_children_are_asked_for_in_one_call(greenhouse, say):
    await greenhouse.grow(say.proposing(fresh), max_depth=1, branching_factor=3)
    (request,) = greenhouse.model.requests
    assert request.inputs.k == 3
    assert "Propose 3 different next actions" in request.messages[-1].text


async def test_more_proposals_than_wanted_are_cut(greenhouse, say):
    names = [say.act("facts:look", name=name) for name in "abcde"]
    grown = await greenhouse.grow(say.proposing({"0": names}), max_depth=1, branching_factor=2)
    assert greenhouse.world.ran == ["a", "b"]
    assert len(grown.nodes) == 3


async def test_a_proposal_beyond_those_wanted_stands_in_for_one_that_is_taken(greenhouse, say):
    names = [say.act("facts:look", name=name) for name in "aabc"]
    await greenhouse.grow(say.proposing({"0": names}), max_depth=1, branching_factor=2)
    assert greenhouse.world.ran == ["a", "b"]
    assert len(greenhouse.model.requests) == 1


async def test_every_node_is_observed(greenhouse, say):
    await greenhouse.grow(say.proposing({"0": [say.act("facts:look", name="bad")]}), max_depth=1, branching_factor=1)
    assert greenhouse.events == [NodeAdded(node="s/0.0", tool="facts:look", error="not_found")]


# ---- repeats


async def test_a_repeat_is_known_before_it_runs(greenhouse, say):
    grown = await greenhouse.grow(
        say.proposing({"0": [say.act("facts:look", name="a"), say.act("facts:look", name=" a ", style="plain")]}),
        max_depth=1,
        branching_factor=2,
    )
    assert greenhouse.world.ran == ["a"]
    assert grown.repeats == 1 + 2  # both proposals of the second request were taken too


async def test_repeats_of_different_nodes_go_to_the_first_node(greenhouse, say):
    both = [say.act("facts:look", name="c")]
    script = {"0": [say.act("facts:look", name="a"), say.act("facts:look", name="b")], "0.0": both, "0.1": both}
    grown = await greenhouse.grow(say.proposing(script), max_depth=2, branching_factor=2, depth_threshold=1)
    assert say.ids(grown.nodes) == ["0", "0.0", "0.0.0", "0.1"]


async def test_a_tool_may_say_itself_what_means_the_same(greenhouse, say):
    script = {"0": [say.act("facts:words", words=["b", "a"]), say.act("facts:words", words=["a", "b"])]}
    grown = await greenhouse.grow(say.proposing(script), max_depth=1, branching_factor=2)
    assert len(grown.nodes) == 2


async def test_a_rule_that_fails_on_wrong_parameters_is_not_asked(greenhouse, say):
    script = {"0": [say.act("facts:words", wrong=1), say.act("facts:words", wrong=2)]}
    grown = await greenhouse.grow(say.proposing(script), max_depth=1, branching_factor=2)
    assert [node.error for node in grown.nodes] == [None, "invalid_argument", "invalid_argument"]


async def test_the_explorer_is_asked_again_once_and_told_what_clashed(greenhouse, say):
    asked = []

    def answer(request):
        asked.append(request)
        if len(asked) == 1:
            return says(json={"actions": [say.act("facts:look", name="a"), say.act("facts:look", name="a ")]})
        return says(json={"actions": [say.act("facts:look", name="b")]})

    grown = await greenhouse.grow(answer, max_depth=1, branching_factor=2)
    assert greenhouse.world.ran == ["a", "b"]
    assert say.ids(grown.nodes) == ["0", "0.0", "0.1"]
    first, second = asked
    assert "You proposed these" not in first.messages[-1].text
    told = second.messages[-1].text
    assert told.count('You proposed these, but they are taken:\n- facts:look {"name": "a "}\n') == 1
    assert second.inputs.k == 1


async def test_an_explorer_that_only_repeats_itself_is_asked_twice_and_no_more(greenhouse, say):
    same = [say.act("facts:look", name="a")]
    grown = await greenhouse.grow(
        say.proposing({"0": same, "0.0": same}), max_depth=3, branching_factor=1, depth_threshold=3
    )
    asked = Counter(request.inputs.path[-1].id for request in greenhouse.model.requests)
    assert asked == {"s/0": 1, "s/0.0": 2}
    assert say.ids(grown.nodes) == ["0", "0.0"]


async def test_an_explorer_that_proposes_nothing_is_not_asked_again(greenhouse, say):
    grown = await greenhouse.grow(say.proposing({}))
    assert len(greenhouse.model.requests) == 1
    assert say.ids(grown.nodes) == ["0"]
    assert grown.failed == {}


async def test_the_explorer_sees_what_is_taken(greenhouse, say):
    script = {"0": [say.act("facts:look", name="a")], "0.0": [say.act("facts:look", name="b")]}
    await greenhouse.grow(say.proposing(script), branching_factor=1)
    assert 'do not propose these again:\n- facts:look {"name": "a"}' in greenhouse.model.requests[1].messages[-1].text


# ---- what grows


async def test_a_stale_node_is_not_grown(greenhouse, say):
    script = {"0": [say.act("facts:look", name="same1"), say.act("facts:look", name="same2")]}
    await greenhouse.grow(say.proposing(script), max_depth=3, branching_factor=2)
    assert [request.inputs.path[-1].id for request in greenhouse.model.requests] == ["s/0", "s/0.0"]


async def test_after_a_failure_the_path_has_one_chance_to_recover(greenhouse, say):
    def bad(inputs):
        at = inputs.path[-1].id.partition("/")[2]
        return [say.act("facts:look", name=f"bad {at}")]

    grown = await greenhouse.grow(say.proposing(bad), max_depth=5, branching_factor=1, depth_threshold=0)
    assert say.ids(grown.nodes) == ["0", "0.0", "0.0.0"]
    assert [node.error for node in grown.nodes] == [None, "not_found", "not_found"]
    assert "error [not_found]: there is no bad 0" in greenhouse.model.requests[1].messages[-1].text


# ---- failures of the model


@pytest.mark.parametrize(
    "error",
    [ContentFilterError("no"), ContextOverflowError("long"), BadOutputError("what")],
    ids=lambda error: error.kind,
)
async def test_a_proposal_that_fails_costs_its_node_only(greenhouse, say, error):
    def answer(request):
        at = request.inputs.path[-1].id
        return error if at == "s/0.0" else says(json={"actions": fresh(request.inputs)})

    grown = await greenhouse.grow(answer, max_depth=2, branching_factor=2, depth_threshold=1)
    assert say.ids(grown.nodes) == ["0", "0.0", "0.1", "0.1.0"]
    assert grown.failed == {"s/0.0": error.kind}


async def test_an_answer_that_cannot_be_read_is_asked_for_again(greenhouse, say):
    told = iter(["no json", says(json={"actions": [say.act("facts:look", name="a")]})])
    grown = await greenhouse.grow(told, max_depth=1, branching_factor=1)
    assert say.ids(grown.nodes) == ["0", "0.0"]
    assert grown.usage.calls == 2


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"actions": [{"tool": "facts:loop", "params": {}}]}, "no tool 'facts:loop', did you mean 'facts:look'?"),
        ({"actions": [{"params": {}}]}, 'each action needs a "tool"'),
        ({"actions": [{"tool": "facts:look", "params": [1]}]}, "the params of facts:look must be an object"),
        ({"actions": "none"}, 'expected {"actions": [...]}'),
    ],
    ids=str,
)
async def test_a_wrong_proposal_is_sent_back_with_what_is_wrong(greenhouse, say, value, told):
    script = iter([says(json=value), says(json={"actions": []})])
    await greenhouse.grow(script)
    assert told in greenhouse.model.requests[1].messages[-1].text


async def test_the_wire_name_of_a_tool_is_understood(greenhouse, say):
    script = {"0": [{"tool": "facts_look", "params": {"name": "a"}}]}
    grown = await greenhouse.grow(say.proposing(script), max_depth=1, branching_factor=1)
    assert grown.nodes[1].tool == "facts:look"


@pytest.mark.parametrize("error", [BadOutputError("what"), ContentFilterError("no")], ids=lambda error: error.kind)
async def test_a_seed_for_which_nothing_can_be_proposed_has_failed(greenhouse, error):
    with pytest.raises(type(error)):
        await greenhouse.grow(lambda _: error)


@pytest.mark.parametrize("error", [AuthenticationError("key"), TransientError("down")], ids=lambda error: error.kind)
async def test_a_failure_that_is_not_of_one_node_ends_the_seed(greenhouse, say, error):
    def answer(request):
        at = request.inputs.path[-1].id
        return error if at == "s/0.0" else says(json={"actions": fresh(request.inputs)})

    with pytest.raises(type(error)):
        await greenhouse.grow(answer)


async def test_usage_is_counted_once_and_whole(greenhouse, say):
    used = Usage(calls=1, prompt_tokens=10, completion_tokens=1)

    def answer(request):
        return says(json={"actions": fresh(request.inputs)}, usage=used)

    grown = await greenhouse.grow(answer, max_depth=2, branching_factor=2, depth_threshold=1)
    assert grown.usage.calls == len(greenhouse.model.requests) == 3
    assert sum((node.usage for node in grown.nodes), Usage()) == grown.usage


# ---- order


def rich(rng, inputs):
    """Proposals that depend on the path alone: fresh ones, repeats, failures, texts that are known, counters."""
    own = Random(f"{inputs.path[-1].id} {[node.result and node.result.text for node in inputs.path]}")
    kinds = ["n", "n", "same", "bad", "shared"]
    actions = []
    for number in range(inputs.k + own.randrange(2)):
        if own.random() < 0.3:
            actions.append({"tool": "counter:add", "params": {"amount": own.randrange(5)}})
        else:
            kind = own.choice(kinds)
            name = kind if kind == "shared" else f"{kind}{own.randrange(4)}{number}"
            actions.append({"tool": "facts:look", "params": {"name": name}})
    return actions


def grown_with(greenhouse, say, rng: Random | None):
    async def answer(request):
        await say.pause(rng)
        return says(json={"actions": rich(rng, request.inputs)})

    return anyio.run(
        partial(greenhouse.grow, answer, max_depth=3, branching_factor=3, depth_threshold=2, stale_novelty=0.3)
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_tree_does_not_depend_on_which_call_completes_first(new_greenhouse, say, seed: int):
    in_turn = grown_with(new_greenhouse(), say, None)
    shuffled = grown_with(new_greenhouse(Random(seed)), say, Random(seed))
    assert shuffled == in_turn
    assert len(in_turn.nodes) > 10
