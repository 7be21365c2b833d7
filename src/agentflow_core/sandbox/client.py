"""The sandbox as people and pipelines use it, in this process: nothing to start, workers as views."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import SandboxError
from agentflow_core.interfaces import SandboxClient, SandboxWorker, SessionInfo
from agentflow_core.records import ToolDefinition, ToolResult
from agentflow_core.records.events import Event
from agentflow_core.sandbox.batch import run_batch
from agentflow_core.sandbox.catalog import Catalog
from agentflow_core.sandbox.config import SandboxConfig
from agentflow_core.sandbox.engine import SandboxEngine, ignore

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from agentflow_core.plugins import PluginHost
    from agentflow_core.sandbox.blocking import BlockingSandbox

__all__ = ["Sandbox"]
