"""The laws of the sandbox, tried on doc."""

from __future__ import annotations

from agentflow_core.testing.conformance import BackendConformance
from agentflow_doc.conformance import SUBJECT


class TestDoc(BackendConformance):
    subject = SUBJECT
