"""``agentflow runs``: what runs there are, how one stands, and what was seen in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from agentflow_core.cli.terminal import printable, table
from agentflow_core.errors import RunError
from agentflow_core.runs.card import end_card
from agentflow_core.runs.images import write_images
from agentflow_core.runs.index import RunRow, describe_run, list_runs
from agentflow_core.runs.reader import RunReader

__all__ = ["command"]


@click.group("runs", no_args_is_help=True)
def command() -> None:
    """List runs, show one, or write its images."""


@command.command("list")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def list_(directory: Path | None, as_json: bool) -> None:
    """List the runs in DIR (default: runs). One that cannot be read is listed with the reason."""
    base = directory or Path("runs")
    rows = list_runs(base) if directory or base.exists() else []
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=2))
    elif not rows:
        click.echo(f"no runs in {printable(str(base))}; one is made by: agentflow demo")
    else:
        click.echo(table(["run", "kind", "status", "units", "result", "cost", "made"], map(_cells, rows)))


@command.command("show")
@click.argument("directory", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the row, the manifest and the summary.")
def show(directory: Path, as_json: bool) -> None:
    """Show how the run in the directory RUN stands, what it found and what it cost."""
    row = describe_run(directory)
    if row.status == "broken":
        raise RunError(row.reason)
    reader = RunReader(directory)
    if as_json:
        whole = {**row.to_json(), "run": reader.manifest, "summary": reader.summary()}
        click.echo(json.dumps(whole, indent=2))
        return
    summary = {"kind": row.kind, **reader.summary(), "status": row.status}
    click.echo(end_card(summary, directory), nl=False)
    facts = [["units", _outcomes(row)], ["made", row.created], *_versions(reader.manifest)]
    click.echo("\nRun\n" + table([], facts, indent=2))


@command.command("images")
@click.argument("directory", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), help="The folder.  [default: RUN/images]"
)
def images(directory: Path, output: Path | None) -> None:
    """Write the images that were shown in the run RUN, such as screenshots, as files to look at."""
    folder = output or directory / "images"
    count = write_images(RunReader(directory), folder)
    click.echo(f"{count} images in {printable(str(folder))}" if count else "no images were shown in this run")


def _cells(row: RunRow) -> list[str]:
    if row.status == "broken":
        return [row.dir.name, "", "broken", "", row.reason, "", ""]
    cost = "" if row.cost_usd is None else f"${row.cost_usd:.4g}"
    return [row.dir.name, row.kind, row.status, _units(row), _result(row), cost, row.created]


def _units(row: RunRow) -> str:
    return f"{row.finished}" + (f" + {row.failed} failed" if row.failed else "")


def _outcomes(row: RunRow) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in row.outcomes.items()) or "none finished"


def _result(row: RunRow) -> str:
    if row.metrics:
        return ", ".join(f"{name} {mean:.3f}" for name, mean in list(row.metrics.items())[:3])
    return ", ".join(f"{name} {value}" for name, value in list(row.counts.items())[:3])


def _versions(manifest: dict[str, Any]) -> list[list[str]]:
    versions = manifest.get("versions")
    return [[str(name), str(version)] for name, version in versions.items()] if isinstance(versions, dict) else []
