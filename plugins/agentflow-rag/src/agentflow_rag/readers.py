"""Read corpus files row by row in bounded memory: JSONL, JSON, CSV, Parquet, Markdown, text and HTML."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import orjson

from agentflow_core.errors import DataError, Problem
from agentflow_rag.documents import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["READERS", "read_rows"]

#: The largest line, value or text file that is read; a longer one is a bad line.
MAX_ROW_BYTES = 64 * 2**20
_JSON_BLOCK = 1 << 16
_SPACE = " \t\r\n"


def read_rows(path: Path, name: str) -> Iterator[Row | Problem]:
    """The rows of a file, and a problem for each that cannot be read. ``name`` is the file's name within the corpus.

    Raises:
        DataError: the file itself cannot be read.
    """
    try:
        yield from READERS[path.suffix.lower()](path, name)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _jsonl(path: Path, name: str) -> Iterator[Row | Problem]:
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(MAX_ROW_BYTES):
            number += 1
            if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
                while (rest := lines.readline(MAX_ROW_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield Problem(f"longer than {MAX_ROW_BYTES >> 20} MB", file=str(path), line=number)
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            yield _json_row(line, path, name, number)


def _json_row(line: bytes, path: Path, name: str, number: int) -> Row | Problem:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as wrong:
            return Problem(f"not UTF-8: {wrong.reason} at byte {wrong.start}", file=str(path), line=number)
        try:
            value = json.loads(line)  # lone surrogates, NaN: JSON to Python and to those who wrote the file
        except ValueError:
            return Problem(f"not JSON: {error.msg}", file=str(path), line=number)
    return _object(value, path, name, number)


def _object(value: Any, path: Path, name: str, number: int) -> Row | Problem:
    if not isinstance(value, dict):
        return Problem(f"not an object but {type(value).__name__}", file=str(path), line=number)
    return Row(file=str(path), line=number, fields=value, key=f"{name}#{number}")


def _json(path: Path, name: str) -> Iterator[Row | Problem]:
    """An array of objects, or one object a corpus of documents by id; decoded value by value."""
    decoder = json.JSONDecoder()
    with path.open("r", encoding="utf-8-sig", newline="") as stream:
        text = _Window(stream, path)
        if text.peek() != "[":
            raise DataError(f"{path}:1: not a JSON array of objects", hint="one object a line is .jsonl")
        text.skip(1)
        number = 0
        while text.peek() not in ("]", ""):
            number += 1
            line = text.line
            value = text.value(decoder)
            row = _object(value, path, name, line)
            yield (
                row
                if isinstance(row, Problem)
                else Row(file=row.file, line=line, fields=row.fields, key=f"{name}#{number}")
            )
            if text.peek() == ",":
                text.skip(1)
            elif text.peek() not in ("]", ""):
                raise DataError(f"{path}:{text.line}: not JSON: expected ',' or ']'")
        if text.peek() != "]":
            raise DataError(f"{path}:{text.line}: not JSON: the array is not closed")


class _Window:
    """The part of a JSON file that is being decoded; grows to the largest value, never to the file."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._text = ""
        self._at = 0
        self.line = 1

    def _fill(self) -> bool:
        try:
            more = self._stream.read(max(_JSON_BLOCK, len(self._text) - self._at))
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path}: not UTF-8: {error.reason}, after line {self.line}") from error
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)

    def peek(self) -> str:
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if sign not in _SPACE:
                    return sign
                self.line += sign == "\n"
                self._at += 1
            if not self._fill():
                return ""

    def skip(self, count: int) -> None:
        self._at += count

    def value(self, decoder: json.JSONDecoder) -> Any:
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
                if end < len(self._text) or not self._fill():
                    break
            except ValueError as error:
                if len(self._text) - self._at > MAX_ROW_BYTES or not self._fill():
                    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    raise DataError(f"{self._path}:{self.line}: not JSON: {message}") from error
        self.line += self._text.count("\n", self._at, end)
        self._at = end
        return value


def _csv(path: Path, name: str) -> Iterator[Row | Problem]:
    csv.field_size_limit(MAX_ROW_BYTES)
    bad_lines: list[int] = []

    def decoded() -> Iterator[str]:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    bad_lines.append(number)

    rows = csv.DictReader(decoded(), strict=True)
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield Problem(f"not CSV: {error}", file=str(path), line=rows.line_num + len(bad_lines))
            continue
        number += 1
        while bad_lines:
            yield Problem("not UTF-8", file=str(path), line=bad_lines.pop(0))
        if None in row or None in row.values():
            yield Problem("another number of cells than the header", file=str(path), line=rows.line_num)
            continue
        yield Row(file=str(path), line=rows.line_num, fields=row, key=f"{name}#{number}")
    for line in bad_lines:
        yield Problem("not UTF-8", file=str(path), line=line)


def _parquet(path: Path, name: str) -> Iterator[Row | Problem]:
    try:
        from pyarrow import ArrowException, parquet  # 200 ms; only for Parquet files
    except ImportError as error:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow", hint="pip install 'agentflow-rag[parquet]'"
        ) from error
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for fields in batch.to_pylist():
                number += 1
                yield Row(file=str(path), line=number, fields=fields, key=f"{name}#{number}")
    except ArrowException as error:
        raise DataError(f"{path}: not Parquet: {error}") from error


def _whole(path: Path) -> str | Problem:
    if path.stat().st_size > MAX_ROW_BYTES:
        return Problem(f"longer than {MAX_ROW_BYTES >> 20} MB", file=str(path))
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Problem(f"not UTF-8: {error.reason} at byte {error.start}", file=str(path))


def _plain(path: Path, name: str) -> Iterator[Row | Problem]:
    text = _whole(path)
    if isinstance(text, Problem):
        yield text
        return
    yield _file_row(path, name, title=path.stem, text=text)


def _markdown(path: Path, name: str) -> Iterator[Row | Problem]:
    text = _whole(path)
    if isinstance(text, Problem):
        yield text
        return
    headings = (line[2:].strip() for line in text.splitlines() if line.startswith("# "))
    yield _file_row(path, name, title=next(headings, "") or path.stem, text=text)


def _html(path: Path, name: str) -> Iterator[Row | Problem]:
    from agentflow_rag.html_text import read_html

    text = _whole(path)
    if isinstance(text, Problem):
        yield text
        return
    page = read_html(text)
    yield _file_row(path, name, title=page.title or path.stem, text=page.text)


def _file_row(path: Path, name: str, *, title: str, text: str) -> Row:
    return Row(file=str(path), line=0, fields={"title": title, "text": text}, key=name)


#: How each kind of file is read, by its suffix.
READERS: dict[str, Callable[[Path, str], Iterator[Row | Problem]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".html": _html,
    ".htm": _html,
}
#: Files that are one document each; the configured field names do not apply to them.
TEXT_FILES = frozenset({".md", ".markdown", ".txt", ".html", ".htm"})
