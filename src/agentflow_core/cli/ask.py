"""``agentflow ask``: one question, one answer, and how it was found."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentflow_core.cli.terminal import printable
from agentflow_core.concurrency import run_blocking
from agentflow_core.evaluation import aquick_rollout
from agentflow_core.plugins import PluginHost

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command"]


@click.command(name="ask")
@click.argument("question")
@click.option(
    "--tool",
    "tools",
    multiple=True,
    metavar="T",
    help="Offer this tool, such as rag:search or 'rag:*'; may be repeated (default: all).",
)
@click.option(
    "--model", default="offline", metavar="M", show_default=True, help="The model: offline, or a model's name."
)
@click.option("--url", metavar="URL", help="An OpenAI-compatible URL that serves the model.")
@click.option(
    "--sandbox-url",
    "sandbox_urls",
    multiple=True,
    metavar="URL",
    help="Use the tools of this sandbox server (token: AGENTFLOW_TOKEN); may be repeated.",
)
@click.option("--max-turns", default=20, show_default=True, help="Model calls at most.")
@click.option("--load", type=click.Path(path_type=Path), multiple=True, metavar="F.py", help="Load tools from a file.")
@click.option("--json", "as_json", is_flag=True, help="Print answer, trajectory and usage as JSON.")
def command(
    question: str,
    tools: tuple[str, ...],
    model: str,
    url: str | None,
    sandbox_urls: tuple[str, ...],
    max_turns: int,
    load: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Let an agent answer QUESTION with tools. Exit code 1 if it gives no answer."""
    host = PluginHost.load(files=load)
    ask = partial(
        aquick_rollout,
        question,
        tools=tools or ("*",),
        model_name=model,
        base_url=url,
        max_turns=max_turns,
        sandbox_url=sandbox_urls or None,
        host=host,
    )
    result = run_blocking(ask)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))
    else:
        for line in _steps(result["trajectory"]):
            click.echo(printable(line), err=True)
        click.echo(printable(result["answer"] or f"no answer: {result['error'] or result['outcome']}"))
    if not result["success"]:
        sys.exit(1)


def _steps(trajectory: Mapping[str, Any]) -> list[str]:
    """A line a tool call: what was called, how it ended."""
    calls = [call["function"] for message in trajectory["messages"] for call in message.get("tool_calls", ())]
    tools = [tool for step in trajectory["steps"] for tool in step["tools"]]
    return [
        f"  {tool['tool']} {call['arguments']}" + ("" if tool["code"] == "ok" else f"  [{tool['code']}]")
        for call, tool in zip(calls, tools, strict=False)
    ]
