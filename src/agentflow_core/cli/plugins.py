"""``agentflow plugins``: what is installed, whether it works, and the beginning of a new one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from agentflow_core.cli.terminal import printable_line, table
from agentflow_core.errors import AgentFlowError
from agentflow_core.plugins import PluginHost, discover, tool_clashes
from agentflow_core.scaffold import KINDS, NewPlugin, check_owners, new_plugin, write_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentflow_core.contributions import Contribution
    from agentflow_core.plugins import Entry, PluginRow, Provider

__all__ = ["command"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")


@click.group(name="plugins")
def command() -> None:
    """List the installed plugins, check that they work, or begin a new one."""


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """List the installed plugins, from their metadata: imports none."""
    found = discover(os.environ)
    if as_json:
        click.echo(json.dumps([_row(row) for row in found.rows], indent=2))
    else:
        lines = [(row.name, row.distribution, row.version, row.status, row.reason) for row in found.rows]
        click.echo(table(("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", ""), lines))
    warn(found.notices)


@command.command
@json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Import every allowed plugin and everything that it points to; exit 1 if anything is broken."""
    found = discover(os.environ)
    host = PluginHost.of(found)
    clashes = tool_clashes(_tools(host))
    reports = [(row, [_report(host, spec, clashes) for spec in row.contributions]) for row in host.rows]
    if as_json:
        click.echo(json.dumps([_row(row) | {"contributions": parts} for row, parts in reports], indent=2))
    else:
        for row, parts in reports:
            click.echo(_heading(row, parts))
            if parts:
                lines = [
                    (part["kind"], part["name"], part["status"], part["reason"] or part["summary"]) for part in parts
                ]
                click.echo(table((), lines, indent=2))
    warn(found.notices)
    if any(row.is_left_out or any(part["status"] != "ok" for part in parts) for row, parts in reports):
        ctx.exit(1)


@command.command
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="backend", show_default=True, help="What it brings.")
@click.option(
    "--dir",
    "parent",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="D",
    help="Where its folder is made (default: here).",
)
def new(name: str, kind: str, parent: Path) -> None:
    """Write a new plugin: a distribution with an example that works, its tests and a README.

    NAME is like my-env: the distribution is agentflow-my-env, the package agentflow_my_env.
    """
    plugin = new_plugin(name, kind)
    check_owners(plugin, PluginHost.of(discover(os.environ)))
    folder = write_plugin(plugin, parent)
    click.echo(f"{folder}: a {kind} {plugin.name!r} that works, with its tests. Next:\n")
    for line in _next_commands(plugin, folder):
        click.echo(f"  {line}")
    click.echo(f"\nThen read {folder / 'README.md'} and make it your own.")


def _next_commands(plugin: NewPlugin, folder: Path) -> Iterator[str]:
    """What to type in a shell to install the plugin, test it, use it and build its wheel."""
    python, agentflow = _program("python", sys.executable), _program("agentflow", f"{sys.executable} -m agentflow_core")
    yield f"cd {shlex.quote(str(folder))}"
    yield f"{python} -m pip install -e . pytest"
    yield f"{python} -m pytest"
    if plugin.kind == "backend":
        yield f"{agentflow} doctor --conformance {plugin.name}"
    elif plugin.kind == "tool":
        yield f"""{agentflow} tools call {plugin.name}:weekday '{{"day": "1969-07-20"}}'"""
    else:
        yield f"{agentflow} plugins check"
    yield f"{python} -m pip wheel --no-deps --wheel-dir dist ."


def _program(name: str, otherwise: str) -> str:
    """The name, if a shell finds by it what this interpreter's environment has; else the whole command."""
    found = shutil.which(name)
    return name if found and Path(found).parent == Path(sys.executable).parent else otherwise


def _row(row: PluginRow) -> dict[str, Any]:
    shown = ("name", "distribution", "version", "module", "status", "reason")
    return {name: getattr(row, name) for name in shown}


def _report(host: PluginHost, spec: Contribution, clashes: Mapping[str, str]) -> dict[str, Any]:
    reason = _clash(host, spec, clashes)
    status = "clash" if reason else "ok"
    if not reason and (reason := _defect(host.registry.get(spec.kind, spec.name))):
        status = "broken"
    return {
        "kind": spec.kind,
        "name": spec.name,
        "target": spec.target,
        "config": spec.config,
        "summary": spec.summary,
        "status": status,
        "reason": reason,
    }


def _clash(host: PluginHost, spec: Contribution, clashes: Mapping[str, str]) -> str:
    if spec.name not in host.registry.names(spec.kind):
        try:
            host.registry.get(spec.kind, spec.name)
        except AgentFlowError as error:
            return error.message
    if spec.kind == "tool":
        return clashes.get(spec.name, "")
    group = f"{spec.name}:" if spec.kind == "backend" else "::"
    return "; ".join(dict.fromkeys(reason for tool, reason in clashes.items() if tool.startswith(group)))


def _defect(entry: Entry) -> str:
    """Why the contribution cannot be used, or nothing."""
    from agentflow_core.sandbox import Backend

    try:
        target = entry.resolve()
        if not callable(target):
            return f"its target {entry.spec.target!r} cannot be called"
        if entry.spec.kind == "backend" and not (isinstance(target, type) and issubclass(target, Backend)):
            return f"its target {entry.spec.target!r} is no subclass of Backend"
        config = entry.resolve_config()
        if config is not None and not attrs.has(config):
            return f"its config {entry.spec.config!r} is no attrs class"
        entry.resolve_offline()
        entry.resolve_subject()
    except AgentFlowError as error:
        return error.message.removeprefix(f"{entry}: ")
    return ""


def _tools(host: PluginHost) -> Iterator[tuple[str, Provider]]:
    """Every tool whose backend can be imported, and every API tool."""
    for entry in host.registry.entries("tool"):
        yield entry.spec.name, entry.provider
    for entry in host.registry.entries("backend"):
        if not _defect(entry):
            for tool in entry.resolve().tools():
                yield f"{entry.spec.name}:{tool}", entry.provider


def _heading(row: PluginRow, parts: list[dict[str, Any]]) -> str:
    broken = sum(part["status"] != "ok" for part in parts)
    verdict = f"{row.status}: {row.reason}" if row.reason else row.status
    if broken and row.status == "ok":
        verdict = f"{broken} of {len(parts)} contributions broken"
    return printable_line(f"{row.name} ({row.distribution} {row.version}): {verdict}")


def warn(notices: tuple[str, ...]) -> None:
    """Print what people should know about what was discovered."""
    for notice in notices:
        click.echo(f"WARNING: {printable_line(notice)}", err=True)
