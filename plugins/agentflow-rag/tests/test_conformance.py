"""The laws of the sandbox, tried on rag."""

from __future__ import annotations

from agentflow_core.testing.conformance import BackendConformance
from agentflow_rag.conformance import SUBJECT


class TestRag(BackendConformance):
    subject = SUBJECT
