"""Settings of whole machines under QEMU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import frozen

from agentflow_core.config import option

__all__ = ["QemuConfig"]


@frozen(kw_only=True)
class QemuConfig:
    """A whole machine a session, over an image that is not written to."""

    image: Path | None = option(
        None,
        help="the folder that python -m agentflow_vm build-image made (default: the newest), or a qcow2 or raw disk",
        path=True,
    )
    accel: Literal["auto", "kvm", "tcg"] = option(
        "auto",
        help="kvm, which runs QEMU outside of the launcher; tcg: emulation; auto: what the image was made with, "
        "for a disk kvm where it can be used",
    )
    memory_mb: int = option(1024, help="of the machine, where a disk is the image", at_least=32)
    cpus: int = option(2, help="of the machine, where a disk is the image", at_least=1, at_most=64)
    disk_mb: int = option(16384, help="what a session's changes and snapshots may take on disk", at_least=64)
    overhead_mb: int = option(768, help="memory that QEMU may take beyond the machine's own", at_least=128)
    guest_agent: bool = option(False, help="where a disk is the image: does qemu-guest-agent run in it")
    user: str = option("agent", help="the user of the desktop, as whom programs are started")
    display: str = option(":0", help="DISPLAY of the desktop")
    env: Mapping[str, str] = option(factory=dict, help="environment variables of programs that are started")
    apps: tuple[str, ...] = option((), help="command lines that a session begins with; needs a way in")
    programs: Mapping[str, str] = option(
        factory=lambda: {"terminal": "xterm"}, help="names for command lines, for vm:launch"
    )
    files: Mapping[str, Path] = option(
        factory=dict, help="files that are copied into the user's home, by their path there; needs a way in", path=True
    )
    network: Literal["off", "user"] = option(
        "off", help="user: what the launcher's own network reaches, by QEMU's user mode network"
    )
    boot_s: float = option(300.0, help="seconds in which a machine has begun that has no kept state", at_least=1.0)
    executable: str = option("qemu-system-x86_64", help="the program")
