"""Remove what a session of a process that is gone has left on the host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from agentflow_core.sandbox.folders import remove_folder
from agentflow_core.sandbox.launchers.cgroups import kill_and_remove
from agentflow_core.sandbox.launchers.docker import remove_container
from agentflow_core.sandbox.launchers.processes import kill_marked

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.ledger import Taken

__all__ = ["reap"]


async def reap(taken: Taken) -> None:
    """Kill and remove what a session of a process that is gone has left. Doing it twice does no harm.

    Raises:
        OSError: a folder or group could not be removed.
        SandboxError: no Docker engine answers.
    """
    kill_marked(taken.session)
    for group in taken.cgroups:
        await kill_and_remove(Path(group))
    if taken.container:
        await anyio.to_thread.run_sync(remove_container, taken.container)
    if taken.folder and not await anyio.to_thread.run_sync(remove_folder, Path(taken.folder)):
        raise OSError(f"{taken.folder} could not be removed")
