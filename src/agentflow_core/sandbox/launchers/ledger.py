"""What sessions take of the host, told before they take it, so that a later process can remove what a killed one left."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

__all__ = ["Ledger", "NoLedger", "Taken"]


@frozen(kw_only=True)
class Taken:
    """What one session holds. Every name in it is unique, so nothing else can be meant."""

    session: str
    launcher: str = ""
    folder: str = ""  #: a workspace, or that of a launcher with those of all its sessions: its process is gone
    cgroups: tuple[str, ...] = ()
    container: str = ""


class Ledger(Protocol):
    """Where it is written down; the engine's ownership journal."""

    def take(self, taken: Taken) -> None:
        """Write it down, durably, before this returns: it is taken right after."""
        ...

    def give_back(self, session: str) -> None:
        """All of it has been removed."""
        ...


class NoLedger:
    """Writes nothing down: what a killed process leaves stays, but for bubblewrap's processes, which die with it."""

    def take(self, taken: Taken) -> None:
        """See `Ledger.take`."""

    def give_back(self, session: str) -> None:
        """See `Ledger.give_back`."""
