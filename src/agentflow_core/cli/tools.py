"""``agentflow tools``: what the installed environments or a server offer, and one call of it, without a model."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentflow_core.cli.config import KINDS, kind_of
from agentflow_core.cli.terminal import printable, printable_line, table
from agentflow_core.concurrency import run_blocking
from agentflow_core.errors import UsageError
from agentflow_core.names import unknown_name
from agentflow_core.records.codec import dump
from agentflow_core.records.events import Event, Notice
from agentflow_core.records.results import TextContent
from agentflow_core.refs import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentflow_core.interfaces import SandboxClient
    from agentflow_core.records import ToolDefinition, ToolResult

__all__ = ["command"]


def common(function: Callable[..., None]) -> Callable[..., None]:
    """The options of every subcommand."""
    path = click.Path(path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--load", "files", type=path, multiple=True, metavar="F.py", help="Offer the tools of a file too."
        ),
        click.option("--config", type=path, metavar="F", help="A configuration with a sandbox."),
        click.option(
            "--sandbox-url",
            "urls",
            multiple=True,
            metavar="URL",
            help="Ask this sandbox server (token: AGENTFLOW_TOKEN); may be repeated.",
        ),
    ):
        function = option(function)
    return function


@click.group(name="tools")
def command() -> None:
    """List tools, show one, or call one."""


@command.command(name="list")
@common
def list_(config: Path | None, files: tuple[Path, ...], urls: tuple[str, ...], as_json: bool) -> None:
    """List every tool that is offered."""

    async def run() -> None:
        async with opened(config, files, urls) as sandbox:
            tools = await sandbox.list_tools()
        if as_json:
            click.echo(json.dumps([as_data(tool) for tool in tools], indent=2))
        else:
            click.echo(table(("TOOL", ""), [(tool.name, first_sentence(tool.description)) for tool in tools]))

    run_blocking(run)


@command.command
@click.argument("name")
@common
def show(name: str, config: Path | None, files: tuple[Path, ...], urls: tuple[str, ...], as_json: bool) -> None:
    """Show what a tool does and which arguments it takes."""

    async def run() -> None:
        async with opened(config, files, urls) as sandbox:
            tool = await find(sandbox, name)
            traits = sandbox.tool_traits(tool.name)
        if as_json:
            click.echo(json.dumps(as_data(tool), indent=2))
        else:
            click.echo(card(tool, sharing=str(traits["sharing"])))

    run_blocking(run)


@command.command
@click.argument("name")
@click.argument("arguments", metavar="JSON", default="{}")
@common
@click.pass_context
def call(
    ctx: click.Context,
    name: str,
    arguments: str,
    config: Path | None,
    files: tuple[Path, ...],
    urls: tuple[str, ...],
    as_json: bool,
) -> None:
    """Call a tool with a JSON object of arguments; exit 1 if it answers with a failure.

    Prints what a model would be shown, or with --json the whole result.
    """
    params = parsed(arguments)

    async def run() -> ToolResult:
        async with opened(config, files, urls) as sandbox:
            tool = await find(sandbox, name)
            return await sandbox.execute(tool.name, params)

    result = run_blocking(run)
    click.echo(json.dumps(dump(result), indent=2) if as_json else shown(result))
    if not result.ok:
        ctx.exit(1)


@asynccontextmanager
async def opened(config: Path | None, files: tuple[Path, ...], urls: tuple[str, ...]) -> AsyncIterator[SandboxClient]:
    """The sandbox at the URLs, else that of a configuration of any kind (default: everything that is installed)."""
    from agentflow_core.config import load_config, load_document, plugin_files
    from agentflow_core.plugins import PluginHost
    from agentflow_core.sandbox import Sandbox, SandboxConfig

    if config is None:
        host, settings = PluginHost.load(files=files), SandboxConfig()
    else:
        document = load_document(config)
        kind = kind_of(document)
        host = PluginHost.load(files=(*plugin_files(document), *files))
        loaded = load_config(resolve(KINDS[kind]), document, registry=host.registry).config
        settings = loaded if kind == "sandbox" else loaded.sandbox
    async with Sandbox(urls or None, config=settings, host=host, observe=tell) as sandbox:
        yield sandbox


def tell(event: Event) -> None:
    """Print what a backend says while it starts."""
    if isinstance(event, Notice):
        click.echo(printable_line(event.message), err=True)


async def find(sandbox: SandboxClient, name: str) -> ToolDefinition:
    """The tool of the name, or of the wire name. Raises `UnknownNameError` with a suggestion."""
    tools = await sandbox.list_tools()
    for tool in tools:
        if name in (tool.name, tool.wire_name):
            return tool
    raise unknown_name("tool", name, [tool.name for tool in tools])


def parsed(arguments: str) -> dict[str, Any]:
    """The object that the JSON text is. Raises `UsageError`."""
    hint = """write it like '{"query": "ships"}', in single quotes for the shell"""
    try:
        value = json.loads(arguments)
    except ValueError as error:
        raise UsageError(f"the arguments are not JSON: {error}", hint=hint) from error
    if not isinstance(value, dict):
        raise UsageError(f"the arguments are JSON, but a {type(value).__name__} and not an object", hint=hint)
    return value


def as_data(tool: ToolDefinition) -> dict[str, Any]:
    """The tool as JSON."""
    return {
        "name": tool.name,
        "wire_name": tool.wire_name,
        "description": tool.description,
        "parameters": tool.parameters,
    }


def first_sentence(text: str) -> str:
    """The first line, up to the first full stop."""
    return text.partition("\n")[0].partition(". ")[0].rstrip(".")


def card(tool: ToolDefinition, *, sharing: str) -> str:
    """The tool for people: name, description, a line an argument."""
    required = set(tool.parameters.get("required", ()))
    lines = []
    for name, schema in tool.parameters.get("properties", {}).items():
        default = "required" if name in required else f"default {json.dumps(schema.get('default'), ensure_ascii=False)}"
        lines.append((name, type_of(schema), default, schema.get("description", "")))
    arguments = table((), lines, indent=2) or "  none"
    about = f"{tool.name} (models see {tool.wire_name}; sessions: {sharing})"
    return f"{printable_line(about)}\n\n{printable(tool.description)}\n\nArguments:\n{arguments}"


def type_of(schema: dict[str, Any]) -> str:
    """The type of a JSON schema in a few words: ``integer 1..100``, ``"a"|"b"``, ``string[]``."""
    if "enum" in schema:
        return "|".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "anyOf" in schema:
        return "|".join(type_of(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{type_of(schema.get('items', {}))}[]"
    kind = schema.get("type", "any")
    text = "|".join(kind) if isinstance(kind, list) else str(kind)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return text
    return f"{text} {'' if low is None else low}..{'' if high is None else high}"


def shown(result: ToolResult) -> str:
    """What a model is shown, with a line for each part that is no text."""
    others = [f"[{part.type}]" for part in result.content if not isinstance(part, TextContent)]
    return printable("\n".join([*([result.shown] if result.shown else ()), *others]))
