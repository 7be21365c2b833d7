"""Rows of files: every format, and errors that name file and line."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core.errors import DataError
from agentflow_core.rows import Row, read_rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def values(path: Path) -> list[Any]:
    return [row.value for row in read_rows(path)]


ROWS = [{"id": "a", "n": "1"}, {"id": "b", "n": "é, x"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", '{"id": "a", "n": "1"}\n{"id": "b", "n": "é, x"}\n'),
        ("x.ndjson", '{"id": "a", "n": "1"}\r\n\r\n{"id": "b", "n": "é, x"}'),
        ("x.JSONL", '\ufeff{"id": "a", "n": "1"}\n{"id": "b", "n": "é, x"}'),
        ("x.json", '[{"id": "a", "n": "1"}, {"id": "b", "n": "é, x"}]'),
        ("x.json", '\ufeff{"version": 2, "data": [{"id": "a", "n": "1"}, {"id": "b", "n": "é, x"}]}'),
        ("x.csv", 'id,n\na,1\nb,"é, x"\n'),
        ("x.csv", '\ufeffid,n\r\na,1\r\n\r\nb,"é, x"'),
        ("x.tsv", "id\tn\na\t1\nb\té, x\n"),
    ],
)
def test_every_format_gives_the_same_rows(file, name: str, content: str):
    assert values(file(name, content)) == ROWS


def test_parquet_rows_are_plain_json(tmp_path: Path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    row = {"id": "a", "when": datetime(2020, 1, 2, tzinfo=UTC), "price": Decimal("1.50"), "list": [1, 2], "none": None}
    parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    (read,) = read_rows(path)
    assert read.value == {"id": "a", "when": "2020-01-02 00:00:00+00:00", "price": "1.50", "list": [1, 2], "none": None}
    assert read.where == f"{path}: row 1"


def test_a_row_may_be_a_bare_text(file):
    assert values(file("x.jsonl", '"Bern"\n"Basel"\n')) == ["Bern", "Basel"]


def test_rows_are_counted_by_their_lines(file):
    path = file("x.jsonl", '\n{"a": 1}\n\n{"a": 2}\n')
    assert [(row.number, row.where) for row in read_rows(path)] == [(2, f"{path}:2"), (4, f"{path}:4")]


def test_a_csv_row_with_line_breaks_in_it_is_one_row(file):
    path = file("x.csv", 'id,text\na,"one\ntwo"\nb,three\n')
    assert [(row.number, row.value["text"]) for row in read_rows(path)] == [(1, "one\ntwo"), (2, "three")]


def test_an_empty_cell_is_a_missing_value(file):
    assert values(file("x.csv", "id,answer\na,\n")) == [{"id": "a"}]


def test_what_json_can_say_and_utf8_cannot_is_replaced(file):
    assert values(file("x.jsonl", '{"a": "x\\ud800y", "b": NaN}')) == [{"a": "x?y", "b": "nan"}]


BAD = [
    ("x.jsonl", b'{"a": 1}\n{"a": \n', ":2: not JSON: Expecting value at column 6"),
    ("x.jsonl", b'{"a": 1}\n[1]\n', ":2: expected an object, found [1]"),
    ("x.jsonl", b'{"a": 1}\n"  "\n', ":2: expected an object"),
    ("x.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', ":2: not UTF-8 at byte 7 of the line"),
    ("x.jsonl", b"[" * 100_000, ":1: nested too deeply"),
    ("x.json", b'[{"a": 1},\n {"a": }]', ":2: not JSON: Expecting value at column 8"),
    ("x.json", b"\xff", ": not UTF-8 at byte 0"),
    ("x.json", b'{"a": [], "b": []}', ": expected a list of rows, found dict"),
    ("x.json", b"[1]", ": row 1: expected an object, found 1"),
    ("x.csv", b"a,b\n1,2\n1,2,3\n", ":3: more fields than the header names"),
    ("x.csv", b'a,b\n1,"2"3\n', ":2: not CSV: "),
    ("x.csv", b"a,b\n1,2\n3,\xff\n", ":3: not UTF-8 at byte 2 of the line"),
    ("x.parquet", b"PAR1 but not really", ": not Parquet: "),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[message for *_, message in BAD])
def test_a_bad_row_is_named_by_file_and_line(file, name: str, content: bytes, message: str):
    path = file(name, content)
    with pytest.raises(DataError) as caught:
        values(path)
    assert caught.value.message.startswith(f"{path}{message}")


def test_the_rows_before_a_bad_one_are_read(file):
    rows = read_rows(file("x.jsonl", '{"a": 1}\nbad\n'))
    assert next(rows).value == {"a": 1}
    with pytest.raises(DataError, match=":2: not JSON"):
        next(rows)


def test_a_missing_file_comes_with_a_suggestion(file, tmp_path: Path):
    file("questions.jsonl", "")
    with pytest.raises(DataError, match=r"no such file, did you mean 'questions.jsonl'\?"):
        values(tmp_path / "question.jsonl")


def test_a_missing_folder_is_a_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        values(tmp_path / "nowhere" / "x.jsonl")


def test_an_unknown_kind_of_file_is_refused_with_what_there_is(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot read files of kind '.jsnl', did you mean 'jsonl'\?") as caught:
        values(tmp_path / "x.jsnl")
    assert ".parquet" in caught.value.hint


def test_a_folder_is_no_file(tmp_path: Path):
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        values(tmp_path / "x.jsonl")


def test_standard_input_is_json_lines():
    program = "from pathlib import Path; from agentflow_core.rows import *; print(*read_rows(Path('-')), sep='\\n')"
    ran = subprocess.run(
        [sys.executable, "-c", program], input=b'{"a": 1}\n"x"\n', capture_output=True, check=True, timeout=60
    )
    assert ran.stdout.decode().splitlines() == [
        "Row(value={'a': 1}, where='<stdin>:1', number=1)",
        "Row(value='x', where='<stdin>:2', number=2)",
    ]


@pytest.mark.parametrize(
    ("value", "found"), [(None, {}), ("", {}), ({"k": 1}, {"k": 1}), ('{"k": 1}', {"k": 1})], ids=repr
)
def test_an_object_in_a_column_may_be_written_as_text(value: object, found: dict[str, int]):
    assert Row(value={"kwargs": value}, where="x:1", number=1).mapping("kwargs") == found
    assert Row(value={}, where="x:1", number=1).mapping("kwargs") == {}


@pytest.mark.parametrize("value", ["[1]", "{", 3, ["a"]], ids=repr)
def test_something_else_in_its_place_is_refused_by_name(value: object):
    with pytest.raises(DataError, match="x:1: 'kwargs' is not"):
        Row(value={"kwargs": value}, where="x:1", number=1).mapping("kwargs")
