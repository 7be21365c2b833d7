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
    from collections.abc import Iterable

    from agentflow_core.plugins import Entry, PluginRow

__all__ = ["command"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")


@click.group(name="plugins")
def command() -> None:
    """List the installed plugins, or check that they work."""


@command.command(name="list")
@as_json
def list_(as_json: bool) -> None:
    """List the installed plugins, from their metadata: imports none."""
    found = discover(os.environ)
    if as_json:
        click.echo(json.dumps([_row(row) for row in found.rows], indent=2))
        return
    lines = [(row.name, row.distribution, row.version, row.status, row.reason) for row in found.rows]
    click.echo(table(("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", ""), lines))
    for notice in found.notices:
        click.echo(f"WARNING: {printable_line(notice)}", err=True)


@command.command
@as_json
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Import every allowed plugin and everything that it points to; exit 1 if anything is broken."""
    host = PluginHost.of(discover(os.environ))
    reports = [(row, _contributions(row, host)) for row in host.rows]
    if as_json:
        click.echo(json.dumps([_row(row) | {"contributions": parts} for row, parts in reports], indent=2))
    else:
        for row, parts in reports:
            click.echo(_heading(row, parts))
            click.echo(table((), [_line(part) for part in parts], indent=2), nl=bool(parts))
    if any(row.is_left_out or any(part["status"] != "ok" for part in parts) for row, parts in reports):
        ctx.exit(1)


def _row(row: PluginRow) -> dict[str, Any]:
    shown = ("name", "distribution", "version", "module", "status", "reason")
    return {name: getattr(row, name) for name in shown}


def _contributions(row: PluginRow, host: PluginHost) -> list[dict[str, Any]]:
    clashing = {id(entry.spec): entry for claimants in host.registry.clashes for entry in claimants}
    reports = []
    for spec in row.contributions:
        problem = _problem(host, spec.kind, spec.name)
        reports.append(
            {
                "kind": spec.kind,
                "name": spec.name,
                "target": spec.target,
                "config": spec.config,
                "summary": spec.summary,
                "status": ("clash" if id(spec) in clashing else "broken") if problem else "ok",
                "reason": problem,
            }
        )
    return reports


def _problem(host: PluginHost, kind: str, name: str) -> str:
    try:
        entry = host.registry.get(kind, name)
        if not callable(entry.resolve()):
            return f"its target {entry.spec.target!r} cannot be called"
        config = entry.resolve_config()
        if config is not None and not attrs.has(config):
            return f"its config {entry.spec.config!r} is no attrs class"
        entry.resolve_offline()
    except AgentFlowError as error:
        return error.message
    return ""


def _heading(row: PluginRow, parts: list[dict[str, Any]]) -> str:
    broken = sum(part["status"] != "ok" for part in parts)
    verdict = f"{row.status}: {row.reason}" if row.reason else row.status
    if broken and row.status == "ok":
        verdict = f"{broken} of {len(parts)} contributions broken"
    return printable_line(f"{row.name} ({row.distribution} {row.version}): {verdict}")


def _line(part: dict[str, Any]) -> Iterable[str]:
    return part["kind"], part["name"], part["status"], part["reason"] or part["summary"]
