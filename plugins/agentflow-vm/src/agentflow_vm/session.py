"""One session: its machine, the display that is held open, and what was last seen of it."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio import current_time
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from agentflow_core.concurrency import first_error
from agentflow_core.errors import SandboxError
from agentflow_vm.config import VmConfig
from agentflow_vm.keyboard import SHIFT, presses
from agentflow_vm.machines.machine import Guest, Machine, Settling
from agentflow_vm.png import Picture, png
from agentflow_vm.recording import Recording
from agentflow_vm.rfb.display import Display, connected
from agentflow_vm.rfb.errors import DisplayError
from agentflow_vm.rfb.framebuffer import Box

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anyio.abc import TaskStatus

    from agentflow_vm.rfb.watching import Watch

__all__ = ["Effect", "Shot", "VmSession", "opened"]

#: In which a server sends what programs have drawn: some of its frames.
_SENT_S: Final = 0.05


@frozen(kw_only=True)
class Shot:
    """A picture of the screen, or of a part of it, as PNG."""

    data: bytes = field(repr=False)
    box: Box  #: of the screen
    width: int  #: of the picture
    height: int
    frame_id: str


@frozen(kw_only=True)
class Effect:
    """What became of the screen after something was done."""

    changed: bool
    frame_id: str


@define(kw_only=True, eq=False)
class VmSession:
    """See the module; what the tools of the backend get as ``state``."""

    machine: Machine
    config: VmConfig
    tasks: TaskGroup
    display: Display
    recording: Recording | None = None
    typed: set[int] = field(factory=set)  #: keysyms that no key of the layout had, since the keys were last made afresh
    _holding: anyio.CancelScope
    _stack: AsyncExitStack = field(factory=AsyncExitStack)
    _last_shown: str = ""
    _kept: tuple[object, Shot] | None = None

    @property
    def guest(self) -> Guest:
        """The way into the machine.

        Raises:
            SandboxError: ``unsupported``: there is none.
        """
        if self.machine.guest is None:
            raise SandboxError(
                f"the machine {self.machine.kind!r} has no way in beside its screen",
                code="unsupported",
                hint="use the screen, the mouse and the keyboard",
            )
        return self.machine.guest

    @asynccontextmanager
    async def using(self) -> AsyncIterator[Display]:
        """The display, for something that may go wrong: keys and buttons are released then, and a dead machine named.

        Raises:
            SandboxError: ``session_lost``: the machine is dead; ``display_error``: its display is.
        """
        await anyio.lowlevel.checkpoint()  # who looks in a loop at what is here already must see it end, too
        try:
            try:
                yield self.display
            except BaseException:
                await self._let_go()
                raise
        except DisplayError as error:
            if (reason := await self.machine.failure()) is not None:
                raise SandboxError(f"the machine is dead: {reason}", code="session_lost") from error
            raise

    async def _let_go(self) -> None:
        try:
            await self.display.release()
        except DisplayError as error:  # it is gone, and so are its keys; whoever uses it next is told
            self.display.failure = self.display.failure or error

    async def settle(self, watch: Watch) -> None:
        """Wait for programs to have taken in what was done, and for the screen to come to rest, ``settle_s`` at most."""
        quiet_s, least_s = self.config.stable_ms / 1000, 0.0
        with anyio.move_on_after(self.config.settle_s):
            if isinstance(self.machine.guest, Settling):
                began = current_time()
                await self.machine.guest.sync(self.config.settle_s)
                # what they have drawn by now is yet to be sent: the slower they were, the later
                least_s = max(_SENT_S, min(quiet_s, current_time() - began))
            await watch.stable(quiet_s, least_s=least_s)

    async def do(self, work: Callable[[Display], Awaitable[None]]) -> Effect:
        """Do something and wait for the screen to come to rest; what changed."""
        async with self.using() as display:
            before = (await display.frame()).digest()
            with display.watch() as watch:
                await work(display)
                await self.settle(watch)
            after = (await display.frame()).digest()
        return Effect(changed=before != after, frame_id=after)

    def box(self, region: list[int] | None) -> Box:
        """A part of the screen.

        Raises:
            SandboxError: ``invalid_argument``: it is empty or not on the screen.
        """
        screen = self.display.framebuffer.box
        if region is None:
            return screen
        x, y, width, height = region
        if width < 1 or height < 1 or x < 0 or y < 0 or x + width > screen.width or y + height > screen.height:
            raise SandboxError(
                f"region: {region} is not on the screen, which is {screen.width}x{screen.height}",
                code="invalid_argument",
                hint="give [x, y, width, height] within it",
            )
        return Box(x, y, width, height)

    def place(self, x: int, y: int, name: str = "") -> tuple[int, int]:
        """A place on the screen.

        Raises:
            SandboxError: ``invalid_argument``: it is off the screen.
        """
        screen = self.display.framebuffer
        if not (0 <= x < screen.width and 0 <= y < screen.height):
            raise SandboxError(
                f"{name}({x}, {y}) is off the screen, which is {screen.width}x{screen.height}",
                code="invalid_argument",
                hint=f"x is 0 to {screen.width - 1}, y is 0 to {screen.height - 1}",
            )
        return x, y

    async def look(self) -> tuple[Picture, str]:
        """The whole screen with its pointer, and what names it; raises as `using` does."""
        async with self.using() as display:
            if self.machine.has_stills:
                still = await self.machine.still()
                name = hashlib.blake2b(still.rgb, digest_size=8).hexdigest()
                return Picture(width=still.width, height=still.height, rgb=still.rgb), name
            frame = await display.frame()
            name, pixels = frame.digest(), frame.crop(frame.box)
            if display.cursor is not None:
                display.cursor.draw(pixels, frame.box, display.pointer)
            width, height = frame.width, frame.height
        return await anyio.to_thread.run_sync(Picture.of, width, height, pixels), name

    async def shot(self, box: Box, size: tuple[int, int]) -> Shot:
        """A picture of a part in some size; the last one is kept for as long as nothing changes."""
        key: object = None
        if not self.machine.has_stills:
            async with self.using() as display:
                name = (await display.frame()).digest()
                key = (name, box, size, display.pointer, id(display.cursor))
                if self._kept is not None and self._kept[0] == key:
                    return self._kept[1]
        picture, name = await self.look()

        def made() -> bytes:
            part = picture.cropped(box.x, box.y, box.width, box.height)
            return png(part if size == (box.width, box.height) else part.resized(*size))

        data = await anyio.to_thread.run_sync(made)
        shot = Shot(data=data, box=box, width=size[0], height=size[1], frame_id=name)
        if key is not None:
            self._kept = (key, shot)
        return shot

    def shown(self, frame_id: str) -> bool:
        """Remember what was shown; whether it is another than what was shown before."""
        last, self._last_shown = self._last_shown, frame_id
        return bool(last) and last != frame_id

    async def reconnect(self) -> None:
        """Connect to the display anew."""
        self._holding.cancel()
        self.display, self._holding = await self.tasks.start(_hold, self.machine)
        self._kept = None

    def hold(self, stack: AsyncExitStack) -> None:
        """Own what `aclose` closes."""
        self._stack = stack

    async def aclose(self) -> None:
        """Release the keys and end the machine."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


async def _hold(
    machine: Machine, *, task_status: TaskStatus[tuple[Display, anyio.CancelScope]] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Keep a connection to the display until cancelled: in a task of its own, so that any task can have it replaced."""
    with anyio.CancelScope() as scope:
        prefer: Literal["raw", "zrle"] = "zrle" if machine.kind == "remote" else "raw"
        stream = await machine.connect_display()
        async with connected(stream, password=machine.password, prefer=prefer) as display:
            task_status.started((display, scope))
            await anyio.sleep_forever()


async def opened(machine: Machine, config: VmConfig, *, is_running: bool = False) -> VmSession:
    """A session with a machine that was not started yet, or ``is_running`` as a fork is. Leaves nothing when it fails."""
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_ended, machine)
            if not is_running:
                await machine.start()
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            display, scope = await tasks.start(_hold, machine)
            session = VmSession(machine=machine, config=config, tasks=tasks, display=display, holding=scope)
            if not is_running:
                async with session.using():
                    if machine.unicode == "keysym":
                        # At the first key, an X server copies the keyboard's layout over what it has added for us.
                        await display.keys(presses([SHIFT]))
                    with display.watch() as watch:
                        await machine.begin()
                        if watch.changes:  # else nothing was started
                            await session.settle(watch)
            session.hold(stack.pop_all())
            return session
    except BaseExceptionGroup as errors:  # a task group wraps what went wrong beside it
        failure = first_error(errors)
    raise failure


async def _ended(machine: Machine) -> None:
    await machine.aclose()
