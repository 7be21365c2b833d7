"""A held connection to a display: what is on the screen is here already, and keys that are down are known."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Literal

import anyio
from anyio import BrokenResourceError, CancelScope, ClosedResourceError, current_time

from agentflow_core.concurrency import first_error
from agentflow_vm.rfb import messages
from agentflow_vm.rfb.clipboard import MAX_TEXT_BYTES, Clipboard
from agentflow_vm.rfb.cursor import Cursor
from agentflow_vm.rfb.errors import DisplayError, DisplayLost, ProtocolError
from agentflow_vm.rfb.framebuffer import Box, Framebuffer
from agentflow_vm.rfb.handshake import shake_hands
from agentflow_vm.rfb.incoming import Incoming
from agentflow_vm.rfb.messages import Encoding
from agentflow_vm.rfb.watching import Watch
from agentflow_vm.rfb.zrle import Zrle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from anyio.abc import ByteStream

__all__ = ["Display", "Press", "connected"]

#: Seconds for the handshake and the first picture, for a message that has begun, and for what we send.
HELLO_S: Final = 15.0
MESSAGE_S: Final = 30.0
SEND_S: Final = 10.0
#: The longest pause between two updates, which is as long as the last one took to draw.
_PAUSE_S: Final = 0.05
_MAX_COLOURS: Final = 1 << 16

#: A key that goes down or up: its keysym, its XT scancode (None if no key of the layout makes it), and whether down.
Press = tuple[int, int | None, bool]


class Display:
    """See the module; made by `connected`. Methods that talk to the server raise `DisplayError` once it is gone."""

    def __init__(self, stream: ByteStream, *, prefer: Literal["raw", "zrle"] = "raw") -> None:
        self._stream = stream
        self._incoming = Incoming(stream)
        self._encodings = (
            *((Encoding.RAW,) if prefer == "raw" else ()),
            *(Encoding.COPY_RECT, Encoding.ZRLE, Encoding.RAW, Encoding.DESKTOP_SIZE, Encoding.EXTENDED_DESKTOP_SIZE),
            *(Encoding.LAST_RECT, Encoding.CURSOR, Encoding.EXTENDED_KEY, Encoding.EXTENDED_CLIPBOARD),
        )
        self._sending = anyio.Lock()
        self._zrle = Zrle()
        self._watches: set[Watch] = set()
        self._whole = anyio.Event()  # set between updates
        self._first = anyio.Event()
        self._pressed: dict[int, int | None] = {}
        self._mask = 0
        self._takes_scancodes = False
        self.name = ""
        self.framebuffer = Framebuffer(1, 1)
        self.cursor: Cursor | None = None
        self.clipboard = Clipboard()
        self.pointer = (0, 0)
        self.failure: DisplayError | None = None

    async def open(self, password: str | None) -> None:
        """Shake hands and ask for the first picture."""
        screen = await shake_hands(self._incoming, self._send, password)
        self.name = screen.name
        self.framebuffer = Framebuffer(screen.width, screen.height)
        asked = messages.update_request(self.framebuffer.box, incremental=False)
        await self._send(messages.set_pixel_format() + messages.set_encodings(self._encodings) + asked)

    async def seen(self) -> None:
        """Wait for the first picture."""
        await self._first.wait()
        self._check()

    async def run(self) -> None:
        """Take in what the server sends until the connection ends; `failure` says how it ended then."""
        try:
            while True:
                kind = (await self._incoming.read(1))[0]
                with anyio.fail_after(MESSAGE_S):
                    await self._message(kind)
        except DisplayError as error:
            self._fail(error)
        except TimeoutError as error:
            lost = DisplayLost(f"the display did not finish a message within {MESSAGE_S:g} s")
            lost.__cause__ = error
            self._fail(lost)

    def _fail(self, error: DisplayError) -> None:
        if self.failure is None:
            self.failure = error
        self._first.set()
        self._whole.set()
        self.clipboard.lose()
        for watch in self._watches:
            watch.fail(error)

    def _check(self) -> None:
        if self.failure is not None:
            raise type(self.failure)(self.failure.message, hint=self.failure.hint) from self.failure

    async def _message(self, kind: int) -> None:
        if kind == 0:
            await self._update()
        elif kind == 1:
            head = await self._incoming.read(5)
            await self._incoming.skip(6 * int.from_bytes(head[3:]))
        elif kind == 3:
            await self._cut_text()
        elif kind != 2:  # a bell
            raise ProtocolError(f"the display sent a message of the unknown type {kind}")

    async def _cut_text(self) -> None:
        head = await self._incoming.read(7)
        size = int.from_bytes(head[3:], signed=True)
        if abs(size) > MAX_TEXT_BYTES:
            await self._incoming.skip(abs(size))
        elif size >= 0:
            self.clipboard.heard(await self._incoming.read(size))
        elif answer := self.clipboard.extended(await self._incoming.read(-size)):
            await self._send(answer)

    async def _update(self) -> None:
        began = current_time()
        count = int.from_bytes((await self._incoming.read(3))[1:])
        drawn: list[Box] = []
        size = (self.framebuffer.width, self.framebuffer.height)
        if self._whole.is_set():
            self._whole = anyio.Event()
        while count:
            head = await self._incoming.read(12)
            box = Box(*(int.from_bytes(head[at : at + 2]) for at in (0, 2, 4, 6)))
            encoding = int.from_bytes(head[8:], signed=True)
            if encoding == Encoding.LAST_RECT:
                break
            if await self._rectangle(box, encoding) and len(drawn) < 64:
                drawn.append(box)
            count -= 1
        resized = size != (self.framebuffer.width, self.framebuffer.height)
        if resized or len(drawn) == 64:
            drawn = [self.framebuffer.box]
        self._whole.set()
        if drawn and not resized:
            self._first.set()
        for watch in self._watches:
            watch.saw(drawn)
        if drawn:
            # at most half of the time goes into a screen that never rests
            await anyio.sleep(min(current_time() - began, _PAUSE_S))
        await self._send(messages.update_request(self.framebuffer.box, incremental=not resized))

    async def _rectangle(self, box: Box, encoding: int) -> bool:
        """Take one in; whether it drew."""
        frame, incoming = self.framebuffer, self._incoming
        if encoding == Encoding.RAW:
            frame.check(box)
            view = memoryview(frame.pixels)
            for row in [frame.whole(box)] if box.width == frame.width else frame.rows(box):
                await incoming.fill(view[row])
            frame.version += 1
        elif encoding == Encoding.COPY_RECT:
            source = await incoming.read(4)
            frame.copy(int.from_bytes(source[:2]), int.from_bytes(source[2:]), box)
        elif encoding == Encoding.ZRLE:
            frame.check(box)
            size = int.from_bytes(await incoming.read(4))
            if size > Zrle.most_bytes(box):
                raise ProtocolError(f"the display announces {size} bytes for {box.width}x{box.height} pixels")
            self._zrle.draw(frame, box, await incoming.read(size))
        elif encoding == Encoding.CURSOR:
            self.cursor = await Cursor.read(incoming, box)
            return False
        elif encoding == Encoding.DESKTOP_SIZE:
            frame.resize(box.width, box.height)
        elif encoding == Encoding.EXTENDED_DESKTOP_SIZE:
            screens = (await incoming.read(4))[0]
            await incoming.skip(16 * screens)
            if box.y != 0 or (box.width, box.height) == (frame.width, frame.height):
                return False  # a refused request, or no change
            frame.resize(box.width, box.height)
        elif encoding == Encoding.EXTENDED_KEY:
            self._takes_scancodes = True
            return False
        else:
            raise ProtocolError(f"the display sent a rectangle of the form {encoding}, which was not asked for")
        return box.width * box.height > 0

    @contextmanager
    def watch(self, box: Box | None = None) -> Iterator[Watch]:
        """See what changes from here on, in a part of the screen or in all of it."""
        watch = Watch(box)
        if self.failure is not None:
            watch.fail(self.failure)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    async def frame(self) -> Framebuffer:
        """The picture between two updates; use it before anything is awaited."""
        with anyio.move_on_after(1.0):  # one that takes longer is better seen half than not at all
            while not self._whole.is_set():
                await self._whole.wait()
        self._check()
        return self.framebuffer

    async def keys(self, presses: Iterable[Press]) -> None:
        """Let keys go down and up, in one go."""
        data = bytearray()
        for keysym, scancode, down in presses:
            if down:
                self._pressed[keysym] = scancode
            else:
                self._pressed.pop(keysym, None)
            data += self._key(keysym, scancode, down=down)
        await self._send(bytes(data))

    def _key(self, keysym: int, scancode: int | None, *, down: bool) -> bytes:
        if self._takes_scancodes and scancode is not None:
            return messages.extended_key(keysym, scancode, down=down)
        return messages.key(keysym, down=down)

    async def point(self, x: int, y: int, *masks: int) -> None:
        """Move the pointer, and let buttons go down and up there in one go: each mask says which are down."""
        masks = masks or (self._mask,)
        self._mask = masks[-1]
        self.pointer = (x, y)
        await self._send(b"".join(messages.pointer(x, y, mask) for mask in masks))

    @property
    def held(self) -> int:
        """The mask of buttons that are down."""
        return self._mask

    async def release(self) -> None:
        """Let go of all keys and buttons, whatever happens around; does nothing where nothing is held."""
        if (not self._pressed and not self._mask) or self.failure is not None:
            return
        with CancelScope(shield=True):
            presses = [(keysym, scancode, False) for keysym, scancode in reversed(self._pressed.items())]
            await self.keys(presses)
            if self._mask:
                await self.point(*self.pointer, 0)

    async def put_clipboard(self, text: str) -> None:
        """Offer a text to the server's clipboard; raises ValueError where it cannot be carried."""
        await self._send(self.clipboard.offer(text))

    async def get_clipboard(self) -> str | None:
        """The text of the server's clipboard."""
        await self.clipboard.settled()
        self._check()
        return self.clipboard.text

    async def _send(self, data: bytes) -> None:
        """Send a whole number of messages: what is half sent would garble all that follows."""
        self._check()
        if not data:
            return
        async with self._sending:
            with CancelScope(shield=True), anyio.move_on_after(SEND_S) as scope:
                try:
                    await self._stream.send(data)
                except (BrokenResourceError, ClosedResourceError, OSError) as error:
                    self._fail(DisplayLost("the display's connection has ended"))
                    assert self.failure is not None
                    raise self.failure from error
            if scope.cancelled_caught:
                self._fail(DisplayLost(f"the display took nothing for {SEND_S:g} s"))
        self._check()


@asynccontextmanager
async def connected(
    stream: ByteStream, *, password: str | None = None, prefer: Literal["raw", "zrle"] = "raw"
) -> AsyncIterator[Display]:
    """A display on a connection, with its first picture; at the end keys are released and the connection is closed.

    ``prefer``: the form of updates: ``raw`` where bytes cost nothing, ``zrle`` where they travel.

    Raises:
        DisplayError: it does not speak RFB, refuses us, or shows nothing within `HELLO_S`.
    """
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            display = Display(stream, prefer=prefer)
            try:
                try:
                    with anyio.fail_after(HELLO_S):
                        await display.open(password)
                        tasks.start_soon(display.run, name="display")
                        await display.seen()
                except TimeoutError as error:
                    raise DisplayLost(f"the display showed nothing within {HELLO_S:g} s") from error
                yield display
            finally:
                with CancelScope(shield=True), anyio.move_on_after(SEND_S):
                    try:
                        await display.release()
                    except DisplayError as error:  # it is gone, and so are its keys
                        display.failure = error
                tasks.cancel_scope.cancel()
                with CancelScope(shield=True), anyio.move_on_after(SEND_S):
                    await stream.aclose()
    except BaseExceptionGroup as errors:  # the task group wraps what went wrong within
        failure = first_error(errors)
    if failure is not None:
        raise failure
