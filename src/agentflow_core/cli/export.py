"""``agentflow export``: a run in a training format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from agentflow_core.cli.terminal import printable
from agentflow_core.plugins import PluginHost

if TYPE_CHECKING:
    from agentflow_core.interfaces import Exporter

__all__ = ["command"]


@click.command(name="export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, metavar="FORMAT", help="The format, such as openai; see below.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Where to write.")
@click.option(
    "--where",
    metavar="EXPR",
    help="Only what this holds for, such as \"scores.f1_score.value >= 0.8 and outcome == 'answered'\".",
)
@click.option(
    "--split",
    type=float,
    metavar="0.9",
    help="Part into PATH's .train and .validation files, this share for training.",
)
@click.option(
    "--split-by",
    type=click.Choice(["document", "seed", "task"]),
    help="What stays on one side; default: documents and seeds of a synthesis, tasks of a rollout.",
)
@click.option(
    "--load", type=click.Path(path_type=Path), multiple=True, metavar="F.py", help="Load formats from a file."
)
def command(
    run: Path,
    form: str,
    output: Path,
    where: str | None,
    split: float | None,
    split_by: Any,
    load: tuple[Path, ...],
) -> None:
    """Write RUN in a training format: what was accepted, or how tasks were done.

    \b
    openai    JSON Lines of messages and tools, for fine-tuning
    trl       JSON Lines of messages and tools, for TRL
    trl-dpo   JSON Lines of prompt, chosen and rejected, for TRL
    sharegpt  JSON Lines of conversations, for LLaMA-Factory
    verl      Parquet of prompts with their ground truth, for verl
    atif      a folder of trajectories in ATIF 1.7
    parquet   a typed table     csv   a flat one

    What was written is read back and checked, and a card comes with it: PATH.card.md, or README.md in a folder.
    """  # noqa: D301 (click reads the backspace)
    from agentflow_core.export import Selection, export_run
    from agentflow_core.export.card import OFFLINE

    exporter = cast("Exporter", PluginHost.load(files=load).registry.get("exporter", form).build())
    selection = Selection(where=where, split=split, split_by=split_by)
    exported = export_run(exporter, run, output, format=form, selection=selection)
    for file in exported.files:
        click.echo(f"{file.count} {exported.noun} in {printable(str(file.path))}")
    for reason, count in sorted(exported.left_out.items()):
        click.echo(f"left out: {count} with {reason}")
    click.echo(f"the card is {printable(str(exported.card))}")
    if exported.models.get(OFFLINE):
        click.echo("warning: made by the offline model, a baseline of rules: not data to train on", err=True)
