"""``agentflow export``: a run in a training format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from agentflow_core.cli.terminal import printable
from agentflow_core.plugins import PluginHost
from agentflow_core.runs import RunReader

if TYPE_CHECKING:
    from agentflow_core.interfaces import Exporter

__all__ = ["command"]


@click.command(name="export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, metavar="FORMAT", help="The format, such as openai.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Where to write.")
@click.option(
    "--load", type=click.Path(path_type=Path), multiple=True, metavar="F.py", help="Load formats from a file."
)
def command(run: Path, form: str, output: Path, load: tuple[Path, ...]) -> None:
    """Write RUN in a training format: a conversation for each accepted pair, or for each answered task."""
    exporter = cast("Exporter", PluginHost.load(files=load).registry.get("exporter", form).build())
    models = {qa.model for qa in RunReader(run).qa()} | {found.model for found in RunReader(run).trajectories()}
    count = exporter.export(run, output)
    click.echo(f"{count} conversations in {printable(str(output))}")
    if "offline" in models:
        click.echo("warning: made by the offline model, a baseline of rules: not data to train on", err=True)
