"""Tools that tests of the server load into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import anyio

from agentflow_core import register_api_tool
from agentflow_core.sandbox import Range


@register_api_tool(name="probe:echo", read_only=True)
async def echo(text: str = "hi") -> str:
    """Answer the text.

    Args:
        text: anything.
    """
    return text


@register_api_tool(name="probe:meet")
async def meet(port: Annotated[int, Range(1, 65535)], tally: str = "") -> str:
    """Tell a listener that the call runs, write a line in a file, and wait for what the listener says.

    Args:
        port: where the listener is.
        tally: the file.
    """
    if tally:
        with Path(tally).open("a") as file:  # noqa: ASYNC230 - a few bytes
            file.write("ran\n")
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        return (await stream.receive()).decode()


@register_api_tool(name="probe:big", read_only=True)
async def big(size: Annotated[int, Range(1, 100_000_000)]) -> str:
    """Print much.

    Args:
        size: how many bytes.
    """
    return "x" * size


@register_api_tool(name="probe:environ", read_only=True)
async def environ(name: str) -> dict[str, str | None]:
    """Read a variable of the server's environment.

    Args:
        name: its name.
    """
    return {"value": os.environ.get(name)}
