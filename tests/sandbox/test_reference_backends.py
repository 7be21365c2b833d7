"""The reference backends keep every law."""

from __future__ import annotations

from agentflow_core.testing.backends import COUNTER, GLOSSARY, PAGES
from agentflow_core.testing.conformance import BackendConformance


class TestCounter(BackendConformance):
    subject = COUNTER


class TestGlossary(BackendConformance):
    subject = GLOSSARY


class TestPages(BackendConformance):
    subject = PAGES
