"""Count what this process holds of the machine, to see whether something was left behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from attrs import frozen

__all__ = ["Held", "held"]

_PROC = Path("/proc")


@frozen(kw_only=True)
class Held:
    """Descriptors, threads (idle worker threads of the event loop aside), child processes, memory."""

    descriptors: int
    threads: int
    children: int
    rss_bytes: int

    def beyond(self, before: Held) -> str:
        """What is more than before, in words; nothing if nothing is. Memory is not compared."""
        more = {name: getattr(self, name) - getattr(before, name) for name in ("descriptors", "threads", "children")}
        return ", ".join(f"{count} more {name}" for name, count in more.items() if count > 0)


def held() -> Held:
    """What is held now. Where there is no ``/proc``, only threads are counted."""
    threads = sum(not thread.name.startswith("AnyIO worker") for thread in threading.enumerate())
    if not (_PROC / "self" / "stat").exists():
        return Held(descriptors=0, threads=threads, children=0, rss_bytes=0)
    pages = int((_PROC / "self" / "statm").read_text().split()[1])
    return Held(
        descriptors=len(os.listdir(_PROC / "self" / "fd")),
        threads=threads,
        children=_children(),
        rss_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
    )


def _children() -> int:
    """The descendants of this process that have not ended."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if fields[0] != "Z":
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    grown = {os.getpid()}
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown} - found
        found |= grown
    return len(found)
