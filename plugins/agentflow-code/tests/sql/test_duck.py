from __future__ import annotations

import os

import duckdb
import pandas as pd
import pytest

from agentflow_code.sql import inside

ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"


def test_table_files_are_joined_under_their_names(run, tables):
    found = run(
        "SELECT name, country, sum(amount) AS total FROM sale JOIN city USING (name) GROUP BY ALL ORDER BY name",
        files=tables,
    )
    assert found["rows"] == [["Ulm", "DE", 10.5], ["Wien", "AT", 3.0]]
    assert [column["type"] for column in found["columns"]] == ["VARCHAR", "VARCHAR", "DECIMAL(38,1)"]
    assert found["dialect"] == "duckdb"


def test_a_duckdb_file_is_a_database(run, duck_shop):
    assert run("SELECT count(*) FROM sale", databases={"shop": duck_shop})["rows"] == [[3]]
    assert run("SELECT count(*) FROM main.sale", databases={"shop": duck_shop})["rows"] == [[3]]


@pytest.mark.parametrize("name", ["memory", "main", "select", "a b", "x'y"])
def test_a_database_may_have_any_name(run, duck_shop, name):
    assert run("SELECT count(*) FROM sale", databases={name: duck_shop}, database=name)["rows"] == [[3]]


def test_a_file_of_the_workspace_is_read_by_path(run, workspace):
    (workspace / "out.csv").write_text("a,b\n1,x\n", encoding="utf-8")
    (workspace / "rows.jsonl").write_text('{"a": 1, "b": [1, 2]}\n{"a": 2}\n', encoding="utf-8")
    assert run("FROM 'out.csv'")["rows"] == [[1, "x"]]
    assert run("SELECT a, b FROM 'rows.jsonl' ORDER BY a")["rows"] == [[1, [1, 2]], [2, None]]
    assert run("SELECT count(*) FROM out", database="out.csv")["rows"] == [[1]]


def test_a_path_is_that_of_the_workspace_wherever_the_users_code_is(run, workspace, tmp_path, monkeypatch):
    (workspace / "out.csv").write_text("a\n1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run("FROM 'out.csv'")["rows"] == [[1]]
    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/passwd')",
        "FROM read_blob('/etc/passwd')",
        "FROM glob('/etc/*')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM parquet_metadata('/etc/passwd')",
        "FROM read_csv('../../../../../../../../etc/passwd')",
        "FROM 'https://example.com/x.parquet'",
        "FROM read_parquet('s3://bucket/x.parquet')",
    ],
)
def test_no_file_outside_is_read(refused, tables, text):
    error = refused(text, files=tables)
    assert error.code in ("policy_denied", "not_found", "invalid_argument")
    assert "root:" not in error.message


@pytest.mark.parametrize(
    "text",
    [
        "ATTACH 'other.duckdb' AS other",
        "ATTACH ':memory:' AS other",
        "DETACH memory",
        "COPY city TO 'out.csv'",
        "COPY (SELECT 1) TO '/tmp/agentflow-never.csv'",
        "COPY city FROM 'in.csv'",
        "WITH x AS (COPY city TO 'out.csv') SELECT 1",
        "WITH x AS ( /* é */ cOpY (SELECT 1) TO 'out.csv') SELECT * FROM x",
        "FROM query('SELECT 1')",
        "SELECT * FROM \"query\" ('WITH x AS (COPY city TO ''out.csv'') SELECT 1')",
        "EXPLAIN ANALYZE COPY city TO 'out.csv'",
        "EXPLAIN (ANALYZE) COPY city TO 'out.csv'",
        "EXPORT DATABASE 'out'",
        "IMPORT DATABASE 'out'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA threads = 1",
        "CALL pragma_version()",
        "CHECKPOINT",
        "USE memory",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "VACUUM",
        "CREATE TABLE t (a INT)",
        "CREATE TEMP TABLE t (a INT)",
        "CREATE MACRO m() AS 1",
        "DROP TABLE city",
        "DELETE FROM city",
        "INSERT INTO city VALUES (9, 'x', 'y')",
        "WITH x AS (DELETE FROM city RETURNING *) SELECT * FROM x",
        "WITH x AS (INSERT INTO city VALUES (9, 'x', 'y') RETURNING *) SELECT * FROM x",
    ],
)
def test_what_is_not_reading_is_denied(refused, run, tables, workspace, text):
    assert refused(text, files=tables).code in ("policy_denied", "invalid_argument")
    assert run("SELECT count(*) FROM city", files=tables)["rows"] == [[3]]
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "SHOW TABLES",
        "DESCRIBE city",
        "SUMMARIZE city",
        "EXPLAIN FROM city",
        "VALUES (1)",
        "PIVOT city ON country USING count(*)",
        "SELECT 1 AS copy, max(copy) FROM (SELECT 2 AS copy)",
    ],
)
def test_reading_beyond_select_is_allowed(run, tables, text):
    assert run(text, files=tables)["rows"]


def test_unknown_tables_and_columns_name_the_nearest(refused, tables, duck_shop):
    error = refused("FROM citys", files=tables)
    assert (error.code, error.data["tables"]) == ("not_found", ["city"])
    error = refused("SELECT contry FROM city", files=tables)
    assert (error.code, error.data["columns"]) == ("not_found", ["city.country"])
    error = refused("SELECT c.contry FROM city c", files=tables)
    assert (error.code, error.data["columns"]) == ("not_found", ["city.country"])
    assert refused("FROM citys", databases={"shop": duck_shop}).data["tables"] == ["city"]


@pytest.mark.parametrize(
    "text", ["SELEC 1", "SELECT 1; SELECT 2", "", "-- nothing", "SELECT 'a\0b'", "SELECT ?", "SELECT 'x'::INT"]
)
def test_a_wrong_statement_is_an_invalid_argument(refused, tables, text):
    assert refused(text, files=tables).code == "invalid_argument"


def test_an_endless_recursion_ends_with_its_time_and_the_connection_is_good(run, refused, tables):
    assert refused(ENDLESS, files=tables, timeout_s=0.5).code == "timeout"
    assert run("SELECT 1", files=tables)["rows"] == [[1]]


def test_a_cross_join_without_end_ends_with_its_time(refused, tables):
    text = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 5"
    assert refused(text, files=tables, timeout_s=0.5).code == "timeout"


def test_a_signal_passes_through_and_the_connection_is_good(run, tables, signalled):
    with pytest.raises(KeyboardInterrupt), signalled(0.5):
        run(ENDLESS, files=tables, timeout_s=60)
    assert run("SELECT 1", files=tables)["rows"] == [[1]]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT repeat('x', 3000000000)",
        "SELECT list(range) FROM range(300000000)",
        "SELECT string_agg(repeat('y', 1000), '') FROM range(3000000)",
    ],
)
def test_a_result_of_a_gigabyte_is_refused_and_the_session_lives(run, refused, tables, text):
    assert refused(text, files=tables, memory_bytes=600 << 20).code == "memory_limit"
    assert run("SELECT 1", files=tables)["rows"] == [[1]]


def test_variables_are_tables_where_no_table_has_their_name(run, refused, tables, variables):
    variables |= {"df": pd.DataFrame({"z": [1, 2]}), "city": pd.DataFrame({"q": [1]}), "n": 3}
    assert run("SELECT sum(z) FROM df", files=tables)["rows"] == [[3]]
    assert run("SELECT count(*) FROM city", files=tables)["rows"] == [[3]]
    variables.clear()
    assert refused("SELECT sum(z) FROM df", files=tables).code == "not_found"


def test_variables_of_ours_are_no_tables(refused, tables):
    assert refused("FROM frames", files=tables).code == "not_found"
    assert refused("FROM payload", files=tables).code == "not_found"


def test_values_of_every_type_become_json(run):
    text = """SELECT 1.50::DECIMAL(10,2) AS a, 'x'::BLOB AS b, {'k': [1, NULL]} AS c, MAP {'m': 2} AS d,
        DATE '2024-02-29' AS e, TIMESTAMP '2024-02-29 13:05:00.5' AS f, TIMESTAMPTZ '2024-02-29 13:05:00+02' AS g,
        TIME '13:05:00' AS h, INTERVAL 26 HOUR AS i, 'nan'::DOUBLE AS j, '-inf'::DOUBLE AS k,
        170141183460469231731687303715884105727::HUGEINT AS l, 12345678901234567.25::DECIMAL(20,2) AS m,
        true AS n, 'a' || chr(0) AS o, UUID '6ba7b810-9dad-11d1-80b4-00c04fd430c8' AS p, 3.0::DECIMAL(3,1) AS q"""
    [row] = run(text)["rows"]
    assert row == [
        1.5, "x'78'", {"k": [1, None]}, {"m": 2}, "2024-02-29", "2024-02-29T13:05:00.500000",
        "2024-02-29T11:05:00+00:00", "13:05:00", "1 day, 2:00:00", "NaN", "-Infinity",
        "170141183460469231731687303715884105727", "12345678901234567.25", True, "a\0",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8", 3,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("noise.duckdb", bytes(range(256)) * 40),
        ("cut.duckdb", b"\0" * 8 + b"DUCK" + b"\x01" * 100),
        ("noise.parquet", b"PAR1" + bytes(range(256))),
        ("text.parquet", b"no parquet"),
        ("latin.csv", "name\nMünchen\n".encode("latin-1")),
        ("broken.json", b'{"a": '),
        ("notes.md", b"# notes"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(refused, run, tmp_path, tables, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert refused("SELECT 1", databases={"bad": path}).code == "invalid_argument"
    assert run("SELECT 1", files={**tables, name: path}, database="city.csv")["rows"] == [[1]]


def test_a_writable_database_is_changed_in_a_copy(run, refused, duck_shop, workspace):
    writable = {"shop": {"path": str(duck_shop), "writable": True}}
    before = duck_shop.read_bytes()
    run("INSERT INTO city VALUES (9, 'Jena', 'DE')", databases=writable)
    assert run("SELECT count(*) FROM city", databases=writable)["rows"] == [[4]]
    assert duck_shop.read_bytes() == before
    assert refused("COPY city TO 'out.csv'", databases=writable).code == "policy_denied"


def test_keys_of_table_files_are_inferred_and_marked(payload, tmp_path):
    (tmp_path / "city.csv").write_text("city_id,name\n1,Ulm\n2,Wien\n", encoding="utf-8")
    (tmp_path / "sale.csv").write_text("id,city_id,n\n1,1,5\n2,1,5\n3,2,7\n", encoding="utf-8")
    files = {name: tmp_path / name for name in ("city.csv", "sale.csv")}
    city, sale = inside.schema(payload(files=files, database="files", tables=None))["tables"]
    assert (city["primary_key"], city["primary_key_inferred"]) == (["city_id"], True)
    assert sale["foreign_keys"] == [
        {"columns": ["city_id"], "table": "city", "references": ["city_id"], "inferred": True}
    ]
    assert city["foreign_keys"] == []


def test_the_schema_of_a_duckdb_file_has_its_keys(payload, duck_shop):
    city, sale = inside.schema(payload(databases={"shop": duck_shop}, tables=None))["tables"]
    assert city["primary_key"] == ["id"]
    assert city["unique"] == [["name"]]
    assert sale["foreign_keys"] == [{"columns": ["city_id"], "table": "city", "references": ["id"]}]


def test_a_path_out_of_the_workspace_is_denied(refused, workspace, shop):
    os.symlink("/etc", workspace / "etc")
    assert refused("SELECT 1", database="../../etc/passwd").code == "policy_denied"
    assert refused("SELECT 1", database="etc/passwd").code == "policy_denied"
    assert refused("SELECT 1", database="/etc/passwd").code == "policy_denied"
    assert refused("SELECT 1", database="a\0b").code == "invalid_argument"


def test_a_database_that_the_users_code_has_made_is_queried_by_path_and_let_go(run, workspace):
    connection = duckdb.connect(str(workspace / "mine.duckdb"))
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    connection.close()
    assert run("SELECT a FROM t", database="mine.duckdb")["rows"] == [[1]]
    duckdb.connect(str(workspace / "mine.duckdb")).close()


def test_a_file_that_changes_is_read_anew(run, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n", encoding="utf-8")
    assert run("SELECT sum(a) FROM t", files={"t.csv": path})["rows"] == [[1]]
    path.write_text("a\n1\n2\n", encoding="utf-8")
    assert run("SELECT sum(a) FROM t", files={"t.csv": path})["rows"] == [[3]]
