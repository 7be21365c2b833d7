"""How a run can stand, and the exit code that says so."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["STATUSES", "Status", "exit_code"]

#: ``running`` is what the file of a killed run says too; `agentflow_core.runs.index` tells the two apart.
Status = Literal["running", "complete", "limited", "interrupted", "failed"]
STATUSES: tuple[str, ...] = get_args(Status)
_EXIT_CODES = {"complete": 0, "failed": 1, "limited": 3, "interrupted": 130}


def exit_code(status: str) -> int:
    """0 complete, 1 failed, 3 a limit was reached (resumable), 130 stopped by a signal (resumable)."""
    return _EXIT_CODES.get(status, 1)
