"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

import anyio.to_thread

from agentflow_vm.image.images import DESCRIPTION, images_folder
from agentflow_vm.machines.accel import why_no_kvm

__all__ = ["check_machines"]

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_XVNC: Final = {
    "Xtigervnc": "tigervnc-standalone-server",
    "xkbcomp": "x11-xkb-utils",
    "openbox": "openbox",
    "python3": "python3",
}
_QEMU: Final = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}


async def check_machines() -> tuple[bool, str]:
    """Whether desktops of processes can be started here, and what there is for whole machines."""
    return await anyio.to_thread.run_sync(_look)


def _look() -> tuple[bool, str]:
    lacking = [package for program, package in _XVNC.items() if not _found(program)]
    whole = _whole_machines()
    if lacking:
        return False, f"no xvnc desktops: apt-get install {' '.join(lacking)}; {whole}"
    told = subprocess.run([_found("Xtigervnc"), "-version"], capture_output=True, text=True, check=False).stderr
    version = next((line.strip() for line in told.splitlines() if "TigerVNC" in line), "Xtigervnc")
    terminal = "" if _found("xterm") else "; no xterm: apt-get install xterm"
    return True, f"{version.partition(' - ')[0]}{terminal}; {whole}"


def _found(program: str) -> str:
    """Where sessions find the program; empty if they do not."""
    return shutil.which(program, path=_PATH) or ""


def _whole_machines() -> str:
    """What there is for ``machine: qemu``."""
    if lacking := [package for program, package in _QEMU.items() if shutil.which(program) is None]:
        return f"no qemu: apt-get install {' '.join(lacking)}"
    how = "by emulation" if why_no_kvm() else "by KVM"
    folder = images_folder()
    count = len(list(folder.glob(f"*/{DESCRIPTION}")))
    if not count:
        return f"qemu {how}, without an image in {folder}: python -m agentflow_vm build-image"
    return f"qemu {how}, with {count} image{'s' if count > 1 else ''} in {folder}"
