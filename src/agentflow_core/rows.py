"""Read rows of JSON Lines, JSON, CSV and Parquet files; every row knows the file and line it came from."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import DataError
from agentflow_core.names import did_you_mean
from agentflow_core.records import clean_json

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

    def mapping(self, name: str) -> Mapping[str, Any]:
        """The object in a column, which may be written as a JSON text, as in CSV; empty where there is none.

        Raises:
            DataError: the column holds something else.
        """
        value = self.value.get(name)
        if isinstance(value, str) and value.strip():
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise self.error(f"{name!r} is not a JSON object: {error}") from error
        if value is None or value == "":
            return {}
        if not isinstance(value, Mapping):
            raise self.error(f"{name!r} is not an object")
        return value


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
    if not path.exists():
        near = [other.name for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise DataError(f"{path}: no such file{did_you_mean(path.name, near)}")
    try:
        if kind == "parquet":
            yield from _parquet(path)
        elif kind == "json":
            yield from _json(path)
        else:
            with path.open("rb") as file:
                if kind in ("csv", "tsv"):
                    yield from _csv(file, str(path), "," if kind == "csv" else "\t")
                else:
                    yield from _json_lines(file, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, raw in enumerate(lines, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}:{number}: not UTF-8 at byte {error.start} of the line") from error


def _json_lines(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    for number, text in enumerate(_decoded(lines, name), 1):
        if line := text.strip():
            where = f"{name}:{number}"
            yield _row(_parsed(line, where), where, number)


def _json(path: Path) -> Iterator[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}") from error
    value = _parsed(text, str(path), several_lines=True)
    if isinstance(value, Mapping):  # {"data": […]} and the like: the only list in it
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else value
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of rows, found {type(value).__name__}")
    for number, item in enumerate(value, 1):
        yield _row(item, f"{path}: row {number}", number)


def _parsed(text: str, where: str, *, several_lines: bool = False) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f":{error.lineno}" if several_lines else ""
        raise DataError(f"{where}{line}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DataError(f"{where}: nested too deeply") from error


def _row(value: Any, where: str, number: int) -> Row:
    if not isinstance(value, dict) and not (isinstance(value, str) and value.strip()):
        raise DataError(f"{where}: expected an object, found {json.dumps(value)[:60]}")
    return Row(value=clean_json(value), where=where, number=number)


def _csv(file: Iterable[bytes], name: str, delimiter: str) -> Iterator[Row]:
    reader = csv.DictReader(_decoded(file, name), delimiter=delimiter, strict=True)
    try:
        for number, value in enumerate(reader, 1):
            where = f"{name}:{reader.line_num}"
            if None in value:
                raise DataError(f"{where}: more fields than the header names")
            yield Row(value={key: item for key, item in value.items() if item}, where=where, number=number)
    except csv.Error as error:
        raise DataError(f"{name}:{reader.reader.line_num}: not CSV: {error}") from error


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet  # an extra: most files are JSON Lines
    except ImportError as error:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow", hint="pip install 'agentflow-core[parquet]'"
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for value in batch.to_pylist():
                    number += 1
                    yield _row(value, f"{path}: row {number}", number)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not Parquet: {error}") from error
