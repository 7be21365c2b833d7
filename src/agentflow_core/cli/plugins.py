"""``agentflow plugins``: what is installed, and whether it works."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import attrs
import click

from agentflow_core.cli.terminal import printable_line, table
from agentflow_core.errors import AgentFlowError
from agentflow_core.plugins import PluginHost, discover, tool_clashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentflow_core.contributions import Contribution
    from agentflow_core.plugins import Entry, PluginRow, Provider

__all__ = ["command"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")


@click.group(name="plugins")
def command() -> None:
    """List the installed plugins, or check that they work."""


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
    _warn(found.notices)


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
    _warn(found.notices)
    if any(row.is_left_out or any(part["status"] != "ok" for part in parts) for row, parts in reports):
        ctx.exit(1)


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


def _warn(notices: tuple[str, ...]) -> None:
    for notice in notices:
        click.echo(f"WARNING: {printable_line(notice)}", err=True)
