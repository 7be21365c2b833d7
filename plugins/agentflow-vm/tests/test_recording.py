"""What a recording keeps, on a screen that shows what a test says."""

from __future__ import annotations

from contextlib import contextmanager

import anyio
import anyio.lowlevel
import pytest

from agentflow_vm.png import Picture
from agentflow_vm.recording import Recording
from agentflow_vm.rfb.errors import DisplayLost
from agentflow_vm.rfb.framebuffer import Framebuffer
from agentflow_vm.rfb.watching import Watch


class Screen:
    """A session and its display, as far as recordings know them."""

    def __init__(self) -> None:
        self.display = self
        self.framebuffer = Framebuffer(2, 1)
        self.shows = "first"
        self.is_lost = False
        self.is_quick = anyio.Event()
        self.is_quick.set()

    @contextmanager
    def watch(self):
        yield Watch(None)

    async def look(self):
        await anyio.lowlevel.checkpoint()
        if self.is_lost:
            raise DisplayLost("it has ended")
        seen = self.shows
        with anyio.CancelScope(shield=True):  # as a thread
            await self.is_quick.wait()
        return Picture(width=2, height=1, rgb=bytes(6)), seen


@pytest.fixture
async def screen():
    return Screen()


@pytest.fixture
async def tasks():
    async with anyio.create_task_group() as tasks:
        yield tasks


async def test_a_change_just_before_the_end_is_kept(screen, tasks):
    recording = Recording(screen, fps=0.1, max_frames=2)
    tasks.start_soon(recording.run)
    await anyio.wait_all_tasks_blocked()
    screen.shows = "second"
    assert (await recording.stop())[1] == 2
    assert not recording.is_full


async def test_more_than_it_may_hold_is_told(screen, tasks):
    recording = Recording(screen, fps=0.1, max_frames=1)
    tasks.start_soon(recording.run)
    await anyio.wait_all_tasks_blocked()
    screen.shows = "second"
    assert (await recording.stop())[1] == 1
    assert recording.is_full


async def test_a_first_picture_that_takes_its_time_is_taken_once(screen, tasks):
    screen.is_quick = anyio.Event()
    recording = Recording(screen, fps=0.1, max_frames=9)
    tasks.start_soon(recording.run)
    await anyio.wait_all_tasks_blocked()
    counts = []

    async def stop():
        counts.append((await recording.stop())[1])

    async with anyio.create_task_group() as stopping:
        stopping.start_soon(stop)
        await anyio.wait_all_tasks_blocked()
        screen.is_quick.set()
    assert counts == [1]


async def test_what_was_recorded_outlives_the_display(screen, tasks):
    recording = Recording(screen, fps=0.1, max_frames=9)
    tasks.start_soon(recording.run)
    await anyio.wait_all_tasks_blocked()
    screen.is_lost = True
    assert (await recording.stop())[1] == 1


async def test_a_display_that_was_never_seen_cannot_be_recorded(screen, tasks):
    screen.is_lost = True
    recording = Recording(screen, fps=0.1, max_frames=9)
    tasks.start_soon(recording.run)
    with pytest.raises(DisplayLost):
        await recording.stop()
