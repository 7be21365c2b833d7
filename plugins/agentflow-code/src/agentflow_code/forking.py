"""Make a second session like a first one: what was done in it is done again, then it gets a copy of the files.

An interpreter cannot be forked where it is, since nothing that has entered a session can leave it again. So all that has
made the first session what it is, is done again in order: cells, installs, files that were put there. After a restart of
the interpreter that is not known any more; then the fork begins with a copy of the workspace. What the cells write is
replaced at the end by what the first one has, so that appending twice is appending once.

No path of a session's workspace is ever written by the server while something runs there that could put a link in its
way: the copy is taken before the second session starts, and the files are put back by that session itself.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.copying import copy_folder
from agentflow_core.sandbox.launchers.folders import give

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentflow_code.session import CodeSession, Past

__all__ = ["ORIGINAL", "check_past", "part_hard_links", "run_again", "snapshot"]

#: Where a fork sees the files of the session that it is made like.
ORIGINAL: Final = "/original"


def check_past(past: Sequence[Past]) -> None:
    """Raise `SandboxError` with ``conflict`` if a session's past cannot be done a second time."""
    for number, step in enumerate(past, 1):
        if step.interrupted:
            raise SandboxError(
                f"step {number} of the session was interrupted: what it left cannot be made a second time",
                code="conflict",
                hint="fork before such a step, or reset the session",
            )


async def snapshot(source: Path, target: Path, limit_bytes: int) -> None:
    """Copy a workspace whose session may be running into an empty folder that no session writes.

    Raises:
        SandboxError: ``disk_limit`` or ``conflict``.
    """
    await anyio.to_thread.run_sync(lambda: copy_folder(source, target, limit_bytes=limit_bytes))


async def run_again(child: CodeSession, past: Sequence[Past], original: Path, inside: str, timeout_s: float) -> None:
    """Do all again in the fork, then let it replace its files by the original ones, which it sees as ``inside``.

    Raises:
        SandboxError: ``conflict``: a step ends otherwise than it did.
    """
    for number, step in enumerate(past, 1):
        if not await child.repeat(step, timeout_s):
            raise SandboxError(f"step {number} of the session does not end as it did", code="conflict")
    if child.uid is not None:
        await anyio.to_thread.run_sync(give, original, child.uid)
    payload = {"source": inside, "target": child.workspace}
    reply = await child.call("agentflow_code.inside.files:take_over", payload, timeout_s)
    if reply.failure is not None:
        raise SandboxError(f"the files cannot be taken over: {reply.failure.message}", code="conflict")


def part_hard_links(folder: Path) -> None:
    """Make each of several names of a file a file of its own, in a workspace in which nothing runs.

    Only so can it become the property of another uid.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            info = os.stat(path, follow_symlinks=False)
            if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
                shutil.copyfile(path, f"{path}.parted")
                os.chmod(f"{path}.parted", stat.S_IMODE(info.st_mode) & 0o777)
                os.rename(f"{path}.parted", path)
