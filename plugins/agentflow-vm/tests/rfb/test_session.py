"""A session on a display that does what a test says."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import anyio
import anyio.lowlevel
import pytest

from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig
from agentflow_vm.session import VmSession


class SlowGuest:
    """A guest whose programs take longer than the screen must be at rest; of it, only `sync` is called."""

    def __init__(self) -> None:
        self.synced = anyio.Event()

    async def sync(self, timeout_s):
        await anyio.sleep(0.3)
        self.synced.set()

    async def never(self):
        raise NotImplementedError

    run = launch = read_file = write_file = never


@pytest.fixture
async def session_of():
    """A session on a display: ``session_of(display, guest, stable_ms=…)``."""
    async with anyio.create_task_group() as tasks:

        def made(display, guest=None, **settings):
            machine = SimpleNamespace(kind="xvnc", guest=guest, has_stills=False)
            return VmSession(
                machine=machine,
                config=VmConfig(**settings),
                tasks=tasks,
                display=display,
                holding=anyio.CancelScope(),
            )

        yield made


async def test_what_the_server_sends_just_after_programs_have_drawn_it_is_seen(shown, session_of):
    async with shown() as (display, server):
        guest = SlowGuest()
        session = session_of(display, guest, stable_ms=200)

        async def paint():
            await guest.synced.wait()
            await server.update(server.raw(bytes(4)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(paint)
            effect = await session.do(lambda display: display.point(1, 1))
        assert effect.changed


async def test_a_double_click_goes_out_in_one_go(shown, session_of):
    async with shown() as (display, server):
        await VmBackend().click(session_of(display, stable_ms=10), 3, 2, count=2)
        moved, clicked = await server.wire.receive(), await server.wire.receive()
        assert moved == struct.pack(">BBHH", 5, 0, 3, 2)
        assert clicked == b"".join(struct.pack(">BBHH", 5, mask, 3, 2) for mask in (1, 0, 1, 0))


async def test_others_get_their_turn_while_somebody_looks_again_and_again(shown, session_of):
    async with shown() as (display, _):
        session = session_of(display)
        box = display.framebuffer.box
        came = anyio.Event()
        await session.shot(box, (8, 4))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.lowlevel.checkpoint)
            tasks.start_soon(_set, came)
            for _ in range(10):
                await session.shot(box, (8, 4))
            assert came.is_set()


async def _set(event):
    event.set()
