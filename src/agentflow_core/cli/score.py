"""``agentflow score``: grade stored trajectories by other metrics; nothing runs again."""

from __future__ import annotations

import json
from pathlib import Path

import click

from agentflow_core.concurrency import run_blocking
from agentflow_core.evaluation.rescoring import rescore
from agentflow_core.plugins import PluginHost
from agentflow_core.runs import end_card

__all__ = ["command"]


@click.command(name="score")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--metric", "metrics", multiple=True, required=True, metavar="M", help="A metric; may be repeated.")
@click.option("--judge", metavar="MODEL", help="The model of judging metrics, such as openai/gpt-4.1.")
@click.option(
    "--load", type=click.Path(path_type=Path), multiple=True, metavar="F.py", help="Load metrics from a file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(run: Path, metrics: tuple[str, ...], judge: str | None, load: tuple[Path, ...], as_json: bool) -> None:
    """Score the rollout in RUN by other metrics, and write scores.jsonl; nothing else of the run changes."""
    host = PluginHost.load(files=load)
    summary = run_blocking(rescore, run, metrics, host, judge)
    click.echo(json.dumps(summary, ensure_ascii=False, indent=2) if as_json else end_card(summary, run))
