"""What the earlier AgentFlow called tools and resources, and what they are called now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve

from agentflow_core.config.legacy_keys import listed
from agentflow_core.names import FIRST_PARTY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_core.config.nodes import Node

__all__ = ["backend_of", "is_first_party", "tools_of"]

#: Its resources and groups of tools that are parts of other backends now.
_BACKENDS: Final = {"websearch": "web", "ds": "code", "text2sql": "code", "code_executor": "code"}
#: Its tools whose names changed beyond their spelling.
_TOOLS: Final = {
    "text2sql:*": ("code:list_databases", "code:schema", "code:sql"),
    "text2sql:list_databases": ("code:list_databases",),
    "text2sql:get_schema": ("code:schema",),
    "text2sql:execute": ("code:sql",),
    "ds:*": ("code:profile", "code:run"),
    "ds:inspect_data": ("code:profile",),
    "ds:read_csv": ("code:profile",),
    "ds:run_python": ("code:run",),
}
_SPELLED: Final = re.compile(r"([a-z][a-z0-9]*)[-_](.+)")


def backend_of(resource: str) -> str:
    """The backend that a resource, or a group of tools, is of now."""
    return _BACKENDS.get(resource, resource)


def is_first_party(resource: str) -> bool:
    """Whether AgentFlow's own plugins know the resource; only its own plugin knows the settings of any other."""
    return backend_of(resource) in FIRST_PARTY


def tools_of(node: Node, resources: Iterable[str]) -> Node:
    """The list of tools as they are called now: ``rag-search``, ``rag_search`` and ``rag:search`` are one.

    A ``-`` or ``_`` divides a name only after a backend that is known: one of AgentFlow's own or of ``resources``.
    """
    groups = {*FIRST_PARTY, *_BACKENDS, *resources}
    found: dict[str, Node] = {}
    for part in listed(node):
        if not isinstance(part.value, str):
            return node  # no list of names, which loading says
        for name in _current(part.value, groups):
            found.setdefault(name, evolve(part, value=name))
    return evolve(node, value=tuple(found.values()))


def _current(name: str, groups: set[str]) -> tuple[str, ...]:
    match = _SPELLED.fullmatch(name)
    if match is not None and match[1] in groups:
        name = f"{match[1]}:{match[2]}"
    elif name in groups:
        name = f"{name}:*"
    if name in _TOOLS:
        return _TOOLS[name]
    group, colon, tool = name.partition(":")
    return (f"{backend_of(group)}:{tool}" if colon else name,)
