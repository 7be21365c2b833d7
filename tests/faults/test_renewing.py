"""Renewals that race expiry: a session is renewed and lives, or has expired and says so; never both, never neither."""

from __future__ import annotations

import random
import time
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Backend, Catalog, LimitsConfig, SandboxEngine, tool

ROUNDS = 1000


class Rooms(Backend):
    """Counts its sessions; a cleanup takes a few turns of the loop."""

    def __init__(self):
        self.opened = self.cleaned = 0

    async def initialize(self, session):
        self.opened += 1
        return session.id

    async def cleanup(self, state):
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        self.cleaned += 1

    @tool
    async def look(self, state: str) -> str:
        """Look."""
        await anyio.lowlevel.checkpoint()
        return state


@asynccontextmanager
async def _engine(folder, clock, ttl_s):
    rooms = Rooms()
    catalog = Catalog.of(rooms=lambda: rooms)
    limits = {"rooms": LimitsConfig(idle_ttl_s=ttl_s, max_sessions=200)}
    async with SandboxEngine(catalog, state_dir=folder, blobs=BlobStore(folder), limits=limits, clock=clock) as engine:
        await engine.warmup()
        yield engine, rooms


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self):
        return self.now


async def test_with_a_clock_that_stands_still_a_thousand_races_have_one_winner_each(tmp_path):
    rng = random.Random(7)
    clock = Clock()
    won = {"renewed": 0, "expired": 0}
    async with _engine(tmp_path, clock, 10.0) as (engine, rooms):
        name = ""
        for _ in range(ROUNDS):
            if not name:
                name = (await engine.create_session("w", {"rooms": None}))["rooms"].id
            outcome = []

            async def renew(name=name, outcome=outcome):
                for _ in range(rng.randrange(4)):
                    await anyio.lowlevel.checkpoint()
                try:
                    outcome.append((await engine.renew("w", name)).state)
                except SandboxError as error:
                    outcome.append(error.code)

            async def sweep():
                for _ in range(rng.randrange(4)):
                    await anyio.lowlevel.checkpoint()
                engine.sweep()

            async def call(name=name):
                if rng.random() < 0.3:
                    await engine.execute("w", "rooms:look", session=name)

            clock.now += rng.choice((9.999, 10.0, 10.0, 10.001))
            async with anyio.create_task_group() as tasks:
                for each in rng.sample((renew, sweep, call), 3):
                    tasks.start_soon(each)
            if outcome[0] in ("ready", "busy"):
                won["renewed"] += 1
                clock.now += 9.999
                engine.sweep()
                assert (await engine.execute("w", "rooms:look", session=name)).text == name
                assert [one.id for one in await engine.list_sessions("w")] == [name]
            else:
                assert outcome == ["session_expired"]
                won["expired"] += 1
                assert (await engine.execute("w", "rooms:look", session=name)).code == "session_expired"
                await engine.close_worker("w")
                assert await engine.list_sessions("w") == ()
                name = ""
            assert rooms.opened - rooms.cleaned == bool(name)
    assert rooms.opened == rooms.cleaned
    assert min(won.values()) > ROUNDS / 10


async def test_in_real_time_a_thousand_renewals_each_hold_for_the_time_to_live(tmp_path):
    ttl_s, sessions = 0.1, 100
    rng = random.Random(11)
    renewals = 0
    refusals = []
    async with _engine(tmp_path, time.monotonic, ttl_s) as (engine, rooms):

        async def live(worker):
            nonlocal renewals
            name = (await engine.create_session(worker, {"rooms": None}))["rooms"].id
            for _ in range(ROUNDS // sessions):
                await anyio.sleep(rng.uniform(0.3, 1.6) * ttl_s)
                renewed_at = time.monotonic()
                try:
                    await engine.renew(worker, name)
                except SandboxError as error:
                    refusals.append(error.code)
                    name = (await engine.create_session(worker, {"rooms": None}))["rooms"].id
                    continue
                renewals += 1
                await anyio.sleep(rng.uniform(0, 1.1) * ttl_s)
                asked_after_s = time.monotonic() - renewed_at
                result = await engine.execute(worker, "rooms:look", session=name)
                if not result.ok:
                    assert result.code == "session_expired"
                    assert asked_after_s >= ttl_s
                    name = (await engine.create_session(worker, {"rooms": None}))["rooms"].id

        async with anyio.create_task_group() as tasks:
            for number in range(sessions):
                tasks.start_soon(live, f"w{number}")
        with anyio.fail_after(10):
            while await engine.list_sessions():  # noqa: ASYNC110 - the engine's own sweep closes them
                await anyio.sleep(0.01)
        assert rooms.opened == rooms.cleaned
    assert renewals > 0
    assert set(refusals) == {"session_expired"}
