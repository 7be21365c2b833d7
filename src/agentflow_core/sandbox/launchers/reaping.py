"""Remove what a session of a process that is gone has left on the host."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from agentflow_core.sandbox.launchers.cgroups import kill_and_remove
from agentflow_core.sandbox.launchers.docker import remove_container
from agentflow_core.sandbox.launchers.processes import marked

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.ledger import Taken

__all__ = ["reap"]


async def reap(taken: Taken) -> None:
    """Kill and remove what a session of a process that is gone has left. Doing it twice does no harm."""
    for pid in marked(taken.session):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for group in taken.cgroups:
        await kill_and_remove(Path(group))
    if taken.container:
        await anyio.to_thread.run_sync(remove_container, taken.container)
    if taken.folder:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(taken.folder, ignore_errors=True))
