"""``agentflow compare``: two rollouts of one benchmark, paired sample by sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow_core.cli.terminal import printable_line, table
from agentflow_core.evaluation.comparison import compare_runs
from agentflow_core.plugins import PluginHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.evaluation.comparison import Comparison
    from agentflow_core.metrics.aggregates import Difference

__all__ = ["command"]

_SHOWN = 5
_HEADER = ("metric", "A", "B", "B - A", "95 % interval", "better", "equal", "worse", "pairs")


@click.command(name="compare")
@click.argument("left", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("right", metavar="RUN_B", type=click.Path(path_type=Path))
@click.option(
    "--metric", "metrics", multiple=True, metavar="M", help="Compare by this metric; may be repeated. Default: all."
)
@click.option("--cluster-by", metavar="FIELD", help="Resample the groups of this metadata field instead of tasks.")
@click.option(
    "--load", type=click.Path(path_type=Path), multiple=True, metavar="F.py", help="Load aggregates from a file."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    left: Path, right: Path, metrics: tuple[str, ...], cluster_by: str | None, load: tuple[Path, ...], as_json: bool
) -> None:
    """Compare the rollouts in RUN_A and RUN_B, which are of one benchmark: how much better is B?

    Samples are paired by task and number. The interval of the difference is that of a bootstrap over tasks, which
    keeps pairs together; a crash counts as 0, a pair with an ungraded sample is left out.
    """
    registry = PluginHost.load(files=load).registry
    found = compare_runs(left, right, registry, metrics=metrics, cluster_by=cluster_by)
    click.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=2) if as_json else _page(found))


def _page(found: Comparison) -> str:
    what = f"{found.tasks} tasks, {found.pairs} pairs of samples"
    lines = [f"A  {printable_line(found.left)}", f"B  {printable_line(found.right)}", f"   {what} in both", ""]
    if found.metrics:
        lines.append(table(_HEADER, (_cells(name, one) for name, one in found.metrics.items())))
        over = f"groups of {printable_line(found.cluster_by)!r}" if found.cluster_by else "tasks"
        lines += ["", f"Intervals resample {over}; one that holds 0 leaves open which run is better."]
    else:
        lines.append("Nothing is scored in both: agentflow score RUN --metric METRIC")
    lines += _left_out("only in A", found.only_left)
    lines += _left_out("only in B", found.only_right)
    lines += _left_out("other references in B, so that scores may differ for that alone", found.changed_references)
    return "\n".join(lines)


def _cells(name: str, one: Difference) -> list[str]:
    interval = "-" if one.ci95 is None else f"[{one.ci95[0]:+.3f}, {one.ci95[1]:+.3f}]"
    counts = [str(count) for count in (one.better, one.equal, one.worse, one.pairs)]
    means = ["-" if mean is None else f"{mean:.3f}" for mean in (one.left, one.right)]
    return [name, *means, "-" if one.mean is None else f"{one.mean:+.3f}", interval, *counts]


def _left_out(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what}: {len(names)} ({printable_line(', '.join(names[:_SHOWN]))}{rest})"]
