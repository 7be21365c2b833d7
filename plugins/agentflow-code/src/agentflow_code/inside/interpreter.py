"""The user's namespace, for functions of ours that run in the interpreter."""

from __future__ import annotations

from typing import Any

from agentflow_code.inside.shell import current

__all__ = ["namespace"]


def namespace() -> dict[str, Any]:
    """The variables of the user's code, as they are: to look up, not to change."""
    found: dict[str, Any] = current().user_ns
    return found
