"""The run directory: open it alone, plan units, keep what they found, derive files from it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from attrs import field, frozen

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import AgentFlowError, LimitReached, RunConflictError, RunError
from agentflow_core.interfaces import Unit
from agentflow_core.records import Usage
from agentflow_core.records.codec import dump, load
from agentflow_core.records.events import Event, Notice
from agentflow_core.runs.files import storage_error, write_atomic
from agentflow_core.runs.forking import copy_unchanged
from agentflow_core.runs.index import default_run_dir
from agentflow_core.runs.journal import Journal
from agentflow_core.runs.keys import canonical, differences, stage_digest, unit_key
from agentflow_core.runs.lock import RunLock
from agentflow_core.runs.manifest import SCHEMA, read_manifest
from agentflow_core.runs.plan import Plan
from agentflow_core.runs.status import STATUSES
from agentflow_core.runs.summary import summary_markdown

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from agentflow_core.runs.ledger import Entry

__all__ = ["Run", "UnitFailure", "UnitRecords", "default_run_dir"]
