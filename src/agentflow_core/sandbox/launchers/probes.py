"""Can this machine confine sessions? For ``agentflow doctor``."""

from __future__ import annotations

import anyio.to_thread

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.bwrap import BwrapLauncher
from agentflow_core.sandbox.launchers.cgroups import find_hierarchies
from agentflow_core.sandbox.launchers.docker import connect

__all__ = ["probe_bwrap", "probe_docker"]


async def probe_bwrap() -> tuple[bool, str]:
    """Does bubblewrap confine here, and which limits hold?"""
    try:
        async with BwrapLauncher():
            pass
    except SandboxError as error:
        return False, str(error)
    hierarchies = find_hierarchies()
    held = {name: hierarchies.holder(name) for name in ("memory", "pids", "cpu")}
    told = ", ".join(f"{name} by {holder}" for name, holder in held.items() if holder != "none")
    missing = ", ".join(name for name, holder in held.items() if holder == "none")
    if missing:
        return (
            True,
            f"works; no control group holds {missing}: run it in a delegated group (systemd-run --user --scope -p Delegate=yes …)",
        )
    return True, f"works; limits of {told}"


async def probe_docker() -> tuple[bool, str]:
    """Does a Docker engine answer?"""

    def version() -> str:
        client = connect()
        try:
            return str(client.version()["Version"])
        finally:
            client.close()

    try:
        return True, f"Docker engine {await anyio.to_thread.run_sync(version)}"
    except SandboxError as error:
        return False, str(error)
