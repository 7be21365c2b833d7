"""What a user says about shells: the ``backends: {bash: …}`` part of a configuration, and what one session may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import SandboxError
from agentflow_core.names import did_you_mean
from agentflow_core.sandbox.launchers import Limits, Network

__all__ = ["MAX_TIMEOUT_S", "BashConfig", "SessionSettings", "check_env", "session_settings"]

#: The longest that one command may run.
MAX_TIMEOUT_S = 600
MIB = 1024 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


@frozen(kw_only=True)
class BashConfig:
    """Which shell sessions run, what they may take, and what they begin with."""

    shell: str = option("/bin/bash", help="path of bash, version 5 or later, as sessions see it")
    limits: Limits = option(Limits(), help="what one session may take")
    network: Network = option(Network(), help="what sessions reach")
    timeout_s: int = option(
        60, help="seconds for one command, where it does not say", at_least=1, at_most=MAX_TIMEOUT_S
    )
    max_output_bytes: int = option(
        64 * MIB, help="how much of one output of a command is kept, on disk; the rest is counted", at_least=MIB
    )
    job_output_bytes: int = option(
        8 * MIB, help="how much of the latest output of a background job is kept, on disk", at_least=65536
    )
    env: Mapping[str, str] = option(factory=dict, help="environment variables of every session")
    files: Mapping[str, Path] = option(
        factory=dict, help="files and folders that are copied into each workspace, by their path there", path=True
    )
    setup: str = option("", help="a command line that runs at the start of each session, and must succeed")


@frozen(kw_only=True)
class SessionSettings:
    """What ``create_session`` may say about one session."""

    env: Mapping[str, str]
    files: Mapping[str, str]  #: texts, by their path in the workspace
    cwd: str
    setup: str


def session_settings(settings: Mapping[str, Any]) -> SessionSettings:
    """Read the settings of a session.

    Raises:
        SandboxError: ``invalid_argument``; the message names the setting.
    """
    known = ("env", "files", "cwd", "setup")
    for name in settings:
        if name not in known:
            guess = did_you_mean(str(name)[:60], known)
            raise _wrong(f"{str(name)[:60]!r} is no setting of a session{guess}", f"there are: {', '.join(known)}")
    for name in ("cwd", "setup"):
        if not _is_text(settings.get(name, "")):
            raise _wrong(f"{name}: expected a text without NUL")
    for name in ("env", "files"):
        value = settings.get(name) or {}
        if not isinstance(value, Mapping) or not all(_is_text(each) for pair in value.items() for each in pair):
            raise _wrong(f"{name}: expected an object of texts without NUL")
    check_env(settings.get("env") or {}, "env")
    return SessionSettings(
        env=dict(settings.get("env") or {}),
        files=dict(settings.get("files") or {}),
        cwd=settings.get("cwd", ""),
        setup=settings.get("setup", ""),
    )


def check_env(env: Mapping[str, str], where: str) -> None:
    """Raise `SandboxError` for what can be no environment."""
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise _wrong(f"{where}: {name[:60]!r} is no name of a variable", "letters, digits and underscores")
        if "\0" in value:
            raise _wrong(f"{where}.{name}: holds a NUL character")


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def _wrong(message: str, hint: str = "") -> SandboxError:
    return SandboxError(message, code="invalid_argument", hint=hint)
