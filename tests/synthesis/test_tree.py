"""A tree: ids, reservations, novelty, and what may grow."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.records import Action, Node, Observation, Seed
from agentflow_core.synthesis.tree import Tree, node_order
from agentflow_core.text import action_key

if TYPE_CHECKING:
    from collections.abc import Callable


def tree(stale_novelty: float = 0.1, **rules: Callable[[str], bool]) -> Tree:
    return Tree(
        Seed(id="seed-007", content="start"),
        stale_novelty=stale_novelty,
        key_of=lambda action: action_key(action.tool, action.params),
        **rules,
    )


def add(tree: Tree, parent: Node, text: str, *, ok: bool = True, tool: str = "t") -> Node:
    result = Observation(ok=ok, code="ok" if ok else "not_found", text=text)
    return tree.add(tree.child_id(parent), parent, Action(tool=tool, params={}), result)


def test_the_root_carries_the_seed_and_no_tool():
    root = tree().root
    assert (root.id, root.seed_id, root.intent, root.tool, root.depth) == ("seed-007/0", "seed-007", "start", None, 0)


def test_ids_are_paths_of_child_numbers():
    grown = tree()
    children = [add(grown, grown.root, f"text {number}") for number in range(3)]
    assert [node.id for node in children] == ["seed-007/0.0", "seed-007/0.1", "seed-007/0.2"]
    grandchild = add(grown, children[2], "more")
    assert (grandchild.id, grandchild.parent, grandchild.depth) == ("seed-007/0.2.0", "seed-007/0.2", 2)
    assert [node.id for node in grown.path(grandchild)] == ["seed-007/0", "seed-007/0.2", "seed-007/0.2.0"]


def test_child_numbers_are_ordered_as_numbers():
    grown = tree()
    for number in range(12):
        add(grown, grown.root, f"text {number}")
    numbers = [int(node.id.rpartition(".")[2]) for node in grown.in_order()[1:]]
    assert numbers == list(range(12))
    assert node_order("a/b.9/0.2") < node_order("a/b.9/0.10")


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5), min_size=2))
def test_a_parent_comes_before_its_children(numbers: list[list[int]]):
    made = ["s/" + ".".join(map(str, part)) for part in numbers]
    for first, second in pairwise(sorted(made, key=node_order)):
        assert not first.startswith(f"{second}.")


@pytest.mark.parametrize(
    "again", [{"q": "Bern  town"}, {"q": " Bern town "}, {"q": "Bern\u00a0town"}, {"q": "\uff22ern town"}], ids=repr
)
def test_an_action_that_means_the_same_is_reserved_once(again: dict[str, Any]):
    grown = tree()
    first = Action(tool="t", params={"q": "Bern town"})
    assert grown.reserve(first, grown.root)
    assert not grown.reserve(Action(tool="t", params=again, intent="another"), grown.root)
    assert grown.reserve(Action(tool="u", params=again), grown.root)
    assert grown.taken(grown.root)[0] is first


def test_a_relative_action_means_the_same_only_from_the_same_state_on():
    grown = tree(changes=lambda tool: tool != "web:look", relative=lambda tool: tool == "web:click")
    click, look = Action(tool="web:click", params={"ref": "e1"}), Action(tool="web:look", params={})
    assert grown.reserve(click, grown.root)
    assert grown.reserve(look, grown.root)
    assert grown.taken(grown.root) == (click, look)
    looked = add(grown, grown.root, "a page", tool="web:look")
    assert not grown.reserve(click, looked)  # to look changes nothing
    noted = add(grown, looked, "noted", tool="notes:add")
    assert not grown.reserve(click, noted)  # nor does what another backend did
    clicked = add(grown, noted, "another page", tool="web:click")
    assert grown.taken(clicked) == (look,)
    assert grown.reserve(click, clicked)
    assert not grown.reserve(click, clicked)
    assert not grown.reserve(look, clicked)
    assert grown.taken(clicked) == (look, click)
    assert grown.taken(looked) == (click, look)


def test_an_observation_that_adds_nothing_is_stale_and_is_not_grown():
    grown = tree()
    first = add(grown, grown.root, "a text of some six words")
    again = add(grown, grown.root, "a text of some six words")
    assert (first.novelty, first.stale, again.novelty, again.stale) == (1.0, False, 0.0, True)
    assert grown.may_grow(first)
    assert not grown.may_grow(again)


def test_a_stale_node_leads_on_once_where_its_tool_changes_a_state():
    grown = Tree(Seed(id="s", content="x"), stale_novelty=0.1, key_of=repr, changes=lambda name: name == "t")
    entered = add(grown, grown.root, "")
    again = add(grown, entered, "")
    assert (entered.stale, grown.may_grow(entered)) == (True, True)
    assert (again.stale, grown.may_grow(again)) == (True, False)
    assert grown.may_grow(add(grown, entered, "something new at last"))


def test_an_empty_observation_is_stale():
    grown = tree()
    assert add(grown, grown.root, "").stale


def test_a_failure_is_never_information_and_never_stale():
    grown = tree()
    failed = add(grown, grown.root, "error: there is no such thing here", ok=False)
    assert (failed.novelty, failed.stale, failed.error) == (0.0, False, "not_found")
    assert add(grown, grown.root, "error: there is no such thing here").novelty == 1.0


def test_a_failure_is_grown_once_and_a_failure_after_it_is_not():
    grown = tree()
    failed = add(grown, grown.root, "no", ok=False)
    again = add(grown, failed, "no", ok=False)
    recovered = add(grown, failed, "a new text")
    assert grown.may_grow(failed)
    assert not grown.may_grow(again)
    assert grown.may_grow(recovered)
    assert grown.may_grow(add(grown, recovered, "no", ok=False))


def test_nothing_is_stale_where_nothing_is_asked_for():
    grown = tree(stale_novelty=0.0)
    add(grown, grown.root, "the same words")
    assert not add(grown, grown.root, "the same words").stale
