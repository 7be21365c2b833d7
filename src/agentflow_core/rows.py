"""Read rows of JSON Lines, JSON, CSV and Parquet files; every row knows the file and line it came from."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import DataError
from agentflow_core.names import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Row", "read_rows"]

_READERS = ("jsonl", "ndjson", "json", "csv", "tsv", "parquet")


@frozen(kw_only=True)
class Row:
    """One row: its value (an object, or a bare string in JSON and JSON Lines) and where it stands."""

    value: Any
    where: str  #: ``file:line``, for messages
    number: int  #: counted from 1

    def error(self, message: str, *, hint: str = "") -> DataError:
        """The error that names this row."""
        return DataError(f"{self.where}: {message}", hint=hint)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, in order, read as they are asked for; ``-`` is JSON Lines on standard input.

    Raises:
        DataError: the file is missing, of another form, or has a row that cannot be read; names file and line.
    """
    if str(path) == "-":
        yield from _json_lines(sys.stdin.buffer, "<stdin>")
        return
    kind = path.suffix.lstrip(".").lower()
    if kind not in _READERS:
        raise DataError(
            f"{path}: cannot read files of kind {path.suffix!r}{did_you_mean(kind, _READERS)}",
            hint=f"one of: {', '.join('.' + known for known in _READERS)}",
        )
    if not path.is_file():
        near = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise DataError(f"{path}: no such file{did_you_mean(path.name, near)}")
    if kind == "parquet":
        yield from _parquet(path)
    elif kind == "json":
        yield from _json(path)
    elif kind in ("csv", "tsv"):
        yield from _csv(path, "," if kind == "csv" else "\t")
    else:
        with path.open("rb") as file:
            yield from _json_lines(file, str(path))


def _json_lines(lines: Any, name: str) -> Iterator[Row]:
    for number, raw in enumerate(lines, 1):
        where = f"{name}:{number}"
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if line:
                yield Row(value=_checked(json.loads(line), where), where=where, number=number)
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not UTF-8 at byte {error.start} of the line") from error
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error


def _json(path: Path) -> Iterator[Row]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg} at column {error.colno}") from error
    if isinstance(value, Mapping):  # {"data": […]} and the like: the only list in it
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else value
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of rows, found {type(value).__name__}")
    for number, item in enumerate(value, 1):
        where = f"{path}: row {number}"
        yield Row(value=_checked(item, where), where=where, number=number)


def _checked(value: Any, where: str) -> Any:
    if isinstance(value, dict) or (isinstance(value, str) and value.strip()):
        return value
    raise DataError(f"{where}: expected an object, found {json.dumps(value)[:60]}")


def _csv(path: Path, delimiter: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            for number, value in enumerate(reader, 1):
                where = f"{path}:{reader.line_num}"
                if None in value:
                    raise DataError(f"{where}: more fields than the header names")
                yield Row(value={key: item for key, item in value.items() if item}, where=where, number=number)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet  # an extra: most files are JSON Lines
    except ImportError as error:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow", hint="pip install 'agentflow-core[parquet]'"
        ) from error
    number = 0
    for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
        for value in batch.to_pylist():
            number += 1
            yield Row(value=value, where=f"{path}: row {number}", number=number)
