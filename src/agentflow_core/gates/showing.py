"""Show the evidence of a draft to a solver: its quotes, and what they were quoted from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentflow_core.gates.reading import head_of_source, source_id
from agentflow_core.prompts import defused
from agentflow_core.records import Observation, SolveStep, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.gates.reading import Hop
    from agentflow_core.records import Evidence, Node

__all__ = ["TAGS", "evidence_steps", "show_evidence", "tools_of"]

#: The tags of the gates' prompts.
TAGS = ("question", "evidence", "quote", "answer")


def show_evidence(hops: Iterable[Hop], path: Sequence[Node]) -> str:
    """The quotes of the hops, each with its origin: the title of its source, else what locates it, else the call.

    The reasoning is not shown; it would give away how the hops hang together.
    """
    nodes = {node.id: node for node in path}
    blocks = []
    for hop in hops:
        for evidence in hop.evidence:
            origin = json.dumps(_origin(evidence, nodes.get(evidence.node)), ensure_ascii=False)
            quote = defused(evidence.quote, *TAGS)
            blocks.append(f"<quote from={defused(origin, *TAGS)}>\n{quote}\n</quote>")
    return "\n".join(blocks) or "(none)"


def _origin(evidence: Evidence, node: Node | None) -> str:
    if node is None:
        return "?"
    params = json.dumps(node.params, ensure_ascii=False, sort_keys=True, default=str)
    return head_of_source(evidence, node) or source_id(evidence) or f"{node.tool} {params}"


def evidence_steps(hops: Iterable[Hop], path: Sequence[Node]) -> tuple[SolveStep, ...]:
    """The same as calls that an agent made: each observation cut down to what is quoted of it."""
    nodes = {node.id: node for node in path}
    steps = []
    for hop in hops:
        for evidence in hop.evidence:
            node = nodes.get(evidence.node)
            if node is not None and node.tool is not None:
                result = _quoted(evidence, node)
                steps.append(SolveStep(tool=node.tool, params=node.params, result=result))
    return tuple(steps)


def tools_of(path: Sequence[Node]) -> tuple[ToolDefinition, ...]:
    """The tools of a path by their names alone."""
    names = dict.fromkeys(node.tool for node in path if node.tool is not None)
    return tuple(ToolDefinition(name=name, description="", parameters={}) for name in names)


def _quoted(evidence: Evidence, node: Node) -> Observation:
    """An observation in the common layout of hits and documents: a title line, then the quote."""
    title = head_of_source(evidence, node)
    doc_id = evidence.source.get("doc_id")
    head = f"{title} (doc_id: {doc_id})" if doc_id is not None else title
    data: dict[str, Any] = {}
    if doc_id is not None and "hits" in _data(node):
        head = f"[1] {head}\n"
        span = [0, len(evidence.quote)]
        data["hits"] = [{"doc_id": doc_id, "title": title, "snippet": evidence.quote, "span": span}]
    elif head:
        head += "\n\n"
        data |= {"doc_id": doc_id, "title": title} if doc_id is not None else {}
    text = f"{head}{evidence.quote}"
    data["sources"] = [{**evidence.source, "start": len(head), "end": len(text)}]
    return Observation(text=text, data=data)


def _data(node: Node) -> Mapping[str, Any]:
    data = node.result.data if node.result is not None else None
    return data if isinstance(data, Mapping) else {}
