"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import anyio.to_thread

from agentflow_core.errors import PluginError
from agentflow_rag.engines import ENGINES, load_engine

__all__ = ["check_engines"]


async def check_engines() -> tuple[bool, str]:
    """Whether the default engine can be imported, and which others can."""
    return await anyio.to_thread.run_sync(_look)


def _look() -> tuple[bool, str]:
    said = []
    works = {}
    for name, install in ENGINES.items():
        try:
            load_engine(name)
        except PluginError:
            works[name] = False
            said.append(f"{name}: not installed ({install})")
        else:
            works[name] = True
            said.append(f"{name} {_version(name)}")
    return works["tantivy"], "; ".join(said)


def _version(name: str) -> str:
    try:
        return version({"whoosh": "whoosh-reloaded"}.get(name, name))
    except PackageNotFoundError:
        return "of an unknown version"
