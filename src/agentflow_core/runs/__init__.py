"""Runs: the directory, its journal, resume, progress and the index of runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentflow_core.runs.card import end_card as end_card
    from agentflow_core.runs.card import rich_card as rich_card
    from agentflow_core.runs.config import RunConfig as RunConfig
    from agentflow_core.runs.directory import Run as Run
    from agentflow_core.runs.directory import UnitRecords as UnitRecords
    from agentflow_core.runs.failures import UnitFailure as UnitFailure
    from agentflow_core.runs.files import loaded_text as loaded_text
    from agentflow_core.runs.files import stored_text as stored_text
    from agentflow_core.runs.index import RunRow as RunRow
    from agentflow_core.runs.index import default_run_dir as default_run_dir
    from agentflow_core.runs.index import list_runs as list_runs
    from agentflow_core.runs.opening import Finished as Finished
    from agentflow_core.runs.opening import RunOptions as RunOptions
    from agentflow_core.runs.opening import Workshop as Workshop
    from agentflow_core.runs.opening import conduct as conduct
    from agentflow_core.runs.opening import open_workshop as open_workshop
    from agentflow_core.runs.opening import raise_failure as raise_failure
    from agentflow_core.runs.preparing import Prepared as Prepared
    from agentflow_core.runs.preparing import prepare as prepare
    from agentflow_core.runs.progress import open_progress as open_progress
    from agentflow_core.runs.reader import RunReader as RunReader
    from agentflow_core.runs.stages import StageReport as StageReport
    from agentflow_core.runs.stages import UnitJournal as UnitJournal
    from agentflow_core.runs.stages import run_stage as run_stage
    from agentflow_core.runs.status import exit_code as exit_code
    from agentflow_core.runs.stop import StopSignal as StopSignal

# imported at first use: listing runs needs neither models nor a sandbox
_HOMES = {
    "Finished": "opening",
    "Prepared": "preparing",
    "Run": "directory",
    "RunConfig": "config",
    "RunOptions": "opening",
    "RunReader": "reader",
    "RunRow": "index",
    "StageReport": "stages",
    "StopSignal": "stop",
    "UnitFailure": "failures",
    "UnitJournal": "stages",
    "UnitRecords": "directory",
    "Workshop": "opening",
    "conduct": "opening",
    "default_run_dir": "index",
    "end_card": "card",
    "exit_code": "status",
    "list_runs": "index",
    "loaded_text": "files",
    "open_progress": "progress",
    "open_workshop": "opening",
    "prepare": "preparing",
    "raise_failure": "opening",
    "rich_card": "card",
    "run_stage": "stages",
    "stored_text": "files",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
