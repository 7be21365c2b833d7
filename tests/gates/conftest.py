"""A path of two documents and a draft that passes every gate, to be changed by the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve, frozen

from agentflow_core.interfaces import GateContext, GateOutcome
from agentflow_core.records import QA, Evidence, Node, Observation, ReasoningStep, Seed

if TYPE_CHECKING:
    from collections.abc import Sequence

FILM = "11 Harrowhouse is a 1974 British film directed by Aram Avakian."
BIRTH = "Aram Avakian was an American editor, born in Manhattan on April 23, 1926, of Armenian parents."


def observation(*hits: tuple[str, str, str]) -> Observation:
    """What ``rag:search`` returns for hits ``(doc_id, title, text)``."""
    text, sources = "", []
    for number, (doc_id, title, snippet) in enumerate(hits, 1):
        text += "\n\n" if text else ""
        start = len(text)
        text += f"[{number}] {title} (doc_id: {doc_id})\n{snippet}"
        sources.append({"doc_id": doc_id, "start": start, "end": len(text)})
    entries = [{"doc_id": doc_id, "title": title} for doc_id, title, _ in hits]
    return Observation(text=text, data={"hits": entries, "sources": sources})


@frozen(kw_only=True)
class Case:
    """A draft with its path."""

    draft: QA
    path: tuple[Node, ...]
    min_hops: int = 2

    def changed(self, **fields: Any) -> Case:
        """The case with other fields of the draft."""
        return evolve(self, draft=evolve(self.draft, **fields))

    def quoting(self, *steps: Sequence[tuple[int, str]]) -> Case:
        """The case with steps of ``(index of the node, quote)``."""
        made = tuple(
            ReasoningStep(
                step=f"step {number}",
                evidence=tuple(Evidence(node=self.path[index].id, quote=quote) for index, quote in quotes),
            )
            for number, quotes in enumerate(steps, 1)
        )
        return self.changed(reasoning_steps=made)

    def with_node(self, index: int, **fields: Any) -> Case:
        """The case with other fields of a node."""
        path = list(self.path)
        path[index] = evolve(path[index], **fields)
        return evolve(self, path=tuple(path))

    async def check(self, gate: Any) -> GateOutcome:
        """What the gate says."""
        context = GateContext(seed=Seed(id="s", content="11 Harrowhouse"), path=self.path, min_hops=self.min_hops)
        return await gate.check(self.draft, context)


@pytest.fixture
def case() -> Case:
    """A question over two documents, each found by its own search."""
    path = (
        Node(id="s/0", seed_id="s", intent="11 Harrowhouse"),
        Node(
            id="s/0.0",
            seed_id="s",
            parent="s/0",
            depth=1,
            tool="rag:search",
            params={"query": "11 Harrowhouse film", "k": 2},
            result=observation(("hp-1", "11 Harrowhouse", FILM), ("hp-9", "Harrow", "Harrow is a town near London.")),
        ),
        Node(
            id="s/0.0.0",
            seed_id="s",
            parent="s/0.0",
            depth=2,
            tool="rag:search",
            params={"query": "Aram Avakian birthplace"},
            result=observation(("hp-2", "Aram Avakian", BIRTH)),
        ),
    )
    draft = QA(
        id="qa-1",
        seed_id="s",
        path_id="s/0.0.0",
        question="Where was the director of the film 11 Harrowhouse born?",
        answer="Manhattan",
        answer_type="place",
    )
    return Case(draft=draft, path=path).quoting(
        [(1, FILM)], [(2, "Aram Avakian was an American editor, born in Manhattan")]
    )
