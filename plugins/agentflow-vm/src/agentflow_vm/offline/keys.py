"""Keys by which a file manager and an editor are used, as calls of ``vm:actions``."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ACTIONS", "Steps", "added", "created", "deleted", "listed", "opened_by", "read", "renamed", "replaced"]

ACTIONS: Final = "vm:actions"

Steps = list[dict[str, Any]]

#: Time for a program to open a window, or to copy, on a busy machine: neither can be seen without pictures.
_PAUSE: Final = {"tool": "wait", "until": "ms", "ms": 400}
_COPY: Final = ({"tool": "key", "keys": ["ctrl+a", "ctrl+c"]}, _PAUSE, {"tool": "clipboard"})


def _key(*keys: str) -> dict[str, Any]:
    return {"tool": "key", "keys": keys[0] if len(keys) == 1 else list(keys)}


def _typed(text: str) -> Steps:
    return [{"tool": "type", "text": text}] if text else []


def _found(name: str) -> Steps:
    """The file of that name is selected."""
    return [_key("ctrl+f"), *_typed(name), _key("Enter")]


def listed() -> Steps:
    """Copy the names of all files, and read them."""
    return [dict(step) for step in _COPY]


def read(name: str) -> Steps:
    """Open a file, copy all of it, read it, and close it."""
    return [*_found(name), _key("Enter"), dict(_PAUSE), *listed(), _key("ctrl+w")]


def created(name: str, text: str) -> Steps:
    """Make a file with a text in it."""
    begun = [_key("ctrl+n"), dict(_PAUSE), *_typed(name), _key("Enter"), dict(_PAUSE)]
    return [*begun, *_typed(text), _key("ctrl+s", "ctrl+w")]


def added(name: str, line: str) -> Steps:
    """Put one more line at the end of a file."""
    return [
        *_found(name),
        _key("Enter"),
        dict(_PAUSE),
        _key("ctrl+End"),
        *_typed(f"{line}\n"),
        _key("ctrl+s", "ctrl+w"),
    ]


def replaced(name: str, text: str) -> Steps:
    """Put a text in place of all of a file."""
    return [
        *(*_found(name), _key("Enter"), dict(_PAUSE), _key("ctrl+a"), _key("Delete")),
        *(*_typed(text), _key("ctrl+s", "ctrl+w")),
    ]


def renamed(name: str, to: str) -> Steps:
    """Give a file another name."""
    return [*_found(name), _key("F2"), dict(_PAUSE), _key("ctrl+a"), *_typed(to), _key("Enter"), dict(_PAUSE)]


def deleted(name: str) -> Steps:
    """Remove a file."""
    return [*_found(name), _key("Delete"), dict(_PAUSE), _key("Enter"), dict(_PAUSE)]


def opened_by(steps: Any) -> str | None:
    """The file that steps of `read` open; empty for `listed`; None for other steps."""
    if not isinstance(steps, list):
        return None
    if steps == listed():
        return ""
    name = next((step.get("text") for step in steps if isinstance(step, dict) and step.get("tool") == "type"), None)
    return name if isinstance(name, str) and steps == read(name) else None
