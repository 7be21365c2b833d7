"""The laws of the sandbox, tried on rag with a corpus that holds a long document."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from agentflow_core.testing.conformance import BackendConformance, Subject
from agentflow_rag.backend import RagBackend
from agentflow_rag.config import CorpusConfig, RagConfig

_FOLDER = tempfile.TemporaryDirectory(prefix="agentflow-rag-laws-")
_CORPUS = Path(_FOLDER.name) / "corpus.jsonl"
_CORPUS.write_text(
    json.dumps({"id": "short", "title": "Ulm", "text": "Ulm lies on the Danube."})
    + "\n"
    + json.dumps({"id": "long", "title": "Long", "text": "many words " * 8000})
    + "\n"
)


def _backend() -> RagBackend:
    return RagBackend(RagConfig(corpora={"test": CorpusConfig(path=str(_CORPUS))}))


class TestRag(BackendConformance):
    subject = Subject(
        backend=_backend,
        name="rag",
        calls=[
            ("corpora", {}),
            ("search", {"query": "Danube", "k": 2}),
            ("get", {"doc_id": "short"}),
            ("find", {"pattern": "Danube"}),
        ],
        loud=("get", {"doc_id": "long", "length": 100_000}),
    )
