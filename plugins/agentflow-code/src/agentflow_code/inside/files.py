"""The files of the workspace: a bounded look at what there is, and what a cell has written or removed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["changes", "scan", "take_over"]

#: How many are looked at, and how many are told.
LOOKED_AT: Final = 2000
TOLD: Final = 100

Seen = dict[str, tuple[int, int]]


def scan(folder: str) -> Seen:
    """Size and time of change of the files below a folder; hidden ones, and what is beyond the bound, are left out."""
    seen: Seen = {}
    pending = [folder]
    while pending and len(seen) < LOOKED_AT:
        try:
            entries = os.scandir(pending.pop())
        except OSError:  # gone, or not for us
            continue
        with entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__" or len(seen) >= LOOKED_AT:
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        info = entry.stat(follow_symlinks=False)
                        seen[os.path.relpath(entry.path, folder)] = (info.st_size, info.st_mtime_ns)
                except OSError:
                    continue
    return seen


def changes(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """``new``, ``changed`` and ``deleted`` paths, relative to the workspace."""
    new = sorted(path for path in after if path not in before)
    changed = sorted(path for path in after if path in before and before[path] != after[path])
    deleted = sorted(path for path in before if path not in after) if len(after) < LOOKED_AT else []
    return {"new": new[:TOLD], "changed": changed[:TOLD], "deleted": deleted[:TOLD]}


def take_over(payload: Any) -> None:
    """Replace what is in the folder ``target`` by what is in ``source``."""
    for entry in os.scandir(payload["target"]):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    shutil.copytree(payload["source"], payload["target"], symlinks=True, dirs_exist_ok=True)
