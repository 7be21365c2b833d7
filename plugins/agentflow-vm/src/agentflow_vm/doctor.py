"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

import shutil
import subprocess
from typing import Final

import anyio.to_thread

__all__ = ["check_machines"]

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_XVNC: Final = {
    "Xtigervnc": "tigervnc-standalone-server",
    "xkbcomp": "x11-xkb-utils",
    "openbox": "openbox",
    "python3": "python3",
}


async def check_machines() -> tuple[bool, str]:
    """Whether desktops of processes can be started here, and what there is for whole machines."""
    return await anyio.to_thread.run_sync(_look)


def _look() -> tuple[bool, str]:
    lacking = [package for program, package in _XVNC.items() if shutil.which(program, path=_PATH) is None]
    qemu = shutil.which("qemu-system-x86_64")
    whole = "qemu is there" if qemu else "no qemu: apt-get install qemu-system-x86 qemu-utils"
    if lacking:
        return False, f"no xvnc desktops: apt-get install {' '.join(lacking)}; {whole}"
    told = subprocess.run(["Xtigervnc", "-version"], capture_output=True, text=True, check=False).stderr
    version = next((line.strip() for line in told.splitlines() if "TigerVNC" in line), "Xtigervnc")
    terminal = "" if shutil.which("xterm", path=_PATH) else "; no xterm: apt-get install xterm"
    return True, f"{version.partition(' - ')[0]}{terminal}; {whole}"
