"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

import os
import shutil

from agentflow_code.python import find_python
from agentflow_core.errors import SandboxError

__all__ = ["check_interpreter"]


async def check_interpreter() -> tuple[bool, str]:
    """Whether the server's interpreter can run sessions, which libraries it has, and how sessions start."""
    try:
        python = await find_python(None, "bwrap")
    except SandboxError as error:
        return False, f"{error.message}; {error.hint}"
    from importlib.util import find_spec

    there = [name for name in ("numpy", "pandas", "matplotlib", "duckdb") if find_spec(name) is not None]
    if os.geteuid() == 0 and shutil.which("bwrap"):
        start = "sessions are forked from a warm interpreter"
    else:
        start = "sessions start an interpreter each (a warm one needs root and bubblewrap)"
    return True, f"Python {python.version} with {', '.join(there) or 'no libraries'}; {start}"
