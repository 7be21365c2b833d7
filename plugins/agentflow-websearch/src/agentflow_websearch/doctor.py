"""What ``agentflow doctor`` asks of this plugin: which keys are set, and whether pages can be read. Asks no network."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from agentflow_websearch.config import WebConfig
from agentflow_websearch.opening import keys_of

__all__ = ["check_providers"]


async def check_providers() -> tuple[bool, str]:
    """Whether pages can be read here; names the search providers that can be asked."""
    keys = keys_of(WebConfig(), os.environ)
    said = [
        f"serper: {'SERPER_API_KEY is set' if keys.serper else 'set SERPER_API_KEY'}",
        f"searxng: {'SEARXNG_URL is set' if keys.searxng else 'set SEARXNG_URL'}",
        f"jina: {'JINA_API_KEY is set' if keys.jina else 'no JINA_API_KEY'}",
    ]
    try:
        said.append(f"local: trafilatura {version('trafilatura')}")
    except PackageNotFoundError:
        return False, "; ".join([*said, "local: pip install trafilatura"])
    if not (keys.serper or keys.searxng):
        said.append("web:search has nobody to ask; web:visit works")
    return True, "; ".join(said)
