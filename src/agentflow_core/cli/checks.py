"""What ``agentflow doctor`` asks of this machine on behalf of the core."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import anyio.to_thread

from agentflow_core.sandbox.client import default_state_dir

__all__ = ["check_python", "check_state"]


async def check_python() -> tuple[bool, str]:
    """Which interpreter runs, and on what."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.release()} on {platform.machine()}, {os.cpu_count()} cores"
    return True, f"{python} at {sys.executable}; {machine}"


async def check_state() -> tuple[bool, str]:
    """Whether a database can be kept in the state directory, and how much room there is."""
    return await anyio.to_thread.run_sync(_try_state)


def _try_state() -> tuple[bool, str]:
    folder = default_state_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=folder) as scratch:
            _write_database(Path(scratch) / "probe.sqlite")
        free_gb = shutil.disk_usage(folder).free / 1e9
    except (OSError, sqlite3.Error) as error:
        said = getattr(error, "strerror", None) or error
        return False, f"{folder} cannot be used: {said}; set AGENTFLOW_STATE to a folder on a local disk"
    return True, f"{folder}, {free_gb:.1f} GB free"


def _write_database(path: Path) -> None:
    """Keep a row in the mode that journals need, which network file systems often lack."""
    with closing(sqlite3.connect(path)) as database:
        (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"SQLite keeps no write-ahead log there, only {mode!r}")
        database.execute("CREATE TABLE probe (value)")
        database.execute("INSERT INTO probe VALUES (1)")
        database.commit()
