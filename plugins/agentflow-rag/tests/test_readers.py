"""Corpora of every kind of file, and what is wrong with them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.errors import DataError
from agentflow_rag.chunks import split
from agentflow_rag.config import FieldsConfig
from agentflow_rag.corpus import corpus_files, read_documents
from agentflow_rag.documents import Document, ReadReport

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"id": "a", "title": "A", "text": "first text"}, {"id": "b", "title": "B", "text": "second text"}]


def read(path: Path, report: ReadReport | None = None, **fields: object) -> list[Document]:
    return list(read_documents(corpus_files(str(path)), FieldsConfig(**fields), report or ReadReport()))


def test_jsonl_json_csv_and_parquet_give_the_same_documents(tmp_path, needed):
    pa = needed("pyarrow")
    parquet = needed("pyarrow.parquet")
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in ROWS))
    (tmp_path / "c.json").write_text("\ufeff" + json.dumps(ROWS, indent=2), encoding="utf-8")
    (tmp_path / "c.csv").write_text('id,title,text\na,A,first text\nb,B,"second text"\n')
    parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "c.parquet")
    for kind in ("jsonl", "json", "csv", "parquet"):
        found = [(item.id, item.title, item.text) for item in read(tmp_path / f"c.{kind}")]
        assert found == [("a", "A", "first text"), ("b", "B", "second text")], kind


def test_a_folder_of_texts_is_one_document_a_file_named_by_its_path(tmp_path):
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "start.md").write_text("Intro\n# The Start\nRead this.", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("Plain notes.", encoding="utf-8")
    (tmp_path / "page.html").write_text(
        "<html><head><title>A &amp; B</title><style>x{}</style></head><body><script>no()</script><p>One</p><p>Two<br>Three</p>"
    )
    (tmp_path / ".hidden.md").write_text("not this")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    found = {item.id: (item.title, item.text) for item in read(tmp_path)}
    assert found == {
        "guide/start.md": ("The Start", "Intro\n# The Start\nRead this."),
        "notes.txt": ("notes", "Plain notes."),
        "page.html": ("A & B", "One\nTwo\nThree"),
    }


def test_a_glob_chooses_files_and_names_them_below_its_fixed_part(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.md").write_text("alpha")
    (tmp_path / "x" / "b.txt").write_text("beta")
    assert [item.id for item in read(tmp_path / "**" / "*.md")] == ["x/a.md"]


def test_bad_lines_are_named_with_file_and_line_and_counted(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(
        b'{"id": "a", "text": "good"}\nnot json\n[1]\n{"id": "b"}\n{"id": "c", "text": " "}\n{"id": "d", "text": "\xff"}\n'
        b'{"id": ["x"], "text": "t"}\n{"id": "e", "text": 5}\n'
    )
    report = ReadReport()
    assert [item.id for item in read(path, report)] == ["a"]
    assert report.skipped == 7
    said = report.describe()
    for line, reason in (
        (2, "not JSON"),
        (3, "not an object"),
        (4, "no field 'text'"),
        (6, "not UTF-8"),
        (8, "not a string"),
    ):
        assert any(f"c.jsonl:{line}" in row and reason in row for row in said.splitlines()), (line, said)


def test_only_the_first_twenty_bad_lines_are_named_and_all_are_counted(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text("no\n" * 25)
    report = ReadReport()
    assert read(path, report) == []
    assert report.skipped == 25
    assert len(report.problems) == 20
    assert "and 5 more" in report.describe()


def test_a_strict_corpus_stops_at_the_first_bad_line(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"id": "a", "text": "good"}\nnope\n')
    with pytest.raises(DataError, match=r"c\.jsonl:2"):
        read(path, ReadReport(strict=True))


def test_missing_ids_come_from_the_place_and_missing_titles_from_the_text(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"text": "one two three four five six seven eight nine ten"}\n{"text": "short"}\n')
    first, second = read(path)
    assert (first.id, first.title) == ("c#1", "one two three four five six seven eight…")
    assert (second.id, second.title) == ("c#2", "short")


def test_fields_name_what_holds_id_title_text_and_filters(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"key": 7, "name": "N", "body": ["Two", "parts."], "lang": ["en", "de"]}\n')
    (found,) = read(path, id="key", title="name", text="body", filters=("lang",))
    assert (found.id, found.title, found.text, found.filters) == ("7", "N", "Two parts.", {"lang": ("en", "de")})


def test_texts_are_cleaned_so_that_offsets_hold_everywhere(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(
        json.dumps({"id": " a\n b ", "title": "T\tT", "text": "e\u0301\r\nx\u0000y\x1b[31mred\ud800"}) + "\n"
    )
    (found,) = read(path)
    assert (found.id, found.title) == ("a b", "T T")
    assert found.text == "é\nx\ufffdyred?"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("c.json", '{"id": 1}', "not a JSON array"),
        ("c.json", '[{"id": "a", "text": "x"}', "not closed"),
        ("c.json", '[{"id": "a", "text": "x"} {"id": "b"}]', "expected ','"),
        ("c.json", '[{"id": }]', "not JSON"),
        ("c.parquet", "not parquet", "not Parquet"),
        ("c.xml", "<x/>", "not a kind of file"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_a_data_error(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=reason):
        read(path)


def test_a_missing_file_an_empty_folder_and_an_unmatched_glob_are_data_errors(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path, tmp_path / "*.md"):
        with pytest.raises(DataError):
            corpus_files(str(path))


def test_csv_rows_of_another_width_and_bad_bytes_are_reported_with_their_line(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes(b"id,text\na,good\nb\nc,\xff\nd,fine\n")
    report = ReadReport()
    assert [item.id for item in read(path, report)] == ["a", "d"]
    assert sorted(problem.line for problem in report.problems) == [3, 4]


@given(st.lists(st.dictionaries(st.sampled_from(["id", "text", "x"]), st.text(max_size=40), max_size=3), max_size=8))
def test_any_json_array_reads_as_its_objects(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("json") / "c.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    report = ReadReport()
    found = read(path, report)
    assert len(found) + report.skipped == len(rows)


@given(st.text(max_size=400), st.integers(2, 20), st.integers(0, 19))
def test_pieces_cover_the_text_and_none_is_empty(text, tokens, overlap):
    overlap = min(overlap, tokens - 1)
    pieces = list(split(text, tokens, overlap))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == len(text)
    assert all(start < end or not text for start, end in pieces)
    assert all(later[0] <= former[1] for former, later in pairwise(pieces))
