"""The pytest fixtures of AgentFlow. Loads into every pytest session, so each imports what it needs when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentflow_core.plugins import PluginHost
    from agentflow_core.testing.plugins import FakeDists


@pytest.fixture
def plugin_host() -> Iterator[Callable[..., PluginHost]]:
    """Build a `PluginHost` of given plugins: ``plugin_host(module, MetricSpec(…), files=[…])``."""
    from agentflow_core.testing.plugins import loaded_files_forgotten
    from agentflow_core.testing.plugins import plugin_host as build

    with loaded_files_forgotten():
        yield build


@pytest.fixture
def fake_dist(tmp_path: Path) -> Iterator[FakeDists]:
    """Install a distribution for the length of the test: ``fake_dist("agentflow-foo", "…source of plugin.py…")``."""
    from agentflow_core.testing.plugins import FakeDists

    with FakeDists(tmp_path / "site") as install:
        yield install
