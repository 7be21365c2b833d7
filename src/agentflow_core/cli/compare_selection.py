"""``agentflow compare-selection``: what each selector would keep of a run's trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow_core.cli.terminal import printable_line, table
from agentflow_core.plugins import PluginHost
from agentflow_core.synthesis.comparison import compare_selectors

if TYPE_CHECKING:
    from agentflow_core.synthesis.comparison import Kept, SelectionReport

__all__ = ["command"]

_HEADER = ("", "selector", "paths", "coverage", "steps", "errors", "repeats")


@click.command(name="compare-selection")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--load", type=click.Path(path_type=Path), multiple=True, metavar="F.py", help="Load selectors from a file."
)
@click.option(
    "--max-selected",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep N paths of a seed at most; default: as the run.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(run: Path, load: tuple[Path, ...], max_selected: int | None, as_json: bool) -> None:
    """Show what each installed selector would keep of the trees in RUN; nothing is sampled, nothing is written.

    Coverage is the share of the text of all paths that stands on the kept ones, steps is the mean of a path, errors
    the share of steps that failed, repeats the share of steps whose call an earlier kept step of the seed made.
    """
    found = compare_selectors(run, PluginHost.load(files=load).registry, max_selected=max_selected)
    click.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=2) if as_json else _page(found))


def _page(found: SelectionReport) -> str:
    whole = f"{found.candidates} paths of {found.seeds} seeds, {found.max_selected} kept of a seed at most"
    used = f"used {printable_line(found.selector)!r} (*)" if found.selector else "does not say by which selector it"
    lines = [f"{printable_line(found.run)}: {whole}", f"The run {used} and keeps {found.selected}.", ""]
    lines.append(table(_HEADER, (_cells(one) for one in found.kept if not one.error)))
    lines += [f"{one.selector} failed: {printable_line(one.error)}" for one in found.kept if one.error]
    return "\n".join(lines)


def _cells(one: Kept) -> list[str]:
    figures = [f"{one.coverage:.1%}", f"{one.mean_steps:.2f}", f"{one.error_share:.1%}", f"{one.repeat_share:.1%}"]
    return ["*" if one.used else "", one.selector, str(one.paths), *figures]
