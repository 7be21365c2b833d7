"""The laws of the sandbox, tried on web."""

from __future__ import annotations

from agentflow_core.testing.conformance import BackendConformance
from agentflow_websearch.conformance import SUBJECT


class TestWeb(BackendConformance):
    subject = SUBJECT
