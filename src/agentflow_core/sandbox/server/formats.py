"""Write a tool as the native listing, OpenAI or MCP has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.sandbox.catalog import Catalog

__all__ = ["FORMATS"]


def _native(catalog: Catalog, name: str) -> Mapping[str, Any]:
    group, tool = catalog.find(name)
    definition = tool.definition
    return {
        "name": definition.name,
        "wire_name": definition.wire_name,
        "description": definition.description,
        "parameters": definition.parameters,
        "sharing": group.sharing,
        "read_only": tool.function.read_only,
        "relative": tool.function.relative,
        "forkable": group.can_fork,
        "canonicalize": tool.function.canonicalize is not None,
        "compare": tool.function.compare is not None,
        "offline": tool.offline,
        "provider": tool.provider,
    }


def _openai(catalog: Catalog, name: str) -> Mapping[str, Any]:
    tool = catalog.find(name)[1].definition
    function = {"name": tool.wire_name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _mcp(catalog: Catalog, name: str) -> Mapping[str, Any]:
    offered = catalog.find(name)[1]
    tool = offered.definition
    return {
        "name": tool.wire_name,
        "description": tool.description,
        "inputSchema": tool.parameters,
        "annotations": {"readOnlyHint": offered.function.read_only},
    }


#: By name, what writes the tool of a full name.
FORMATS: Final = {"native": _native, "openai": _openai, "mcp": _mcp}
