"""What the laws of the sandbox are tried on, and what a law is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from agentflow_core.sandbox import Backend
from agentflow_core.sandbox.launchers import LauncherConfig

__all__ = ["Broken", "Call", "Canary", "Law", "Missing", "Subject"]

#: A tool without its group, and its arguments.
Call = tuple[str, Mapping[str, Any]]


class Broken(AssertionError):
    """A law that does not hold; the message says what was seen."""


class Missing(Exception):
    """A law that cannot be tried; the message says what the backend or the subject lacks."""


@frozen(kw_only=True)
class Canary:
    """A text of small letters, digits and hyphens that only its own session may see."""

    plant: Callable[[str], Sequence[Call]]  #: the calls that put it there
    look: Sequence[Call]  #: the calls whose observations show it, if it is there
    is_forked: bool = True  #: does a fork have it too


@frozen(kw_only=True)
class Subject:
    """What the laws are tried on. What is left out is skipped, with the reason.

    Each call runs in a fresh session after those before it in ``calls``, and succeeds there.
    """

    backend: Callable[[], Backend]  #: the class, or a function that makes one with its settings
    name: str = "subject"
    calls: Sequence[Call] = ()  #: ordinary calls, in order; best one of each tool
    canaries: Mapping[str, Canary] = field(factory=dict)
    """What sessions keep from one another, by kind: files, env, variables, ports, cookies and the like."""
    hostile: Mapping[str, Call] = field(factory=dict)
    """Calls that try to break out or to take too much, by what they try; never made under the launcher ``none``."""
    slow: Call | None = None  #: a call that takes a minute unless it is stopped
    loud: Call | None = None  #: a call, after ``calls``, with a text of over 32 KB
    settings: Mapping[str, Any] = field(factory=dict)  #: of each session
    launcher: LauncherConfig = field(factory=LauncherConfig)  #: how its sessions' processes are confined
    broken_settings: Mapping[str, Any] | None = None  #: with which `initialize` fails
    parallel: int = 32  #: sessions at once
    cycles: int = 200  #: sessions one after the other
    growth_mb: float = 32.0  #: how much the process may grow in these cycles
    timeout_s: float = 60.0  #: for one call
    known_failures: Mapping[str, str] = field(factory=dict)  #: laws that do not hold yet, with the reason


@frozen(kw_only=True)
class Law:
    """One law: its name, what it says, and how it is tried."""

    name: str
    says: str
    holds: Callable[[Subject], Awaitable[None]]
