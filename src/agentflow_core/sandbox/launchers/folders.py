"""The folders of sessions: the control folder with its FIFOs, whose property a workspace is, and how much it holds."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.spec import Control
from agentflow_core.sandbox.launchers.streams import ByteReader, ByteWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OpenControl", "can_enter", "give", "open_control", "runtime_folder", "size_of"]

COMMANDS, REPLIES = "commands", "replies"


@frozen(kw_only=True)
class OpenControl:
    """A control folder and our ends of its FIFOs; ``keep_alive`` is the end that `end_replies` closes."""

    control: Control
    keep_alive: ByteWriter

    def end_replies(self) -> None:
        """Let the replies end: nobody writes them any more."""
        self.keep_alive.close()

    def close(self) -> None:
        """Close our ends."""
        self.keep_alive.close()
        self.control.commands.close()
        self.control.replies.close()


def open_control(folder: Path, *, inside: str, uid: int | None) -> OpenControl:
    """Make the folder and its FIFOs, the FIFOs as property of ``uid``, and open our ends so that no opening ever waits.

    Raises:
        OSError: the folder exists, or cannot be made; nothing is left open.
    """
    folder.mkdir(mode=0o755)
    for name in (COMMANDS, REPLIES):
        os.mkfifo(folder / name, 0o600)
        if uid is not None:
            os.chown(folder / name, uid, uid)
    opened: list[int] = []
    try:
        # both directions at first, since an end that is opened alone waits for the other or is refused
        opened.append(os.open(folder / COMMANDS, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        opened.append(os.open(folder / REPLIES, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        opened.append(os.open(folder / REPLIES, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    commands, replies, keep_alive = opened
    return OpenControl(
        control=Control(folder=folder, inside=inside, commands=ByteWriter(commands), replies=ByteReader(replies)),
        keep_alive=ByteWriter(keep_alive),
    )


def runtime_folder() -> Path:
    """Where folders of sessions stand: for root one that other uids can pass through, else the user's own."""
    if os.geteuid() == 0:
        return Path("/run/agentflow")
    import tempfile

    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


def give(root: Path, uid: int) -> None:
    """Make a folder and all in it the property of a uid, without following links out of it.

    Raises:
        SandboxError: a file in it has another name elsewhere, which would be given away too.
    """
    os.chown(root, uid, uid, follow_symlinks=False)
    for entry in _entries(root):
        info = entry.stat(follow_symlinks=False)
        if info.st_uid == uid and info.st_gid == uid:
            continue
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
            raise SandboxError(
                f"{entry.path} has a second name (a hard link): it cannot become property of the session",
                code="invalid_argument",
                hint="copy it into the workspace",
            )
        os.chown(entry.path, uid, uid, follow_symlinks=False)
        if stat.S_IMODE(info.st_mode) & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISLNK(info.st_mode):
            os.chmod(entry.path, stat.S_IMODE(info.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))


def size_of(root: Path) -> int:
    """Bytes that a folder takes on its disk; what vanishes meanwhile is not counted."""
    total = 0
    for entry in _entries(root):
        with suppress(OSError):
            total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _entries(root: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, however deep, on its own file system."""
    pending = [str(root)]
    while pending:
        try:
            with os.scandir(pending.pop()) as found:
                entries = list(found)
        except OSError:  # it vanished, or its path is too long to be opened
            continue
        for entry in entries:
            yield entry
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)


def can_enter(path: Path, uid: int) -> bool:
    """May the uid, in no other group, reach the path and read it?"""
    try:
        here = path.resolve(strict=True)
        steps = [(each.stat(), 0o1) for each in here.parents]
        steps.append((here.stat(), 0o5 if here.is_dir() else 0o4))
    except OSError:
        return False
    for info, wanted in steps:
        shift = 6 if info.st_uid == uid else 3 if info.st_gid == uid else 0
        if (info.st_mode >> shift) & wanted != wanted:
            return False
    return True
