"""What the laws of the sandbox are tried on, for ``agentflow doctor --conformance rag`` and for the tests."""

from __future__ import annotations

from agentflow_core.testing.subjects import Subject
from agentflow_rag.backend import RagBackend

__all__ = ["SUBJECT"]

#: On the bundled corpus.
SUBJECT = Subject(
    backend=RagBackend,
    name="rag",
    calls=(
        ("corpora", {}),
        ("search", {"query": "Danube", "k": 2}),
        ("get", {"doc_id": "facts-0044"}),
        ("find", {"pattern": "Danube"}),
    ),
    loud=(
        "search",
        {"queries": ["who was born", "city on a river", "film of the novel"], "k": 100, "snippet_chars": 4000},
    ),
)
