"""The journal: round trips, torn tails, flipped bytes, the ledger that can always be made again."""

from __future__ import annotations

import json
import os
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.errors import RunCorruptError, StorageError
from agentflow_core.runs.journal import Batch, Journal
from agentflow_core.runs.ledger import ledger_line, read_ledger
from agentflow_core.runs.lines import encode

CHARACTERS = st.characters(exclude_categories=())  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(CHARACTERS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS), inner, max_size=4),
    max_leaves=12,
)
TYPES = st.text(CHARACTERS, min_size=1, max_size=8).filter(lambda name: not name.startswith("unit."))
RECORDS = st.lists(st.tuples(TYPES, JSON), max_size=4)


def opened(path, **options):
    return Journal(path / "journal", path / "timings.jsonl", **options)


def batch(key, records=(), outcome="ok", **options):
    encoded = [(type_, encode(data)) for type_, data in records]
    return Batch(key=key, id=f"id of {key}", stage="sample", outcome=outcome, records=encoded, **options)


def only_file(path):
    (file,) = (path / "journal").glob("*.jsonl")
    return file


@given(st.lists(RECORDS, min_size=1, max_size=5))
@settings(max_examples=80, deadline=None)
def test_any_json_comes_back_as_it_was(tmp_path_factory, units):
    path = tmp_path_factory.mktemp("journal")
    with opened(path) as journal:
        journal.append([batch(f"k{number}", records) for number, records in enumerate(units)])
    for reopening in ("by the ledger", "by reading"):
        with opened(path) as journal:
            for number, records in enumerate(units):
                found, end = journal.read(f"k{number}")
                assert found == records, reopening
                assert end["id"] == f"id of k{number}"
        (path / "journal" / "ledger").unlink()


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_wherever_a_file_is_cut_only_units_beyond_the_cut_are_lost(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal")
    with opened(path) as journal:
        for number in range(4):
            journal.append([batch(f"k{number}", [("node", {"n": number, "text": "x" * number})])])
        ends = {key: entry.end for key, entry in journal.entries.items()}
    file = only_file(path)
    cut = data.draw(st.integers(0, file.stat().st_size))
    if data.draw(st.booleans()):
        (path / "journal" / "ledger").unlink()
    os.truncate(file, cut)
    with opened(path) as journal:
        assert set(journal.entries) == {key for key, end in ends.items() if end <= cut}
        for number, key in enumerate(sorted(journal.entries)):
            assert journal.read(key)[0] == [("node", {"n": number, "text": "x" * number})]
        journal.append([batch("k9", [("node", 9)])])
    with opened(path) as journal:
        assert journal.read("k9")[0] == [("node", 9)]
        assert not journal.notices


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_flipped_bit_is_never_read_as_data(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal")
    with opened(path) as journal:
        journal.append([batch(f"k{number}", [("node", number), ("node", "more")]) for number in range(3)])
        entries = dict(journal.entries)
    file = only_file(path)
    raw = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    ends_line = raw[at] == ord("\n")
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(raw)
    has_ledger = data.draw(st.booleans())
    if not has_ledger:
        (path / "journal" / "ledger").unlink()
    hit = next(key for key, entry in entries.items() if entry.offset <= at < entry.end)
    with opened(path) as journal:
        journal.drop_damaged(list(journal.entries))
        # without its end a line swallows the next one, which only the ledger can tell apart; both are redone then
        lost = {key for key, entry in entries.items() if ends_line and not has_ledger and entry.offset == at + 1}
        assert set(journal.entries) == set(entries) - {hit} - lost
        for key in journal.entries:
            assert journal.read(key)[0] == [("node", int(key[1:])), ("node", "more")]


def test_a_line_has_its_keys_in_order_and_a_checksum_over_what_stands_before_it(tmp_path):
    with opened(tmp_path, clock=lambda: 1700000000.25) as journal:
        journal.append([batch("k", [("node", {"a": 1})])])
    first, last = only_file(tmp_path).read_bytes().splitlines()
    assert first.startswith(b'{"v":1,"seq":0,"ts":1700000000.250,"unit":"k","type":"node","data":{"a":1},"crc":"')
    value = json.loads(first)
    assert list(value) == ["v", "seq", "ts", "unit", "type", "data", "crc"]
    assert value["crc"] == f"{crc32(first[: first.rindex(b',')]):08x}"
    assert json.loads(last)["type"] == "unit.end"
    assert json.loads(last)["data"]["outcome"] == "ok"


def test_each_opening_writes_a_file_of_its_own_and_only_when_it_has_something(tmp_path):
    for key in ("a", "b"):
        with opened(tmp_path) as journal:
            journal.append([batch(key)])
    with opened(tmp_path) as journal:
        assert set(journal.entries) == {"a", "b"}
    assert sorted(path.name for path in (tmp_path / "journal").glob("*.jsonl")) == ["0001.jsonl", "0002.jsonl"]


def test_reopening_reads_no_payload(tmp_path):
    with opened(tmp_path) as journal:
        journal.append([batch("k", [("node", 1)])])
    file = only_file(tmp_path)
    file.write_bytes(b"\0" * file.stat().st_size)
    with opened(tmp_path) as journal:
        assert set(journal.entries) == {"k"}
        with pytest.raises(RunCorruptError, match="checksum"):
            journal.read("k")


@pytest.mark.parametrize("damage", ["missing", "torn", "behind", "garbage", "beyond", "empty", "zeros"])
def test_a_ledger_is_made_again_from_the_journal(tmp_path, damage):
    with opened(tmp_path) as journal:
        for number in range(5):
            journal.append([batch(f"k{number}", [("node", number)])])
        entries = dict(journal.entries)
    path = tmp_path / "journal" / "ledger"
    raw = path.read_bytes()
    lines = raw.splitlines(keepends=True)
    match damage:
        case "missing":
            path.unlink()
        case "torn":
            path.write_bytes(raw[:-10])
        case "behind":
            path.write_bytes(b"".join(lines[:2]))
        case "garbage":
            path.write_bytes(b"".join([lines[0], b"\xff" * 20 + b"\n", *lines[2:]]))
        case "beyond":
            only_file(tmp_path).write_bytes(only_file(tmp_path).read_bytes()[: entries["k3"].end])
            del entries["k4"]
        case "empty":
            path.write_bytes(b"")
        case "zeros":
            path.write_bytes(b"\0" * len(raw))
    for _ in range(2):
        with opened(tmp_path) as journal:
            assert journal.entries == entries
            for key in entries:
                assert journal.read(key)[0] == [("node", int(key[1:]))]
    assert b"".join(ledger_line(*row) for row in read_ledger(path).entries) == path.read_bytes()


def test_the_last_word_on_a_unit_counts(tmp_path):
    with opened(tmp_path) as journal:
        journal.append([batch("k", outcome="error:internal")])
        journal.append([batch("k", [("node", 1)], attempt=2)])
    for _ in range(2):
        with opened(tmp_path) as journal:
            assert journal.entries["k"].outcome == "ok"
            assert journal.read("k")[1]["attempt"] == 2
        (tmp_path / "journal" / "ledger").unlink()


def test_a_unit_that_was_cut_off_is_dropped_with_a_note(tmp_path):
    with opened(tmp_path) as journal:
        journal.append([batch("a", [("node", 1)])])
        journal.append([batch("b", [("node", 1), ("node", 2)])])
        end = journal.entries["a"].end
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    (tmp_path / "journal" / "ledger").unlink()
    with opened(tmp_path) as journal:
        assert set(journal.entries) == {"a"}
        assert [notice.level for notice in journal.notices] == ["info"]
    assert file.stat().st_size == end


def test_reading_only_leaves_the_files_as_they_are(tmp_path):
    with opened(tmp_path) as journal:
        journal.append([batch("a", [("node", 1)])])
    file = only_file(tmp_path)
    with file.open("ab") as torn:
        torn.write(b'{"v":1,"seq":2')
    (tmp_path / "journal" / "ledger").unlink()
    before = file.read_bytes()
    with opened(tmp_path, writable=False) as journal:
        assert journal.read("a")[0] == [("node", 1)]
    assert file.read_bytes() == before
    assert not (tmp_path / "journal" / "ledger").exists()


def test_many_openings_do_not_hold_many_files_open(tmp_path):
    for number in range(40):
        with opened(tmp_path) as journal:
            journal.append([batch(f"k{number}", [("node", number)])])
    before = len(os.listdir("/proc/self/fd"))
    with opened(tmp_path) as journal:
        for number in range(40):
            assert journal.read(f"k{number}")[0] == [("node", number)]
        assert len(os.listdir("/proc/self/fd")) - before <= 33


def test_what_is_not_json_is_refused_when_it_is_added():
    with pytest.raises(TypeError, match="set is not JSON"):
        encode({"a": {1, 2}})


@pytest.mark.parametrize("room", [0, 1, 150, 600])
def test_a_full_disk_loses_nothing_finished(tmp_path, room, full_after):
    with opened(tmp_path) as journal:
        journal.append([batch("a", [("node", "x" * 50)])])
        with full_after(journal.entries["a"].end + room), pytest.raises(StorageError, match="cannot write") as caught:
            journal.append([batch("b", [("node", "x" * 50)]), batch("c", [("node", "x" * 5000)])])
        assert "free some space" in caught.value.hint
        assert set(journal.entries) == {"a"}
        with pytest.raises(StorageError):
            journal.append([batch("d")])
    with opened(tmp_path) as journal:
        assert set(journal.entries) == {"a"}
        assert not journal.notices
        journal.append([batch("b", [("node", 2)])])
        assert set(journal.entries) == {"a", "b"}


def test_a_unit_whose_timings_could_not_be_written_is_finished_all_the_same(tmp_path):
    (tmp_path / "timings.jsonl").symlink_to("/dev/full")
    with opened(tmp_path) as journal:
        with pytest.raises(StorageError, match="No space left"):
            journal.append([batch("a", [("node", 1)], timings=b"{}\n")])
        assert set(journal.entries) == {"a"}
    with opened(tmp_path) as journal:
        assert journal.read("a")[0] == [("node", 1)]
