"""Folders that belong to one process as long as it lives, and those whose process is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["left_folders", "own_folder", "remove_folder", "scratch_folder"]

_LOCK = "lock"
_SCRATCH = "agentflow-scratch-"
_BEGUN_S = 60.0  # a folder without a lock was being made, which takes no time, when its process was killed


@contextmanager
def own_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder under ``parent`` that `left_folders` of no process yields while this one lives.

    This process holds the lock on a file in it; the system gives the lock back in any case. The folder stays.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    with (folder / f"{_LOCK}.new").open("wb") as lock:
        _try_lock(lock.fileno())
        Path(lock.name).rename(folder / _LOCK)  # only now do others look at it
        yield folder


def left_folders(parent: Path, prefix: str) -> Iterator[Path]:
    """The folders of this user whose process is gone; each is this process's while it is looked at."""
    for folder in sorted(parent.glob(f"{prefix}*")):
        with suppress(OSError):  # another one removed it, or it is not ours
            made = folder.lstat()
            if os.name != "posix" or made.st_uid != os.geteuid():
                continue
            if not (folder / _LOCK).exists() and time.time() - made.st_mtime > _BEGUN_S:
                yield folder
                continue
            with (folder / _LOCK).open("rb") as lock:
                if _try_lock(lock.fileno()):
                    yield folder


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for what need not be kept, removed at the end; those that killed processes left are removed first."""
    parent = parent or Path(tempfile.gettempdir())
    for left in left_folders(parent, _SCRATCH):
        remove_folder(left)
    with own_folder(parent, _SCRATCH) as folder:
        try:
            yield folder
        finally:
            remove_folder(folder)


def remove_folder(folder: Path) -> bool:
    """Remove a folder and all in it, however deep and with whatever modes; is it gone?"""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir() and os.name == "posix":  # folders without rights, or a thousand in one another
        for command in (("chmod", "-R", "u+rwX"), ("rm", "-rf", "--one-file-system")):
            subprocess.run([*command, "--", str(folder)], check=False, capture_output=True)
    return not folder.exists()


def _try_lock(descriptor: int) -> bool:
    """Take the lock of a file; False where somebody holds it, or the system has none."""
    try:
        import fcntl  # not on every system
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
