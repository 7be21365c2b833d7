"""``agentflow import``: a run made of what others wrote."""

from __future__ import annotations

from pathlib import Path

import click

from agentflow_core.cli.terminal import printable

__all__ = ["command"]


@click.command(name="import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--from", "form", required=True, metavar="FORM", help="agentflow (the earlier one), atif or openai.")
@click.option(
    "--run", "run_dir", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The run directory to make."
)
def command(path: Path, form: str, run_dir: Path) -> None:
    """Make a run of PATH, which score and export read like any other.

    What has no place in a run is named once, with how often it came.
    """
    from agentflow_core.importing import import_run

    imported = import_run(path, form, run_dir)
    what = "pairs" if imported.kind == "synthesis" else "samples"
    click.echo(f"{imported.count} {what} in {printable(str(imported.run_dir))}, a {imported.kind}")
    for line in imported.notes.lines():
        click.echo(printable(line), err=True)
