"""``agentflow synthesize``: seeds in; a trajectory tree, selected paths and verified QA out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from agentflow_core.cli.running import RunArguments, conduct_run, leave, run_options
from agentflow_core.runs import prepare
from agentflow_core.synthesis import SynthesisConfig, run_synthesis

__all__ = ["command"]


@click.command(name="synthesize")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--seeds",
    type=click.Path(path_type=Path),
    metavar="F",
    help="A file of seeds in place of the configured ones; '-' is standard input.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N seeds only.")
@run_options
def command(config: Path, seeds: Path | None, limit: int | None, run: RunArguments) -> None:
    """Make verified QA pairs as CONFIG (YAML or JSON) says.

    Exit codes: 0 done, 1 the run failed, 2 a wrong argument or configuration, 3 a limit was reached (resumable).
    """
    sets = [*run.sets]
    if seeds is not None:
        sets += [f"seeds.path={seeds}", "seeds.items=[]"]
    if limit is not None:
        sets.append(f"seeds.limit={limit}")
    prepared = prepare(SynthesisConfig, config, sets=sets, load=run.load)

    work = partial(run_synthesis, prepared.loaded, host=prepared.host, options=run.options)
    leave(conduct_run(prepared.host, run.mode, work))
