"""The control folder of a session: FIFOs between this process and the shell, its supervisor and its jobs."""

from __future__ import annotations

import os
import secrets
import select
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers import Confined

__all__ = ["SUPERVISOR", "Control", "Garbled", "Message"]

_DRIVER: Final = Path(__file__).with_name("driver")
#: What is put into the control folder, by its name there.
_FILES: Final = {name: (_DRIVER / name).read_bytes() for name in ("bash", "shell.sh", "supervisor.sh", "terminal.py")}
#: The script of a session's first process, which is then told where the rest of it is.
SUPERVISOR: Final = (
    'start() { BASH_ENV=$control/shell.sh exec "$BASH" --norc --noprofile -s <"$control/commands" >/dev/null; }; '
    'read -r alone control || exit; unset SHLVL OLDPWD; set -m; start & . "$control/supervisor.sh"'
)

#: How many fields follow the letter that a message begins with.
_FIELDS: Final = {b"r": 3, b"x": 1, b"g": 1, b"s": 1, b"k": 2}
#: Which field is a number.
_NUMBERS: Final = {b"r": 2, b"g": 1, b"s": 1}
_LONGEST_MESSAGE: Final = 256 * 1024
_LARGEST_STATE: Final = 8 * 1024 * 1024
#: Seconds in which the supervisor answers an order, also on a busy machine.
ORDER_S: Final = 10.0
#: Seconds in which a new shell answers.
START_S: Final = 20.0

Message = tuple[bytes, ...]


class Garbled(Exception):
    """What came is no message: a command wrote there, and nothing that is said can be relied on any more."""


class Control:
    """See the module. One task at a time sends, orders and waits.

    Whatever waits raises `EndOfStream` when the session has ended, and `Garbled`.
    """

    def __init__(self, confined: Confined) -> None:
        self.confined = confined
        self.folder = confined.control.folder
        self.shell = 0  #: its number inside
        self._orders = self._starts = self._state = -1
        self._pending = bytearray()
        self._fields: list[bytes] = []
        self._kept: deque[Message] = deque()
        self._dumped = bytearray()

    async def open(self) -> None:
        """Make the FIFOs and begin with the supervisor; raises `SandboxError` if that does not answer."""
        confined = self.confined
        alone = "y" if confined.enforced.get("processes") == "pid-namespace" else "n"
        try:
            for name, content in _FILES.items():
                (self.folder / name).write_bytes(content)
            self._state = self.open_fifo("state", os.O_RDWR)
            self._starts = self.open_fifo("starts", os.O_RDWR)
            opening = self.open_fifo("orders", os.O_RDWR)
            try:
                with anyio.fail_after(START_S):
                    await confined.stdin.send(f"{alone} {confined.control.inside}\n".encode())
                    await self._started()
                self._orders = self.open_fifo("orders", os.O_WRONLY)  # from now on the supervisor is its only reader
            finally:
                os.close(opening)
        except (BrokenResourceError, EndOfStream, TimeoutError, Garbled) as error:
            await confined.kill()
            said = (await confined.stderr.read_all()).decode(errors="replace").strip()
            raise SandboxError(
                f"the shell could not start: {said or 'it does not answer'}",
                code="provider_unavailable",
                hint="sessions need bash 5 or later; the setting shell of the backend says where it is",
            ) from error
        for stream in (confined.stdin, confined.stdout, confined.stderr):
            await stream.aclose()  # nothing more goes over them, and a server with many sessions needs the descriptors

    def close(self) -> None:
        """Close the FIFOs."""
        for fd in (self._orders, self._starts, self._state):
            if fd >= 0:
                os.close(fd)
        self._orders = self._starts = self._state = -1

    # ---- files and FIFOs

    def open_fifo(self, name: str, flags: int) -> int:
        """Open a FIFO that the session can open too, making it if it is not there. It never waits."""
        path = self.folder / name
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
            self._give(path)
        return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)

    def put(self, name: str, content: bytes) -> None:
        """Put a file there that the session can read."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o400)
        self._give(path)

    def _give(self, path: Path) -> None:
        if self.confined.uid is not None and os.geteuid() == 0:
            os.chown(path, self.confined.uid, self.confined.uid)

    def remove(self, name: str) -> None:
        """Remove a file or FIFO; whoever has it open keeps it."""
        with suppress(FileNotFoundError):
            (self.folder / name).unlink()

    # ---- to the shell and the supervisor

    async def send(self, frame: bytes) -> None:
        """Let the shell read that."""
        await self.confined.control.commands.send(frame)

    def _take_back(self) -> None:
        """Take back what the shell has not read: its successor would take it for the beginning of something."""
        commands = self.confined.control.commands.fileno()
        with suppress(BlockingIOError):
            while os.read(commands, 65536):
                pass

    async def order(self, word: str, *arguments: object) -> str:
        """Order the supervisor something and wait until it is done; returns what it said.

        Raises:
            TimeoutError: it does not answer.
        """
        name = secrets.token_hex(4)
        try:
            os.write(self._orders, " ".join([name, word, str(self.shell), *map(str, arguments)]).encode() + b"\n")
        except BlockingIOError as error:
            raise TimeoutError from error
        except BrokenPipeError as error:
            raise EndOfStream from error
        with anyio.fail_after(ORDER_S):
            return await self._answer(name.encode())

    async def _answer(self, name: bytes) -> str:
        while True:
            message = await self._receive()
            if message[:2] == (b"k", name):
                return message[2].decode(errors="replace")
            self._keep(message)

    async def start(self) -> None:
        """Start a shell in the place of the one that has ended; `Garbled` if that was not true."""
        if await self.order("there") == "y":
            raise Garbled
        self._take_back()
        self._forget_state()
        os.write(self._starts, b"\n")
        with anyio.fail_after(START_S):
            await self._started()

    async def _started(self) -> None:
        message = await self.message()
        if message[0] != b"s":
            raise EndOfStream
        self.shell = int(message[1])

    @property
    def is_alive(self) -> bool:
        """Is the supervisor there, without which nothing else is?"""
        poll = select.poll()
        poll.register(self._orders, 0)
        return not poll.poll(0)

    # ---- from them

    async def message(self) -> Message:
        """The next message of the shell, or of the supervisor about the shell."""
        while not self._kept:
            self._keep(await self._receive())
        return self._kept.popleft()

    def message_nowait(self) -> Message | None:
        """The next message that has come already."""
        while not self._kept and (message := self._parsed() or self._read()) is not None:
            self._keep(message)
        return self._kept.popleft() if self._kept else None

    def _keep(self, message: Message) -> None:
        if message[0] != b"k":  # an answer for which nobody waits any more
            self._kept.append(message)

    def _read(self) -> Message | None:
        try:
            data = os.read(self.confined.control.replies.fileno(), 65536)
        except BlockingIOError:
            return None
        if not data:
            raise EndOfStream
        self._pending += data
        return self._parsed()

    async def _receive(self) -> Message:
        while (message := self._parsed()) is None:
            try:
                self._pending += await self.confined.control.replies.receive()
            except (BrokenResourceError, ClosedResourceError) as error:
                raise EndOfStream from error
        return message

    def _parsed(self) -> Message | None:
        while (end := self._pending.find(b"\0")) >= 0:
            self._fields.append(bytes(self._pending[:end]))
            del self._pending[: end + 1]
            count = _FIELDS.get(self._fields[0])
            if count is None:
                raise Garbled
            if len(self._fields) == count + 1:
                message, self._fields = tuple(self._fields), []
                where = _NUMBERS.get(message[0])
                if where is not None and not (message[where].isdigit() and len(message[where]) < 10):
                    raise Garbled
                return message
        if len(self._pending) > _LONGEST_MESSAGE:
            raise Garbled
        return None

    # ---- the state of the shell

    def place(self) -> tuple[str, tuple[int, ...]]:
        """Where the shell is, and what runs in its background, as it told before its last message.

        Raises:
            Garbled: it did not.
        """
        while self._dumped.count(b"\0") < 2:
            try:
                self._dumped += os.read(self._state, 1 << 20)
            except BlockingIOError as error:
                raise Garbled from error
        cwd, jobs, rest = self._dumped.split(b"\0", 2)
        self._dumped = bytearray(rest)
        pids = tuple(int(pid) for pid in jobs.split() if pid.isdigit() and len(pid) < 10)
        return cwd.removesuffix(b"\n").decode("utf-8", "surrogateescape"), pids

    async def state(self, token: str) -> bytes | None:
        """What makes up the shell, as it was told after the command of that token; None if it is too much to keep.

        Raises:
            TimeoutError: it does not come to its end, as when the shell was killed meanwhile.
        """
        end = b"\0" + token.encode() + b"\0"
        is_large = is_over = False
        with anyio.fail_after(ORDER_S):
            while not self._dumped.endswith(end):
                try:
                    self._dumped += os.read(self._state, 1 << 20)
                except BlockingIOError:
                    if (message := self._parsed() or self._read()) is not None:
                        self._keep(message)
                    if is_over:
                        raise TimeoutError from None
                    is_over = any(kept[0] == b"g" for kept in self._kept)  # what it told last has come by then
                    if is_over:
                        continue
                    with anyio.move_on_after(0.05):
                        await anyio.wait_readable(self._state)
                if len(self._dumped) > _LARGEST_STATE:
                    is_large = True
                    del self._dumped[: -len(end)]
        dumped = bytes(self._dumped[: -len(end)])
        self._dumped.clear()
        return None if is_large else dumped

    def _forget_state(self) -> None:
        """Drop what was not told to its end."""
        self._dumped.clear()
        with suppress(BlockingIOError):
            while os.read(self._state, 1 << 20):
                pass
