"""Fill the workspace of a new session: with configured files, or with a copy of another session's."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.beneath import Beneath

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["copy_tree", "put_files"]

_FICLONE: Final = 0x40049409
_FILE: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_PART_BYTES: Final = 1 << 20


def copy_tree(source: Path, target: Path, *, limit_bytes: int) -> None:
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
                    room -= info.st_blocks * 512
                    if room < 0:
                        raise SandboxError(
                            f"its files take more than {limit_bytes} bytes together",
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
        if size and not _cloned(original.fileno(), copy.fileno()):
            _copy_data(original.fileno(), copy.fileno(), size)


def _cloned(source: int, target: int) -> bool:
    """Let the copy share the blocks of the original, where the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy what is not a hole."""
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
            end = min(os.lseek(source, at, os.SEEK_HOLE), size)
        except OSError:  # a hole up to the end
            return
        while at < end:
            data = os.pread(source, min(_PART_BYTES, end - at), at)
            if not data:
                return
            at += os.pwrite(target, data, at)


def put_files(folder: Path, copied: Mapping[str, Path], written: Mapping[str, str]) -> None:
    """Copy files and folders of the host into a new workspace, and write texts there.

    Raises:
        SandboxError: ``not_found``: one is not there; ``invalid_argument``: a path that leads out.
    """
    if not copied and not written:
        return
    root = Beneath(folder, shown=str(folder), uid=None)
    try:
        for name, source in copied.items():
            target = folder / root.relative(name)
            if not target.resolve().is_relative_to(folder.resolve()):
                raise SandboxError(f"files: {name[:200]!r} leads out of the workspace", code="invalid_argument")
            if not source.exists():
                raise SandboxError(f"files: there is no {source}", code="not_found", hint="see the configuration")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)
        for name, text in written.items():
            root.write(name, text.encode())
    except OSError as error:
        raise SandboxError(f"files: {error}", code="conflict") from error
    finally:
        root.close()
