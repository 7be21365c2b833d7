"""The tool that benchmarks call: cheap, and its words are new each time."""

from __future__ import annotations

import hashlib

from agentflow_core import register_api_tool


@register_api_tool(name="bench:echo")
async def echo(text: str) -> str:
    """Answer with words made from the text.

    Args:
        text: anything.
    """
    return " ".join(hashlib.sha256(f"{text}{n}".encode()).hexdigest()[:8] for n in range(40))
