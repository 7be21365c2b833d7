"""Decide for one wave and one backend which branch goes on in a session, forks one, or gets a fresh one; a pure function.

Nothing here depends on what other trees do or on which call completes first: the same wave is always seated the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["How", "Need", "Seat", "Seating", "seat"]


class How(Enum):
    """Where a branch gets its session from."""

    CONTINUE = "continue"  #: the parent's own
    FORK = "fork"  #: a copy of the parent's, made before anybody acts in it
    FRESH = "fresh"  #: a new one, in which the path is replayed


@frozen(kw_only=True)
class Need:
    """One branch of the wave as one backend sees it."""

    node: str
    parent: str
    acts: bool  #: its action is a call of this backend
    lives_on: bool  #: it may be grown later


@frozen(kw_only=True)
class Seat:
    """What a branch gets; a session that is not kept is closed when its action has run."""

    how: How
    keep: bool


@frozen(kw_only=True)
class Seating:
    """The seats by node; a branch that has none needs no session now, and would get a fresh one later."""

    seats: Mapping[str, Seat]
    parked: tuple[str, ...]  #: nodes that wait in the frontier and whose sessions are closed to make room


def seat(needs: Sequence[Need], *, live: Collection[str], idle: Sequence[str], room: int, can_fork: bool) -> Seating:
    """Seat the branches of a wave.

    Args:
        needs: in node-id order.
        live: the parents that hold a session.
        idle: the nodes of the frontier that are not grown now and hold a session, the best first.
        room: how many sessions the tree may hold.
        can_fork: of the backend.

    The first child that acts in the parent's session goes on in it, or, if none acts, the first that lives on; the
    others fork. Where the sessions do not suffice, half of the room is for branches that keep theirs; the other half
    is used again and again, and those that find no seat free at first get a fresh session when there is one.
    """
    heirs = _heirs(needs, live)
    acting = [need for need in needs if need.acts and need.node not in heirs]
    idle = list(idle)
    parked = []
    while idle and len(heirs) + len(idle) + len(acting) > room:
        parked.append(idle.pop())
    free = room - len(heirs) - len(idle)
    seats: dict[str, Seat] = {}
    if len(acting) <= free:
        seats |= {node: Seat(how=How.CONTINUE, keep=need.lives_on) for node, need in heirs.items()}
        for need in acting:
            seats[need.node] = Seat(how=_how(need, live, can_fork), keep=need.lives_on)
        further = [
            need for need in needs if can_fork and need.lives_on and need.parent in live and need.node not in seats
        ]
        seats |= {need.node: Seat(how=How.FORK, keep=True) for need in further[: free - len(acting)]}
    else:
        may_keep = room // 2
        for need in (*heirs.values(), *acting[:free]):
            keep = need.lives_on and may_keep > 0
            may_keep -= keep
            how = How.CONTINUE if need.node in heirs else _how(need, live, can_fork)
            if keep or need.acts:
                seats[need.node] = Seat(how=how, keep=keep)
        seats |= {need.node: Seat(how=How.FRESH, keep=False) for need in acting[free:]}
    return Seating(seats=seats, parked=tuple(parked))


def _heirs(needs: Sequence[Need], live: Collection[str]) -> dict[str, Need]:
    """The branches that go on in their parent's session, by node, in node-id order."""
    heirs: dict[str, Need] = {}
    for need in needs:
        first = heirs.get(need.parent)
        if need.parent in live and (first is None or (need.acts and not first.acts)) and (need.acts or need.lives_on):
            heirs[need.parent] = need
    chosen = {need.node for need in heirs.values()}
    return {need.node: need for need in needs if need.node in chosen}


def _how(need: Need, live: Collection[str], can_fork: bool) -> How:
    return How.FORK if can_fork and need.parent in live else How.FRESH
