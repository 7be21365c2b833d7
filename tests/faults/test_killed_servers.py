"""A server is killed with all that it holds; the next one of its state directory leaves nothing of that."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from itertools import count

import anyio
import anyio.lowlevel
import httpx
import pytest

pytestmark = pytest.mark.serial


async def _open_many(server, backend, number, at_once=10):
    """Open sessions, each of another worker, each used once."""
    slots = anyio.CapacityLimiter(at_once)
    async with server.caller() as caller, anyio.create_task_group() as tasks:

        async def open_one(worker):
            async with slots:
                await caller.opened(backend, worker)
                assert (await caller.result(f"{backend}:echo", {"text": worker}, worker_id=worker)).text == worker

        for each in range(number):
            tasks.start_soon(open_one, f"w{each}")


async def test_of_fifty_sessions_of_a_killed_server_nothing_is_left(site, bwrap):
    server = site.serve(kind=bwrap)
    await _open_many(server, "den", 50)
    held = site.left()
    assert sum(one.startswith("process") for one in held) >= 50 * 5  # bubblewrap and its init, three of ours
    assert sum("/workspaces/" in one for one in held) == 50
    server.kill()
    again = site.serve(port=server.port, kind=bwrap)
    await site.nothing_is_left()
    assert again.log.read_text() == ""
    await _open_many(again, "den", 2)
    again.signal(signal.SIGTERM)
    assert await again.ended() == 0
    await site.nothing_is_left()


async def test_processes_that_outlive_their_server_are_found_and_killed(site):
    server = site.serve(kind="none")
    await _open_many(server, "den", 10)
    server.kill()
    survivors = [one for one in site.left() if one.startswith("process")]
    assert len(survivors) >= 10 * 2  # the children; the first ones may have ended with their input
    site.serve(kind="none")
    await site.nothing_is_left()


async def test_of_containers_of_a_killed_server_nothing_is_left(site, docker_engine):
    options = ("--set", f"launcher.image={docker_engine.image}")
    server = site.serve(*options, kind="docker")
    await _open_many(server, "den", 5)
    ours = {"label": "agentflow.session", "name": site.tag}
    assert len(docker_engine.client.containers.list(all=True, filters=ours)) == 5
    assert sum(one.startswith("process") for one in site.left()) >= 5 * 3
    server.kill()
    site.serve(*options, kind="docker", port=server.port)
    await site.nothing_is_left()
    assert docker_engine.client.containers.list(all=True, filters=ours) == []


async def _bustle(server, seed):
    """A client that creates, calls and closes until the server is gone."""
    rng = random.Random(seed)
    worker = f"w{seed}"
    async with server.caller() as caller:
        try:
            for each in count():
                match rng.choice(("create", "call", "call", "close", "leave")):
                    case "create":
                        answer = await caller.create("den", worker)
                    case "call":
                        answer = await caller.execute("den:echo", {"text": f"{each}"}, worker_id=worker)
                    case "close":
                        mine = await caller.sessions(worker_id=worker)
                        named = mine[0]["id"] if mine else await caller.opened("den", worker)
                        answer = await caller.delete(f"/v1/sessions/{named}")
                    case "leave":
                        answer = await caller.delete(f"/v1/workers/{worker}")
                assert answer.status_code in (200, 201), answer.text
        except httpx.TransportError:
            return


async def _killed_in_a_bustle(site, seed):
    rng = random.Random(seed)
    server = site.serve()
    async with anyio.create_task_group() as tasks:
        for each in range(20):
            tasks.start_soon(_bustle, server, 100 * seed + each)
        await anyio.sleep(rng.choice((rng.uniform(0, 0.15), rng.uniform(0.15, 1.2))))
        server.kill()
    again = site.serve()
    await site.nothing_is_left()
    assert again.log.read_text() == ""
    again.signal(signal.SIGTERM)
    assert await again.ended() == 0


@pytest.mark.parametrize("seed", range(5))
async def test_of_a_server_killed_at_any_moment_nothing_is_left(site, bwrap, seed):
    await _killed_in_a_bustle(site, seed)


@pytest.mark.soak
async def test_of_fifty_servers_killed_at_any_moment_nothing_is_left(site, bwrap):
    for seed in range(1000, 1050):
        await _killed_in_a_bustle(site, seed)


async def test_of_a_server_killed_while_its_launcher_opens_nothing_is_left(site, bwrap):
    server = site.serve(kind=bwrap)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_bustle, server, 1)
        with anyio.fail_after(10):
            while not list((site.folder / "runtime").iterdir()):
                await anyio.lowlevel.checkpoint()
        server.kill()
    site.serve(kind=bwrap)
    await site.nothing_is_left()


async def _killed_with_three_sessions(site):
    server = site.serve()
    await _open_many(server, "den", 3)
    server.kill()
    [journal] = site.journals
    return journal


def _overwrite(journal):
    for file in journal.glob("taken.sqlite*"):
        file.write_bytes(b"no database " * 1000)


def _cut(journal):
    for file in journal.glob("taken.sqlite*"):
        os.truncate(file, 100)


def _spoil_a_row(journal):
    with closing(sqlite3.connect(journal / "taken.sqlite", isolation_level=None)) as database:
        database.execute("INSERT INTO taken VALUES ('spoiled', x'ff00')")


@pytest.mark.parametrize("damage", [_overwrite, _cut])
async def test_a_journal_that_cannot_be_read_is_told_kept_and_no_hindrance(site, bwrap, damage):
    journal = await _killed_with_three_sessions(site)
    damage(journal)
    again = site.serve()
    told = again.log.read_text()
    assert told.count("WARNING") == 1
    assert "the ownership journal of an engine that is gone cannot be read" in told
    assert str(journal.with_name(f"unreadable-{journal.name}")) in told
    assert str(site.state / "workspaces") in told
    await _open_many(again, "den", 2)
    again.kill()
    third = site.serve()
    assert third.log.read_text() == ""
    assert len(list((site.state / "workspaces").iterdir())) == 3


async def test_the_rows_of_a_journal_that_can_be_read_are_followed(site, bwrap):
    _spoil_a_row(await _killed_with_three_sessions(site))
    again = site.serve()
    assert "row 'spoiled'" in again.log.read_text()
    assert [one for one in site.left() if "unreadable" not in one] == []


async def test_a_journal_that_cannot_be_opened_now_is_left_to_the_next_start(site, bwrap):
    journal = await _killed_with_three_sessions(site)
    (journal / "taken.sqlite").rename(journal / "aside")
    (journal / "taken.sqlite").mkdir()
    site.serve().kill()
    assert "is left to the next start: unable to open" in site.running[-1].log.read_text()
    (journal / "taken.sqlite").rmdir()
    (journal / "aside").rename(journal / "taken.sqlite")
    site.serve()
    await site.nothing_is_left()


async def test_what_a_killed_server_had_only_begun_is_no_journal(site):
    ownership = site.state / "ownership"
    for name, age_s in (("engine-young", 0), ("engine-old", 100)):
        (ownership / name).mkdir(parents=True)
        (ownership / name / "lock.new").touch()
        then = (ownership / name).stat().st_mtime - age_s
        os.utime(ownership / name, (then, then))
    (ownership / "engine-empty").mkdir()
    (ownership / "engine-empty" / "lock").touch()
    with closing(sqlite3.connect(ownership / "engine-empty" / "taken.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    server = site.serve()
    assert [each.name for each in site.journals] == ["engine-young"]
    assert server.log.read_text() == ""
