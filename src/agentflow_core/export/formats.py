"""What every format shares: it writes beside its place, reads back what it wrote, and only then takes the place."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import orjson
from attrs import frozen

from agentflow_core.errors import DataError, UsageError
from agentflow_core.export.selection import Source
from agentflow_core.runs import RunReader
from agentflow_core.runs.files import storage_error, sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentflow_core.blobs import BlobStore
    from agentflow_core.records import ImagePart

__all__ = ["CARD", "CARD_TITLE", "Format", "Pictures", "Unfit", "read_lines", "write_lines"]

#: What says that a folder was made by an export, so that the next one may replace it.
CARD = "README.md"
CARD_TITLE = "# AgentFlow export"
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}


class Unfit(DataError):
    """An example that is not what its format wants."""


@frozen(kw_only=True)
class Pictures:
    """The folder for the pictures of an export, made when the first one comes; they are named by their hash."""

    folder: Path
    name: str  #: how the export refers to the folder

    def add(self, blobs: BlobStore, part: ImagePart) -> str:
        """Put the picture there; returns what the export calls it."""
        name = f"{part.sha256}{_SUFFIXES.get(part.mime, '')}"
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blobs.get(part.sha256))
        return f"{self.name}/{name}"


class Format(ABC):
    """A training format. A subclass says how the examples are written and what must be true of what it wrote.

    This is an `agentflow_core.interfaces.Exporter` that also takes ``--where`` and ``--split``.
    """

    noun: ClassVar[str] = "conversations"
    is_folder: ClassVar[bool] = False  #: it writes a folder of files, not one file

    def export(self, run_dir: Path, output: Path) -> int:
        """Write all of a run; returns how many examples were written.

        Raises:
            DataError: a record of the run cannot be read, or what was written does not read back the same.
            StorageError: the disk refuses.
        """
        return self.export_source(Source(RunReader(run_dir)), output)

    def export_source(self, source: Source, output: Path) -> int:
        """Write what was chosen of a run; ``output`` stays as it is unless all went well. See `export`."""
        _check_place(output, is_folder=self.is_folder)
        beside = output.with_name(f"{output.name}.tmp")
        pictures = Pictures(folder=output.with_name(f"{output.stem}.images"), name=f"{output.stem}.images")
        if self.is_folder:
            pictures = Pictures(folder=beside / "images", name="images")
        try:
            _remove(beside)
            (beside if self.is_folder else output.parent).mkdir(parents=True, exist_ok=True)
            if self.is_folder:
                (beside / CARD).write_text(f"{CARD_TITLE}\n", encoding="utf-8")
            count = self.write(source, beside, pictures)
            if not count:
                raise _nothing(self.noun, source)
            try:
                found = self.check(beside)
            except Unfit as error:
                raise DataError(f"what was written to {output} is not right: {error.message}") from error
            if found != count:
                raise DataError(f"{count} {self.noun} were written to {output}, but {found} are read back")
            _take_place(beside, output)
        except OSError as error:
            raise storage_error(output, error) from error
        finally:
            _remove(beside)
        return count

    @abstractmethod
    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """Write the examples to a file, or into a folder that is there; returns how many.

        What the format cannot take is counted in ``source.left_out``.
        """

    @abstractmethod
    def check(self, output: Path) -> int:
        """Read back what was written; returns how many examples there are.

        Raises:
            Unfit: it is not what the format wants, by line or row.
        """

    def note(self, files: Sequence[Path]) -> str:
        """What the card says of how a trainer is given the files; nothing by default."""
        return ""


def write_lines(path: Path, values: Iterable[object]) -> int:
    """Write JSON Lines; returns how many."""
    count = 0
    with path.open("wb") as file:
        for value in values:
            file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """The objects of JSON Lines, each with what messages call it. Raises `Unfit` for anything else."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise Unfit(f"line {number}: {error}") from error
            if not isinstance(value, dict):
                raise Unfit(f"line {number}: no object")
            yield f"line {number}", value


def _nothing(noun: str, source: Source) -> UsageError:
    reasons = "; ".join(f"{count} with {reason}" for reason, count in sorted(source.left_out.items()))
    return UsageError(
        f"{source.run.dir}: there are no {noun} to write" + (f" for {source.part}" if source.is_part else ""),
        hint=f"left out: {reasons}" if reasons else "",
    )


def _check_place(output: Path, *, is_folder: bool) -> None:
    if not is_folder:
        if output.is_dir():
            raise UsageError(f"{output} is a folder, and this format writes a file")
        return
    if output.is_dir() and any(output.iterdir()):
        if not (_is_card(output / CARD) or _is_card(output.parent / CARD)):
            raise UsageError(f"{output} holds other files", hint="give a folder that is empty or does not exist")
    elif output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, and this format writes a folder")


def _is_card(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(CARD_TITLE)


def _take_place(beside: Path, output: Path) -> None:
    if output.is_dir():
        shutil.rmtree(output)
    beside.replace(output)
    sync_directory(output.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
