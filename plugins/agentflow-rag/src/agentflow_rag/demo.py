"""The demo of the plugin: a small synthesis over the bundled corpus."""

from __future__ import annotations

from importlib import resources
from typing import Any

__all__ = ["demo"]


def demo() -> dict[str, Any]:
    """The configuration of the demo: every bundled seed, the bundled corpus."""
    return {
        "seeds": {"path": str(resources.files("agentflow_rag").joinpath("data", "facts-seeds.jsonl"))},
        "tools": ["rag:*"],
        "sampling": {"max_depth": 4, "branching_factor": 2, "depth_threshold": 2},
    }
