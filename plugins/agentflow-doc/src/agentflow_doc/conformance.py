"""What the laws of the sandbox are tried on, for ``agentflow doctor --conformance doc`` and for the tests."""

from __future__ import annotations

from agentflow_core.testing.subjects import Subject
from agentflow_doc.backend import DocBackend

__all__ = ["SUBJECT"]

#: On the bundled sample.
SUBJECT = Subject(
    backend=DocBackend,
    name="doc",
    calls=(
        ("list", {}),
        ("outline", {"doc": "sample.pdf"}),
        ("search", {"query": "lighthouse", "k": 2}),
        ("read", {"doc": "sample.pdf", "pages": "1"}),
        ("table", {"doc": "sample.pdf", "page": 2}),
        ("figure", {"doc": "sample.pdf", "page": 2}),
        ("page_image", {"doc": "sample.pdf", "page": 1, "dpi": 40}),
    ),
)
