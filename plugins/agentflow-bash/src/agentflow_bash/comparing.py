"""When two calls are the same action, and when two observations of them count as equal."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentflow_core.records import Observation

__all__ = ["same_job", "same_run", "the_command", "the_path"]

#: What differs from one time to the next without meaning anything, and what stands for it.
_CHANGING: Final = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z| ?[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d\d? +(?:\d\d:\d\d|\d{4})\b"), "<time>"),
    (re.compile(r"\b\d+m\d+(?:[.,]\d+)?s\b"), "<seconds>"),
    (re.compile(r"\b\d+(?:[.,]\d+)? ?(?:ns|µs|us|ms|s|sec|secs|seconds?)\b"), "<seconds>"),
    (re.compile(r"\b0x[0-9a-f]{6,16}\b"), "<address>"),
    (re.compile(r"(?i)\b(pid|process|job)([ =:#]+)\d+\b"), r"\1\2<number>"),
    (re.compile(r"(?m)^\[\d+\] \d+$"), "<job>"),
    (re.compile(r"/tmp/tmp[.\w]{6,}"), "<temporary>"),
)
_SAID: Final = ("stdout", "stderr")


def _steady(text: str) -> str:
    for pattern, meaning in _CHANGING:
        text = pattern.sub(meaning, text)
    return text


def same_run(recorded: Observation, replayed: Observation) -> bool:
    """The same code, exit code and output, but for times, process numbers, addresses and names of temporary files."""
    one, other = recorded.data, replayed.data
    if not isinstance(one, Mapping) or not isinstance(other, Mapping) or recorded.code != replayed.code:
        return recorded.text == replayed.text
    if recorded.code == "ok" and one.get("exit_code") != other.get("exit_code"):
        return False
    return all(_steady(str(one.get(name, ""))) == _steady(str(other.get(name, ""))) for name in _SAID)


def same_job(recorded: Observation, replayed: Observation) -> bool:
    """The same code, and the same text but for what `same_run` leaves out."""
    return recorded.code == replayed.code and _steady(recorded.text) == _steady(replayed.text)


def the_command(arguments: Mapping[str, Any]) -> Any:
    """A command without how long it may take."""
    return {
        name: value.strip() if name == "command" else value
        for name, value in arguments.items()
        if name not in ("timeout_s", "ready_s") and value not in (None, {}, "")
    }


def the_path(arguments: Mapping[str, Any]) -> Any:
    """Arguments with the path in one spelling."""
    path = str(arguments.get("path", "."))
    for prefix in ("/workspace/", "./"):
        path = path.removeprefix(prefix)
    return {**arguments, "path": posixpath.normpath(path) if "/../" not in f"/{path}/" else path}
