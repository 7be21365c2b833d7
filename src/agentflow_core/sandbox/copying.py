"""Copy what a session has written, never to where its links lead: its processes may change them meanwhile."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["copy_folder"]

_FICLONE = 0x40049409
_PART_BYTES = 1 << 20
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def copy_folder(source: Path, target: Path, *, limit_bytes: int) -> None:
    """Copy what stands in a folder into another that is empty and ours alone, never what its links lead to.

    Folders, files with their permissions, and links as they are; file systems that can share blocks do. Holes stay
    holes; what is none of these, such as a FIFO, is left out; hard links become files of their own.

    Raises:
        SandboxError: ``disk_limit``: the copy would take more; ``conflict``: it changed meanwhile.
    """
    room = limit_bytes
    try:
        for place, folders, files, at in os.fwalk(source, follow_symlinks=False):
            here = target / os.path.relpath(place, source)
            for name in (*folders, *files):
                info = os.stat(name, dir_fd=at, follow_symlinks=False)
                mode = stat.S_IMODE(info.st_mode) & 0o777
                if stat.S_ISDIR(info.st_mode):
                    (here / name).mkdir(mode | stat.S_IRWXU)
                elif stat.S_ISLNK(info.st_mode):
                    (here / name).symlink_to(os.readlink(name, dir_fd=at))
                elif stat.S_ISREG(info.st_mode):
                    taken = info.st_blocks * 512
                    if taken <= room:
                        taken = max(taken, _copy_file(name, at, here / name, info.st_size, room))
                    room -= taken
                    if room < 0:
                        raise SandboxError(
                            f"its files take more than {limit_bytes} bytes together",
                            code="disk_limit",
                            hint="delete some before the fork",
                        )
                    (here / name).chmod(mode)
    except (OSError, RecursionError) as error:
        raise SandboxError(f"its files cannot be copied: {error}", code="conflict") from error


def _copy_file(name: str, at: int, target: Path, size: int, room: int) -> int:
    """Copy what a file held when it was measured; returns the bytes that were written, at most some more than ``room``."""
    with open(os.open(name, _FILE, dir_fd=at), "rb") as original, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(original.fileno()).st_mode):
            raise OSError(f"{name} became another kind of file")
        if not size or _cloned(original.fileno(), copy.fileno()):
            return 0
        return _copy_data(original.fileno(), copy.fileno(), size, room)


def _cloned(source: int, target: int) -> bool:
    """Let the copy share the blocks of the original, where the file system can."""
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True


def _copy_data(source: int, target: int, size: int, room: int) -> int:
    """Copy what is not a hole, which its writer may fill meanwhile."""
    os.ftruncate(target, size)
    at = written = 0
    while at < size and written <= room:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
            end = min(os.lseek(source, at, os.SEEK_HOLE), size)
        except OSError:  # a hole up to the end
            break
        while at < end and written <= room:
            data = os.pread(source, min(_PART_BYTES, end - at), at)
            if not data:
                return written
            count = os.pwrite(target, data, at)
            at, written = at + count, written + count
    return written
