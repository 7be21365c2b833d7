"""Seating: who goes on, who forks, who waits, within the room that there is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.synthesis.seating import How, Need, Seating, seat


def need(node: str, *, acts: bool = True, lives_on: bool = True) -> Need:
    return Need(node=node, parent=node.rpartition(".")[0], acts=acts, lives_on=lives_on)


def seats(seating: Seating) -> dict[str, str]:
    """``how`` by node; kept sessions are marked with a star."""
    return {node: given.how.value + "*" * given.keep for node, given in seating.seats.items()}


def test_the_first_child_goes_on_and_the_others_fork():
    needs = [need("0.0"), need("0.1"), need("0.2")]
    found = seat(needs, live=["0"], idle=[], room=9, can_fork=True)
    assert seats(found) == {"0.0": "continue*", "0.1": "fork*", "0.2": "fork*"}


def test_without_forks_and_without_a_session_of_the_parent_branches_are_fresh():
    assert seats(seat([need("0.0"), need("0.1")], live=["0"], idle=[], room=9, can_fork=False)) == {
        "0.0": "continue*",
        "0.1": "fresh*",
    }
    assert seats(seat([need("0.0"), need("0.1")], live=[], idle=[], room=9, can_fork=True)) == {
        "0.0": "fresh*",
        "0.1": "fresh*",
    }


def test_the_first_child_that_acts_goes_on_before_one_that_does_not():
    needs = [need("0.0", acts=False), need("0.1")]
    assert seats(seat(needs, live=["0"], idle=[], room=9, can_fork=True)) == {"0.1": "continue*", "0.0": "fork*"}
    assert seats(seat(needs, live=["0"], idle=[], room=9, can_fork=False)) == {"0.1": "continue*"}
    assert seats(seat(needs[:1], live=["0"], idle=[], room=9, can_fork=False)) == {"0.0": "continue*"}


def test_leaves_keep_no_session():
    needs = [need("0.0", lives_on=False), need("0.1", acts=False, lives_on=False)]
    assert seats(seat(needs, live=["0"], idle=[], room=9, can_fork=True)) == {"0.0": "continue"}


def test_branches_that_do_not_act_fork_only_where_there_is_room_to_spare():
    needs = [need("0.0"), need("0.1", acts=False), need("0.2", acts=False)]
    assert seats(seat(needs, live=["0"], idle=[], room=2, can_fork=True)) == {"0.0": "continue*", "0.1": "fork*"}


def test_where_room_is_short_half_of_it_is_kept_and_the_rest_is_used_again():
    needs = [need(f"0.{number}.{child}") for number in range(2) for child in range(3)]
    found = seat(needs, live=["0.0", "0.1"], idle=[], room=4, can_fork=True)
    assert seats(found) == {
        "0.0.0": "continue*",
        "0.1.0": "continue*",
        "0.0.1": "fork",
        "0.0.2": "fork",
        "0.1.1": "fresh",
        "0.1.2": "fresh",
    }


def test_in_a_room_for_one_nobody_keeps_a_session_that_another_branch_needs():
    assert seats(seat([need("0.0"), need("0.1")], live=["0"], idle=[], room=1, can_fork=True)) == {
        "0.0": "continue",
        "0.1": "fresh",
    }
    assert seats(seat([need("0.0", acts=False), need("0.1")], live=["0"], idle=[], room=1, can_fork=True)) == {
        "0.1": "continue*",
    }


def test_nodes_that_wait_make_room_the_worst_first():
    found = seat([need("0.0"), need("0.1")], live=["0"], idle=["best", "middle", "worst"], room=3, can_fork=True)
    assert found.parked == ("worst", "middle")
    assert seats(found) == {"0.0": "continue*", "0.1": "fork*"}


@st.composite
def waves(draw: st.DrawFn) -> dict[str, object]:
    room = draw(st.integers(1, 6))
    holders = draw(st.integers(0, room))
    parents = draw(st.integers(1, 6))
    needs = [
        Need(node=f"{parent}.{child}", parent=str(parent), acts=draw(st.booleans()), lives_on=draw(st.booleans()))
        for parent in range(parents)
        for child in range(draw(st.integers(1, 4)))
    ]
    live = [str(parent) for parent in range(parents)][:holders]
    idle = [f"idle {number}" for number in range(draw(st.integers(0, room - len(live))))]
    return {"needs": needs, "live": live, "idle": idle, "room": room, "can_fork": draw(st.booleans())}


@given(waves())
def test_every_action_gets_a_session_and_the_room_suffices(wave):
    found = seat(**wave)
    needs = {need.node: need for need in wave["needs"]}
    assert all(node in found.seats for node, need in needs.items() if need.acts)
    assert all(needs[node].acts or given.keep for node, given in found.seats.items())
    assert all(needs[node].lives_on for node, given in found.seats.items() if given.keep)
    on_parents = {node: given for node, given in found.seats.items() if given.how is not How.FRESH}
    assert {needs[node].parent for node in on_parents} <= set(wave["live"])
    heirs = Counter(needs[node].parent for node, given in found.seats.items() if given.how is How.CONTINUE)
    assert all(number == 1 for number in heirs.values())
    if not wave["can_fork"]:
        assert all(given.how is not How.FORK for given in found.seats.values())
    idle = len(wave["idle"]) - len(found.parked)
    kept = sum(given.keep for given in found.seats.values())
    assert kept + idle <= wave["room"]
    waits = len(on_parents) + idle + sum(given.how is How.FRESH for given in found.seats.values()) > wave["room"]
    if waits:  # something that acts and is not kept gives its place to those that wait
        assert found.parked == tuple(reversed(wave["idle"]))
        assert kept < wave["room"]
    assert seat(**wave) == found
