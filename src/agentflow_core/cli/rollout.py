"""``agentflow rollout``: an agent over a benchmark, scored."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow_core.cli.running import RunArguments, conduct_run, leave, run_options
from agentflow_core.errors import UsageError
from agentflow_core.evaluation import RolloutConfig, run_rollout
from agentflow_core.evaluation.scoring import build_scoring
from agentflow_core.names import did_you_mean
from agentflow_core.runs import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]


@click.command(name="rollout")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), metavar="F", help="Another benchmark file.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take the first N tasks only.")
@click.option("--metric", "metrics", multiple=True, metavar="M", help="Score by this metric; may be repeated.")
@click.option("--fail-under", "bounds", multiple=True, metavar="M=0.6", help="Exit with 4 if the metric is lower.")
@run_options
def command(
    config: Path,
    data: Path | None,
    limit: int | None,
    metrics: tuple[str, ...],
    bounds: tuple[str, ...],
    run: RunArguments,
) -> None:
    """Evaluate an agent as CONFIG (YAML or JSON) says.

    Exit codes: 0 done, 1 the run failed, 2 a wrong argument or configuration, 3 a limit was reached (resumable),
    4 a metric is below --fail-under.
    """
    sets = [*run.sets]
    if data is not None:
        sets.append(f"data.path={data}")
    if limit is not None:
        sets.append(f"data.limit={limit}")
    if metrics:
        sets.append(f"metrics=[{', '.join(metrics)}]")
    prepared = prepare(RolloutConfig, config, sets=sets, load=run.load)
    fail_under = _bounds(bounds, build_scoring(prepared.host.registry, prepared.loaded.config.metrics).graded)
    work = partial(run_rollout, prepared.loaded, host=prepared.host, options=run.options)
    leave(conduct_run(prepared.host, run.mode, work), fail_under)


def _bounds(texts: tuple[str, ...], metrics: Sequence[str]) -> dict[str, float]:
    bounds = {}
    for text in texts:
        name, _, bound = text.rpartition("=")
        try:
            bounds[name] = float(bound)
        except ValueError:
            bounds[name] = math.nan
        if not math.isfinite(bounds[name]):
            raise UsageError(f"--fail-under {text}: expected a metric and a number, such as f1_score=0.6")
        if name not in metrics:
            raise UsageError(f"--fail-under {text}: the run does not score by {name!r}{did_you_mean(name, metrics)}")
    return bounds
