"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

import anyio.to_thread

from agentflow_core.sandbox.beneath import is_supported

__all__ = ["check_shell"]

_OLDEST: Final = (5, 0)


async def check_shell() -> tuple[bool, str]:
    """Whether this machine's bash is new enough, and whether the files of sessions can be confined."""
    return await anyio.to_thread.run_sync(_look)


def _look() -> tuple[bool, str]:
    works, said = _shell()
    if not is_supported():
        works = False
        said += "; no openat2 (Linux 5.6 or later): the tools for files are refused"
    return works, said


def _shell() -> tuple[bool, str]:
    path = shutil.which("bash", path="/bin:/usr/bin:/usr/local/bin")
    if path is None:
        return False, "no bash: apt-get install bash"
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)", told)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        return False, f"{path} is older than 5.0: {told.splitlines()[0] if told else 'it tells no version'}"
    terminal = (
        "" if shutil.which("python3") or shutil.which("script") else "; no python3 or script: no terminals for jobs"
    )
    return True, f"{path} {found[1]}.{found[2]}{terminal}"
