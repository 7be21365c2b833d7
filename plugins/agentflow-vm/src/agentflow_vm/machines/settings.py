"""What one session may say for itself: with which applications and files it begins; and what names stand for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from agentflow_core.errors import SandboxError

__all__ = ["SessionSettings", "argv_of"]


@frozen(kw_only=True)
class SessionSettings:
    """``create_session("vm", {"apps": ["xterm"], "files": {"notes.txt": "milk"}})``."""

    apps: tuple[str, ...] | None = None  #: command lines or names of programs; None: those of the configuration
    files: Mapping[str, str] = field(factory=dict)  #: texts by their path in the home

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> SessionSettings:
        """From what was given.

        Raises:
            SandboxError: ``invalid_argument``: an unknown key, or a value of another kind.
        """
        unknown = sorted(set(settings) - {"apps", "files"})
        if unknown:
            raise SandboxError(
                f"vm knows no session setting {unknown[0]!r}", code="invalid_argument", hint="apps, files"
            )
        apps, given = settings.get("apps"), settings.get("files") or {}
        if apps is not None and not (isinstance(apps, list | tuple) and all(isinstance(app, str) for app in apps)):
            raise SandboxError("apps: expected a list of command lines", code="invalid_argument")
        if not isinstance(given, Mapping) or not all(isinstance(text, str) for text in given.values()):
            raise SandboxError("files: expected texts by their paths", code="invalid_argument")
        return cls(apps=None if apps is None else tuple(apps), files={str(name): text for name, text in given.items()})


def argv_of(program: str, programs: Mapping[str, str]) -> tuple[str, ...]:
    """What a name of ``programs`` stands for, else the program as a command line.

    Raises:
        SandboxError: ``invalid_argument``: it is empty, or its quotes are not closed.
    """
    try:
        argv = tuple(shlex.split(programs.get(program, program)))
    except ValueError as error:
        raise SandboxError(f"program: {error}", code="invalid_argument", hint="close the quotes") from error
    if not argv:
        raise SandboxError("program: is empty", code="invalid_argument", hint="name a program")
    return argv
