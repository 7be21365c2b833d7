"""Rooms: shares are taken whole and in turn, what is free is lent, and nothing gets lost."""

from __future__ import annotations

from functools import partial
from random import Random

import anyio
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.concurrency import run_all
from agentflow_core.synthesis.rooms import Room, SessionPool, Share


def pool(share: int, **totals: int) -> SessionPool:
    async def told() -> dict[str, int]:
        return totals

    return SessionPool(share, told)


async def settled() -> None:
    for _ in range(5):
        await checkpoint()


async def test_a_tree_gets_its_share_of_every_backend_or_as_many_as_there_are():
    shares = await pool(4, bash=64, vm=2).reserve(["vm", "bash"])
    assert {name: share.size for name, share in shares.items()} == {"bash": 4, "vm": 2}


async def test_the_next_tree_waits_until_a_share_is_given_back_whole():
    rooms = pool(2, bash=3)
    first = (await rooms.reserve(["bash"]))["bash"]
    got = []

    async def second() -> None:
        got.append(await rooms.reserve(["bash"]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        await settled()
        assert got == []
        first.end()
        await settled()
        assert len(got) == 1


async def test_what_nobody_else_has_a_use_for_is_lent():
    rooms = pool(1, bash=3)
    share = (await rooms.reserve(["bash"]))["bash"]
    with anyio.fail_after(5):
        for _ in range(3):
            await share.take()


async def test_what_is_lent_is_given_back_to_a_tree_that_waits_for_its_share():
    rooms = pool(1, bash=2)
    first = (await rooms.reserve(["bash"]))["bash"]
    await first.take()
    await first.take()
    got = []

    async def second() -> None:
        got.append(await rooms.reserve(["bash"]))

    async def third() -> None:
        await first.take()
        got.append("a third session of the first tree")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        tasks.start_soon(third)
        await settled()
        first.give()
        await settled()
        assert [isinstance(item, dict) for item in got] == [True]
        first.give()
        await settled()
        assert len(got) == 2


async def test_who_waits_for_more_gets_what_another_tree_no_longer_needs():
    rooms = pool(1, bash=3)
    first, second = [(await rooms.reserve(["bash"]))["bash"] for _ in range(2)]
    for share in (first, first, second):
        await share.take()
    got = []

    async def more() -> None:
        await second.take()
        got.append("more")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(more)
        await settled()
        assert got == []
        first.give()
        await settled()
        assert got == ["more"]


async def test_a_wait_that_is_cancelled_takes_nothing():
    room = Room(1)
    share = Share(room, 0)
    await room.take(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(share.take)
        tasks.start_soon(room.take, 1)
        await settled()
        tasks.cancel_scope.cancel()
    room.give(1)
    assert room.try_take(1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), total=st.integers(1, 6), size=st.integers(1, 4), trees=st.integers(1, 6))
def test_everybody_gets_through_and_no_more_are_in_use_than_there_are(seed, total, size, trees):
    rng = Random(seed)
    rooms = pool(size, bash=total)
    in_use = 0

    async def session(share: Share) -> None:
        nonlocal in_use
        await share.take()
        in_use += 1
        assert in_use <= total
        try:
            for _ in range(rng.randrange(4)):
                await checkpoint()
        finally:
            in_use -= 1
            share.give()

    async def tree() -> None:
        share = (await rooms.reserve(["bash"]))["bash"]
        try:
            for _ in range(rng.randrange(3)):
                await run_all([partial(session, share)] * rng.randrange(1, 8))
        finally:
            share.end()

    async def tree_that_is_given_up() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tree)
            for _ in range(rng.randrange(12)):
                await checkpoint()
            tasks.cancel_scope.cancel()

    async def everybody() -> None:
        with anyio.fail_after(10):
            await run_all([tree, tree_that_is_given_up] * trees)
            shares = await rooms.reserve(["bash"])
            assert shares["bash"].size == min(size, total)

    anyio.run(everybody)
