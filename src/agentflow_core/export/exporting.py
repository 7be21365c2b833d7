"""Export a run: choose, part, write, read back, and put the card beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import field, frozen

from agentflow_core.errors import UsageError
from agentflow_core.export.card import card_of
from agentflow_core.export.formats import CARD, Format
from agentflow_core.export.selection import Selection, choose
from agentflow_core.runs import RunReader
from agentflow_core.runs.files import write_atomic

if TYPE_CHECKING:
    from agentflow_core.interfaces import Exporter
    from agentflow_core.runs import RunReader as Reader

__all__ = ["ExportFile", "Exported", "card_path", "export_run", "part_path"]


@frozen(kw_only=True)
class ExportFile:
    """A file or folder that an export wrote, and how many examples it holds."""

    path: Path
    count: int
    part: str = "train"


@frozen(kw_only=True)
class Exported:
    """What an export wrote."""

    format: str
    noun: str = "examples"
    files: tuple[ExportFile, ...]
    card: Path
    models: Counter[str] = field(factory=Counter)  #: how many of the examples looked at each model made
    left_out: Counter[str] = field(factory=Counter)  #: how many the format could not take, by reason
    split_by: str = ""
    note: str = ""  #: what the format's own trainer needs to know, for the card


def part_path(output: Path, part: str, *, is_folder: bool) -> Path:
    """Where a part goes: ``data.jsonl`` to ``data.train.jsonl``, the folder ``data`` to ``data/train``."""
    return output / part if is_folder else output.with_name(f"{output.stem}.{part}{output.suffix}")


def card_path(output: Path, *, is_folder: bool) -> Path:
    """Where the card goes: into a folder as ``README.md``, beside a file as ``<file>.card.md``."""
    return output / CARD if is_folder else output.with_name(f"{output.name}.card.md")


def export_run(
    exporter: Exporter, run_dir: Path, output: Path, *, format: str, selection: Selection | None = None
) -> Exported:
    """Write the chosen examples of a run, in one place or parted into two, and their card.

    Raises:
        UsageError: nothing is left to export; the exporter writes whole runs only; see also `choose`.
        DataError: a record of the run cannot be read, or what was written does not read back the same.
        StorageError: the disk refuses.
    """
    selection = selection or Selection()
    run = RunReader(run_dir)
    if not isinstance(exporter, Format):
        return _by_another(exporter, run, output, format, selection)
    files = []
    models: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for source in choose(run, selection):
        path = output
        if selection.split is not None:
            path = part_path(output, source.part, is_folder=exporter.is_folder)
        files.append(ExportFile(path=path, count=exporter.export_source(source, path), part=source.part))
        models += source.models
        left_out += source.left_out
    exported = Exported(
        format=format,
        noun=exporter.noun,
        files=tuple(files),
        card=card_path(output, is_folder=exporter.is_folder),
        models=models,
        left_out=left_out,
        split_by=selection.split_by or ("document" if run.kind == "synthesis" else "task"),
        note=exporter.note([file.path for file in files]),
    )
    _write_card(run, exported, selection)
    return exported


def _by_another(exporter: Exporter, run: Reader, output: Path, format: str, selection: Selection) -> Exported:
    """By an exporter that knows nothing but whole runs."""
    if not selection.is_everything:
        raise UsageError(
            f"the format {format!r} is written of whole runs only",
            hint="its exporter takes --where and --split when it is an agentflow_core.export.Format",
        )
    models: Counter[str] = Counter()
    if run.kind == "synthesis":
        models.update(qa.model for qa in run.qa())
    else:
        models.update(trajectory.model for trajectory in run.trajectories())
    file = ExportFile(path=output, count=exporter.export(run.dir, output))
    card = card_path(output, is_folder=output.is_dir())
    exported = Exported(format=format, files=(file,), card=card, models=models)
    _write_card(run, exported, selection)
    return exported


def _write_card(run: Reader, exported: Exported, selection: Selection) -> None:
    write_atomic(exported.card, [card_of(run, exported, selection).encode("utf-8", "replace")])
