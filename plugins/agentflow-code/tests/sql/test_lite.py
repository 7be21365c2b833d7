from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from agentflow_code.inside.calls import Refused
from agentflow_code.sql import inside

ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"


def test_a_query_gives_columns_types_and_rows(run, shop):
    found = run(
        "SELECT c.name, sum(s.amount) AS total FROM city c JOIN sale s ON s.city_id = c.id GROUP BY 1 ORDER BY 1",
        databases={"shop": shop},
    )
    assert found["columns"] == [{"name": "name", "type": "TEXT"}, {"name": "total", "type": "REAL"}]
    assert found["rows"] == [["Ulm", 10.5], ["Wien", 3.0]]
    assert (found["row_count"], found["truncated"], found["dialect"]) == (2, False, "sqlite")


def test_parameters_are_bound_by_place_and_by_name(run, shop):
    assert run("SELECT ? + 1", params=[41], databases={"s": shop})["rows"] == [[42]]
    assert run("SELECT :who", params={"who": "x'; --"}, databases={"s": shop})["rows"] == [["x'; --"]]


def test_missing_parameters_are_the_callers_mistake(refused, shop):
    error = refused("SELECT ?", databases={"s": shop})
    assert error.code == "invalid_argument"
    assert "params" in error.hint


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM city",
        "UPDATE city SET name = 'x'",
        "INSERT INTO city VALUES (9, 'x', 'y')",
        "REPLACE INTO city VALUES (1, 'x', 'y')",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a)",
        "DROP TABLE city",
        "ALTER TABLE city ADD COLUMN x",
        "ATTACH '/etc/passwd' AS p",
        "ATTACH ':memory:' AS p",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode = WAL",
        "PRAGMA writable_schema = ON",
        "PRAGMA user_version = 3",
        "PRAGMA query_only = OFF",
        "BEGIN",
        "SAVEPOINT s",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple')",
        "EXPLAIN DELETE FROM city",
    ],
)
def test_what_is_not_reading_is_denied(refused, shop, statement):
    before = shop.read_bytes()
    assert refused(statement, databases={"s": shop}).code == "policy_denied"
    assert shop.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA table_info(city)",
        "SELECT name FROM pragma_table_info('city')",
        "EXPLAIN QUERY PLAN SELECT 1",
        "SELECT value FROM json_each('[1]')",
        "VALUES (1)",
    ],
)
def test_reading_beyond_select_is_allowed(run, shop, statement):
    assert run(statement, databases={"s": shop})["rows"]


def test_an_unknown_table_names_the_nearest(refused, shop):
    error = refused("SELECT * FROM Citys", databases={"s": shop})
    assert error.code == "not_found"
    assert error.data == {"missing": "Citys", "tables": ["city"], "columns": []}
    assert "'city'" in error.hint


def test_an_unknown_column_names_the_nearest_with_their_tables(refused, shop):
    error = refused("SELECT s.amuont FROM sale s", databases={"s": shop})
    assert error.code == "not_found"
    assert error.data["columns"][0] == "sale.amount"


@pytest.mark.parametrize(
    "text", ["SELEC 1", "SELECT 1; SELECT 2", "", "-- nothing", "SELECT 'a\0b'", "SELECT nofunc(1)"]
)
def test_a_wrong_statement_is_an_invalid_argument(refused, shop, text):
    assert refused(text, databases={"s": shop}).code == "invalid_argument"


def test_an_endless_recursion_ends_with_its_time_and_the_connection_is_good(run, refused, shop):
    error = refused(ENDLESS, databases={"s": shop}, timeout_s=0.3)
    assert error.code == "timeout"
    assert run("SELECT 1", databases={"s": shop})["rows"] == [[1]]


def test_a_cross_join_without_end_ends_with_its_time(refused, shop):
    many = ", ".join(f"(SELECT value FROM json_each('[{','.join('1' * 200)}]')) t{n}" for n in range(6))
    assert refused(f"SELECT count(*) FROM {many}", databases={"s": shop}, timeout_s=0.3).code == "timeout"


def test_a_signal_passes_through_and_the_connection_is_good(run, signalled, shop):
    with pytest.raises(KeyboardInterrupt), signalled(0.5):
        run(ENDLESS, databases={"s": shop}, timeout_s=60)
    assert run("SELECT 1", databases={"s": shop})["rows"] == [[1]]


def test_a_lazy_endless_result_is_read_no_further_than_it_is_counted(run, shop):
    found = run(
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t", databases={"s": shop}
    )
    assert len(found["rows"]) == 200
    assert found["row_count"] is None
    assert found["truncated"]


@pytest.mark.parametrize(
    "text", ["SELECT hex(zeroblob(1000000000))", "SELECT group_concat(hex(zeroblob(30000000))) FROM city"]
)
def test_a_value_that_is_too_large_is_refused(refused, shop, text):
    assert refused(text, databases={"s": shop}).code == "memory_limit"


def test_limit_and_offset_page_through_a_result(run, shop):
    page = run("SELECT id FROM sale ORDER BY id", databases={"s": shop}, limit=1, offset=1)
    assert page["rows"] == [[2]]
    assert (page["row_count"], page["truncated"]) == (3, True)
    assert run("SELECT id FROM sale", databases={"s": shop}, offset=5)["rows"] == []


def test_a_result_is_cut_at_its_bytes(run, shop):
    found = run("SELECT hex(zeroblob(500)) FROM sale", databases={"s": shop}, max_bytes=1500)
    assert len(found["rows"]) == 1
    assert (found["row_count"], found["truncated"]) == (3, True)


def test_text_that_is_not_utf8_is_shown_with_marks(run, shop):
    assert run("SELECT CAST(x'C3FF41' AS TEXT)", databases={"s": shop})["rows"] == [["��A"]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.sqlite", bytes(range(256)) * 20),
        ("text.db", b"this is not a database at all, only a text"),
        ("short.sqlite", b"SQL"),
        ("cut.sqlite", b"SQLite format 3\x00" + b"\x10\x00\x01\x01\x00\x40\x20\x20"),
        ("broken.sqlite", None),
    ],
)
def test_a_file_that_is_no_database_is_refused(refused, run, shop, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if content is not None else shop.read_bytes()[:4096] + os.urandom(8192))
    error = refused("SELECT count(*) FROM sqlite_master m, sale", databases={"bad": path, "good": shop}, database="bad")
    assert error.code in ("invalid_argument", "not_found")
    assert run("SELECT 1", databases={"bad": path, "good": shop}, database="good")["rows"] == [[1]]


def test_an_empty_file_is_a_database_without_tables(run, payload, tmp_path):
    path = tmp_path / "empty.sqlite"
    path.write_bytes(b"")
    assert inside.schema(payload(databases={"e": path}, database="e", tables=None))["tables"] == []


def test_a_database_with_a_write_ahead_log_is_read_where_nothing_can_be_written(run, tmp_path):
    path = tmp_path / "ro" / "wal.sqlite"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t AS SELECT 7 AS a")
    connection.commit()
    connection.close()
    uri = Path(path).read_bytes()
    assert uri.startswith(b"SQLite format 3")
    assert run("SELECT a FROM t", databases={"w": path})["rows"] == [[7]]


def test_a_writable_database_is_changed_in_a_copy(run, shop, workspace):
    writable = {"shop": {"path": str(shop), "writable": True}}
    before = shop.read_bytes()
    assert run("INSERT INTO city VALUES (9, 'Jena', 'DE')", databases=writable)["rows"] == [[1]]
    assert run("SELECT count(*) FROM city", databases=writable)["rows"] == [[4]]
    assert shop.read_bytes() == before
    assert (workspace / ".databases" / "shop.sqlite").exists()


@pytest.mark.parametrize("text", ["ATTACH 'x.db' AS x", "PRAGMA journal_mode = WAL", "VACUUM INTO 'y.db'"])
def test_a_writable_database_still_reaches_no_other_file(refused, shop, text):
    error = refused(text, databases={"shop": {"path": str(shop), "writable": True}})
    assert error.code == "policy_denied"


def test_the_schema_has_what_joins_are_made_of(payload, shop):
    found = inside.schema(payload(databases={"shop": shop}, database=None, tables=None))
    sale = next(table for table in found["tables"] if table["name"] == "sale")
    assert sale["primary_key"] == ["id"]
    assert sale["foreign_keys"] == [{"columns": ["city_id"], "table": "city", "references": ["id"]}]
    amount = next(column for column in sale["columns"] if column["name"] == "amount")
    assert (amount["nulls"], amount["distinct"], amount["min"], amount["max"]) == (1, 2, 3.0, 10.5)
    assert sale["row_count"] == 3
    assert sale["rows"][0] == [1, 1, 10.5, "2024-01-01", "x'01'"]
    city = next(table for table in found["tables"] if table["name"] == "city")
    assert city["unique"] == [["name"]]
    country = next(column for column in city["columns"] if column["name"] == "country")
    assert country["samples"] == ["DE", "AT"]
    assert next(table["kind"] for table in found["tables"] if table["name"] == "german") == "view"


def test_the_schema_of_some_tables_names_the_one_that_is_not_there(payload, shop):
    assert [t["name"] for t in inside.schema(payload(databases={"s": shop}, tables=["CITY"]))["tables"]] == ["city"]
    with pytest.raises(Refused, match="sales") as caught:
        inside.schema(payload(databases={"s": shop}, tables=["sales"]))
    assert caught.value.data["tables"] == ["sale"]


def test_a_view_on_what_is_gone_does_not_spoil_the_schema(payload, shop):
    connection = sqlite3.connect(shop)
    connection.execute("CREATE VIEW lost AS SELECT * FROM nowhere")
    connection.commit()
    connection.close()
    found = inside.schema(payload(databases={"s": shop}, tables=None))
    assert "error" in next(table for table in found["tables"] if table["name"] == "lost")


def test_names_that_need_quotes_are_described(payload, tmp_path):
    path = tmp_path / "odd.sqlite"
    connection = sqlite3.connect(path)
    connection.execute('CREATE TABLE "a ""b"" select" ("x y" TEXT, "order" INTEGER)')
    connection.execute('INSERT INTO "a ""b"" select" VALUES (\'|\', 1)')
    connection.commit()
    connection.close()
    [table] = inside.schema(payload(databases={"odd": path}, tables=None))["tables"]
    assert table["row_count"] == 1


def test_several_databases_are_told_apart(refused, run, shop, tmp_path):
    both = {"a": shop, "b": shop}
    assert refused("SELECT 1", databases=both).data == {"databases": ["a", "b"]}
    assert run("SELECT 1", databases=both, database="b")["database"] == "b"
    assert refused("SELECT 1", databases={"musik": shop}, database="musk").data == {"nearest": ["musik"]}


def test_databases_are_listed_with_those_that_cannot_be_opened(payload, shop, tmp_path):
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"no database" * 100)
    listed = inside.databases(payload(databases={"shop": shop, "bad": bad}))["databases"]
    assert listed[0]["name"] == "bad"
    assert "not a database" in listed[0]["error"]
    assert listed[1]["tables"] == ["city", "german", "sale"]


def test_a_statement_leaves_no_thread_behind(run, shop):
    before = threading.active_count()
    run("SELECT 1", databases={"s": shop})
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        os.sched_yield()
    assert threading.active_count() == before
