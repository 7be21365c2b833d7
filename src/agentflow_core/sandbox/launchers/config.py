"""Settings of launchers, and the launcher that they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.sandbox.launchers.uids import FIRST_UID, UidRange

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.ledger import Ledger
    from agentflow_core.sandbox.launchers.spec import Launcher

__all__ = ["LauncherConfig", "launcher_of"]


@frozen(kw_only=True)
class LauncherConfig:
    """How sessions are confined. What they may take is the backends' own setting."""

    kind: Literal["bwrap", "docker", "none"] = option(
        "bwrap", help="bwrap, docker, or none: no isolation at all, for trusted code"
    )
    folder: Path | None = option(
        None, help="where control folders stand (default: /run/agentflow, or the user's own)", path=True
    )
    first_uid: int = option(FIRST_UID, help="as root: first of the host's uids that sessions get", at_least=1)
    uids: int = option(4096, help="as root: how many uids there are for sessions", at_least=1)
    image: str | None = option(None, help="docker: the image that sessions run in; it must be there already")
    runtime: str | None = option(None, help="docker: another runtime, such as runsc")


def launcher_of(config: LauncherConfig, *, ledger: Ledger | None = None) -> Launcher:
    """The launcher, to be opened with ``async with``; never another than the one that was asked for.

    Raises:
        SandboxError: ``invalid_argument``: docker without an image.
    """
    uids = UidRange(first=config.first_uid, count=config.uids)
    if config.kind == "none":
        from agentflow_core.sandbox.launchers.bare import BareLauncher

        return BareLauncher(folder=config.folder, ledger=ledger)
    if config.kind == "docker":
        from agentflow_core.sandbox.launchers.docker import DockerLauncher

        return DockerLauncher(
            image=config.image, runtime=config.runtime, folder=config.folder, uids=uids, ledger=ledger
        )
    from agentflow_core.sandbox.launchers.bwrap import BwrapLauncher

    return BwrapLauncher(folder=config.folder, uids=uids, ledger=ledger)
