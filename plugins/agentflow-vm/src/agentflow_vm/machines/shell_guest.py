"""A way into a machine through its shell: what runs there reads and writes files and starts programs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.backend import FileSlice
from agentflow_vm.machines.machine import Ran

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["READ_S", "ClippingGuest", "Executed", "Executor", "ShellGuest"]

#: Of a file, in one answer or question.
_PART_BYTES: Final = 4 << 20
#: Seconds for what does not take any time.
READ_S: Final = 60.0
_NO_PROGRAM: Final = 127

_LAUNCH: Final = """
command -v -- "$1" > /dev/null || exit 127
setsid -- "$@" < /dev/null > /dev/null 2>&1 &
echo $!
"""
_IN: Final = 'cd -- "$1" || exit 126; shift; command -v -- "$1" > /dev/null || exit 127; exec "$@"'
_READ: Final = """
[ -e "$1" ] || exit 20
[ -f "$1" ] || exit 21
stat -Lc %s -- "$1" || exit 22
tail -c +"$2" -- "$1" | head -c "$3"
"""
_WRITE: Final = """
[ -d "$1" ] && exit 21
mkdir -p -- "$(dirname -- "$1")" || exit 22
cat >> "$1.part-$2" || { rm -f -- "$1.part-$2"; exit 23; }
[ "$3" = more ] || mv -f -- "$1.part-$2" "$1"
"""


@frozen(kw_only=True)
class Executed:
    """How a program ended, 128 + n after signal n."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)


class Executor(Protocol):
    """Runs programs in a machine."""

    async def __call__(self, argv: Sequence[str], *, timeout_s: float, given: bytes) -> Executed:
        """Run a program as the user of the desktop, in the user's home, with that on its stdin, to its end.

        It is killed when its time is over.
        """
        ...


class ShellGuest:
    """See `agentflow_vm.machines.machine.Guest`. The machine needs a POSIX shell and coreutils."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._written = 0

    async def run(
        self, argv: tuple[str, ...], *, timeout_s: float, cwd: str | None = None, max_output_bytes: int = 1 << 20
    ) -> Ran:
        """See `Guest.run`."""
        command = ["sh", "-c", _IN, "sh", cwd or ".", *argv]
        began = time.monotonic()
        ended = await self._executed(command, timeout_s=timeout_s)
        timed_out = ended.exit_code == 128 + 9 and time.monotonic() - began >= timeout_s
        if ended.exit_code == _NO_PROGRAM and not ended.stdout and not ended.stderr:
            raise SandboxError(f"the machine has no program {argv[0]!r}", code="not_found")
        stdout, stderr = ended.stdout, ended.stderr
        kept = stdout[:max_output_bytes]
        also = stderr[: max_output_bytes - len(kept)]
        return Ran(
            exit_code=None if timed_out else ended.exit_code,
            stdout=kept,
            stderr=also,
            timed_out=timed_out,
            omitted_bytes=len(stdout) + len(stderr) - len(kept) - len(also),
        )

    async def launch(self, argv: tuple[str, ...], *, cwd: str | None = None) -> int:
        """See `Guest.launch`."""
        ran = await self.run(("sh", "-c", _LAUNCH, "sh", *argv), timeout_s=READ_S, cwd=cwd)
        if ran.exit_code == _NO_PROGRAM:
            raise SandboxError(f"the machine has no program {argv[0]!r}", code="not_found")
        try:
            return int(ran.stdout)
        except ValueError as error:
            said = ran.stderr.decode(errors="replace").strip()
            raise SandboxError(f"{argv[0]!r} could not be started: {said}", code="internal") from error

    async def read_file(self, path: str, start: int, end: int | None) -> FileSlice:
        """See `Guest.read_file`."""
        data = bytearray()
        size = 0
        while True:
            wanted = _PART_BYTES if end is None else min(_PART_BYTES, end - start - len(data))
            place = str(start + len(data) + 1)
            ran = await self._executed(
                ["sh", "-c", _READ, "sh", _plain(path), place, str(max(wanted, 0))], timeout_s=READ_S
            )
            _check(path, ran)
            told, _, part = ran.stdout.partition(b"\n")
            size = int(told)
            data += part
            if not part or len(part) < wanted or (end is not None and len(data) >= end - start):
                return FileSlice(data=bytes(data), size=size)

    async def write_file(self, path: str, data: bytes) -> None:
        """See `Guest.write_file`."""
        self._written += 1
        for at in range(0, max(len(data), 1), _PART_BYTES):
            more = "more" if at + _PART_BYTES < len(data) else "last"
            command = ["sh", "-c", _WRITE, "sh", _plain(path), str(self._written), more]
            _check(path, await self._executed(command, timeout_s=READ_S, given=data[at : at + _PART_BYTES]))

    async def _executed(self, argv: Sequence[str], *, timeout_s: float, given: bytes = b"") -> Executed:
        return await self._executor(argv, timeout_s=timeout_s, given=given)


class ClippingGuest(ShellGuest):
    """A guest whose clipboard is reached by ``xclip``; see `agentflow_vm.machines.machine.Clipping`."""

    async def put_clipboard(self, text: str) -> None:
        """See `Clipping.put_clipboard`."""
        command = ("sh", "-c", "exec xclip -selection clipboard -i > /dev/null 2>&1")
        ran = await self._executed(command, timeout_s=READ_S, given=text.encode("utf-8", "replace"))
        if ran.exit_code:
            raise SandboxError(
                "the machine has no program that sets its clipboard", code="unsupported", hint="install xclip in it"
            )

    async def get_clipboard(self) -> str | None:
        """See `Clipping.get_clipboard`."""
        ran = await self._executed(("xclip", "-selection", "clipboard", "-o"), timeout_s=READ_S)
        return None if ran.exit_code else ran.stdout.decode("utf-8", "replace")


def _plain(path: str) -> str:
    """The path, so that no program takes it for an option."""
    if "\0" in path or not path:
        raise SandboxError("path: is empty or holds a NUL character", code="invalid_argument")
    return path if path.startswith("/") else f"./{path}"


def _check(path: str, ran: Executed) -> None:
    code = ran.exit_code
    if code == 20:
        raise SandboxError(f"there is no {path[:200]!r}", code="not_found")
    if code == 21:
        raise SandboxError(f"path: {path[:200]!r} is no regular file", code="invalid_argument")
    if code:
        said = ran.stderr.decode(errors="replace").strip()
        raise SandboxError(
            f"{path[:200]!r}: {said or 'failed'}", code="disk_limit" if b"space" in ran.stderr else "forbidden"
        )
