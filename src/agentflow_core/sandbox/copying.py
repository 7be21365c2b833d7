"""Copy what a session has written, never to where its links lead: its processes may change them meanwhile."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["copy_folder"]

_PART_BYTES = 1 << 20
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def copy_folder(source: Path, target: Path, *, limit_bytes: int) -> None:
    """Copy folders, files with their permissions, and links as they are, into a folder that is empty and ours alone.

    What is none of these, such as a FIFO, is left out. Hard links become files of their own, holes become zeros.

    Raises:
        SandboxError: ``disk_limit``: the copy would be larger; ``conflict``: it cannot be copied, as when it changed
            meanwhile or its folders stand too deep in one another.
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
                    room -= info.st_size
                    if room < 0:
                        raise SandboxError(
                            f"its files are larger than {limit_bytes} bytes together",
                            code="disk_limit",
                            hint="delete some before the fork",
                        )
                    _copy_file(name, at, here / name, info.st_size)
                    (here / name).chmod(mode)
    except (OSError, RecursionError) as error:
        raise SandboxError(f"its files cannot be copied: {error}", code="conflict") from error


def _copy_file(name: str, at: int, target: Path, size: int) -> None:
    """Copy what a file held when it was measured."""
    with open(os.open(name, _FILE, dir_fd=at), "rb") as original, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(original.fileno()).st_mode):
            raise OSError(f"{name} became another kind of file")
        while size > 0 and (part := original.read(min(size, _PART_BYTES))):
            size -= copy.write(part)
