"""The laws of the sandbox, tried on the browser."""

from __future__ import annotations

import pytest

from agentflow_browser.conformance import browser_subject
from agentflow_core.testing.conformance import BackendConformance

pytestmark = pytest.mark.timeout(400)


class TestBrowser(BackendConformance):
    """With what this machine lets us hold it apart by."""

    subject = browser_subject()
