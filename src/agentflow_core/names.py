"""The grammar of names: contributions, tools, wire names, patterns, and "did you mean"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentflow_core.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["check_name", "check_tool_name", "did_you_mean", "match_tools", "suggest", "unknown_name", "wire_name"]

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
#: What OpenAI-compatible servers accept as a function name.
WIRE = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: First-party distributions by the names that they contribute, for hints only.
FIRST_PARTY = {
    "rag": "agentflow-rag",
    "bash": "agentflow-bash",
    "code": "agentflow-code",
    "browser": "agentflow-browser",
    "vm": "agentflow-vm",
    "web": "agentflow-websearch",
    "websearch": "agentflow-websearch",
    "doc": "agentflow-doc",
    "embodied": "agentflow-embodied",
    "mcp": "agentflow-mcp",
    "ray": "agentflow-ray",
}


def check_name(name: str, kind: str) -> str:
    """Return ``name`` if it is lower-case words joined by ``-`` or ``_``; else raise `UsageError`."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{kind} name {name!r} is not a name", hint="use lower-case letters and digits, joined by '-' or '_'"
        )
    return name


def check_tool_name(name: str) -> str:
    """Return ``name`` if it is ``group:tool`` or ``tool`` and its wire name is accepted by models."""
    for part in name.split(":", 1):
        check_name(part, "tool")
    if not WIRE.fullmatch(wire_name(name)):
        raise UsageError(f"tool name {name!r} is longer than the 64 characters that models accept")
    return name


def wire_name(tool: str) -> str:
    """What a model calls a tool: ``rag:search`` is ``rag_search``."""
    return tool.replace(":", "_")


def suggest(word: str, known: Iterable[str]) -> str | None:
    """The known name that ``word`` probably means, or None."""
    from difflib import get_close_matches  # only when something is already wrong

    names = list(known)
    longer = [name for name in names if len(word) > 1 and name.startswith(word)]
    matches = get_close_matches(word, names, n=1, cutoff=0.6) or (longer if len(longer) == 1 else [])
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for messages, or nothing."""
    found = suggest(word, known)
    return f", did you mean {found!r}?" if found else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that nothing provides: a suggestion, the distribution to install, or what there is."""
    names = tuple(sorted(known))
    group = name.partition(":")[0]
    if group in FIRST_PARTY and not any(other.partition(":")[0] == group for other in names):
        hint = f"it comes with a plugin: pip install {FIRST_PARTY[group]}"
    elif found := suggest(name, names):
        hint = f"did you mean {found!r}?"
    elif kind == "model":
        hint = f"write provider/name, such as openai/gpt-4.1; providers: {', '.join(names)}"
    elif names:
        hint = f"there is: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
    else:
        hint = "no installed plugin provides one: agentflow plugins list"
    return UnknownNameError(kind, name, known=names, hint=hint)


def match_tools(patterns: Sequence[str], available: Iterable[str]) -> tuple[str, ...]:
    """The available tools that the patterns (``rag:search``, ``rag:*``, ``*``) name, in pattern order.

    Raises:
        UnknownNameError: a pattern that names no available tool.
    """
    names = sorted(available)
    chosen: dict[str, None] = {}
    for pattern in patterns:
        if pattern == "*":
            matches = names
        elif pattern.endswith(":*"):
            matches = [name for name in names if name.startswith(pattern[:-1])]
        else:
            matches = [name for name in names if name == pattern]
        if not matches and pattern != "*":
            raise unknown_name("tool", pattern, names)
        chosen.update(dict.fromkeys(matches))
    return tuple(chosen)
