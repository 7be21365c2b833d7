"""PostgreSQL against a real server, started here as another user than ours."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentflow_code.config import DatabaseConfig
from agentflow_code.inside.calls import Refused
from agentflow_code.sql import apart, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETUP = """
CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL UNIQUE, country text, extra json, ok boolean);
CREATE TABLE sale (id int PRIMARY KEY, city_id int REFERENCES city, amount numeric(10,2), at timestamptz);
INSERT INTO city VALUES (1, 'Ulm', 'DE', '{"a": 1}', true), (2, 'Wien', 'AT', NULL, false), (3, 'Bonn', 'DE', NULL, NULL);
INSERT INTO sale VALUES (1, 1, 10.5, '2024-01-01 12:00+02'), (2, 2, 3, NULL), (3, 1, NULL, NULL);
CREATE ROLE reader LOGIN PASSWORD 'r3ader';
CREATE ROLE writer LOGIN PASSWORD 'wr1ter';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
GRANT ALL ON ALL TABLES IN SCHEMA public TO writer;
"""


@pytest.fixture(scope="module")
def server(missing: Callable[[str], None], needed: Callable[[str], object]) -> Iterator[int]:
    """The port of a server of our own."""
    needed("psycopg")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        missing("no PostgreSQL server: apt-get install postgresql")
    if os.geteuid() != 0:
        missing("not root: PostgreSQL is started as another user")
    with _running(programs[-1].parent) as port:
        yield port


@contextmanager
def _running(programs: Path) -> Iterator[int]:
    user = next((name for name in ("postgres", "nobody") if _exists(name)), "nobody")
    folder = Path(tempfile.mkdtemp(prefix="agentflow-postgres-", dir="/tmp"))
    shutil.chown(folder, user)
    data = folder / "data"

    def run(*command: object, stdin: str | None = None) -> None:
        with open(folder / "out", "ab") as out:
            subprocess.run(
                [str(part) for part in command], user=user, cwd="/", check=True, stdout=out, stderr=out,
                input=None if stdin is None else stdin.encode(), env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            )  # fmt: skip

    run(programs / "initdb", "-D", data, "-A", "scram-sha-256", "--auth-local=trust", "-E", "UTF8", "--no-sync")
    for is_last in (False, False, True):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        try:
            run(programs / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", folder / "log", "-o", options, "start")
            break
        except subprocess.CalledProcessError:  # somebody else may have been given the port meanwhile
            if is_last:
                raise
    try:
        psql = shutil.which("psql") or programs / "psql"
        run(psql, "-h", folder, "-p", port, "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-q", stdin=SETUP)
        yield port
    finally:
        run(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@pytest.fixture
def url(server: int) -> str:
    return f"postgresql://reader:r3ader@127.0.0.1:{server}/postgres"


@pytest.fixture
def database(url: str) -> dict[str, dict[str, object]]:
    return {"pg": {"url": url, "writable": False}}


def test_a_query_gives_columns_types_and_rows(run, database):
    found = run("SELECT id, amount, at FROM sale ORDER BY id", databases=database)
    assert found["dialect"] == "postgres"
    assert [column["type"] for column in found["columns"]] == ["int4", "numeric", "timestamptz"]
    assert found["rows"] == [[1, 10.5, "2024-01-01T10:00:00+00:00"], [2, 3, None], [3, None, None]]


def test_parameters_are_bound_by_place(run, refused, database):
    assert run("SELECT name FROM city WHERE id = $1", params=[2], databases=database)["rows"] == [["Wien"]]
    assert refused("SELECT :a", params={"a": 1}, databases=database).code == "invalid_argument"
    assert run("SELECT name FROM city WHERE name LIKE 'U%'", databases=database)["rows"] == [["Ulm"]]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("DELETE FROM city", ("policy_denied",)),
        ("CREATE TABLE t (a int)", ("policy_denied",)),
        ("COPY city TO PROGRAM 'cat'", ("policy_denied",)),
        ("COPY city TO '/tmp/agentflow-never'", ("policy_denied",)),
        ("SET statement_timeout = 0", ("policy_denied",)),
        ("DO $$ BEGIN END $$", ("policy_denied",)),
        ("COMMIT", ("policy_denied",)),
        ("SELECT 1; DROP TABLE city", ("invalid_argument",)),
        ("SELECT 1; COMMIT; DROP TABLE city", ("invalid_argument",)),
        ("WITH x AS (DELETE FROM city RETURNING *) SELECT * FROM x", ("policy_denied",)),
        ("EXPLAIN ANALYZE DELETE FROM city", ("policy_denied",)),
        ("SELECT pg_read_file('/etc/passwd')", ("policy_denied",)),
        ("SELECT lo_import('/etc/passwd')", ("policy_denied",)),
        ("SELECT set_config('transaction_read_only', 'off', false)", ("policy_denied", "ok")),
        ("SELEC 1", ("policy_denied", "invalid_argument")),
        ("", ("invalid_argument",)),
        ("SELECT 'a\0b'", ("invalid_argument",)),
        ("SELECT 1/0", ("invalid_argument",)),
    ],
)
def test_what_is_not_reading_is_denied(run, database, text, codes):
    try:
        run(text, databases=database)
        code = "ok"
    except Refused as refusal:
        code = refusal.code
    assert code in codes
    assert run("SELECT count(*) FROM city", databases=database)["rows"] == [[3]]


@pytest.mark.parametrize("text", ["SHOW server_version", "EXPLAIN SELECT 1", "VALUES (1)", "TABLE city", "(SELECT 1)",
                                  "/* x */ -- y\n WITH a AS (SELECT 1) SELECT * FROM a"])  # fmt: skip
def test_reading_beyond_select_is_allowed(run, database, text):
    assert run(text, databases=database)["rows"]


def test_unknown_tables_and_columns_name_the_nearest(refused, database):
    assert refused("SELECT * FROM citys", databases=database).data["tables"] == ["city"]
    assert refused("SELECT contry FROM city", databases=database).data["columns"] == ["city.country"]
    assert refused("SELECT c.contry FROM city c", databases=database).data["columns"] == ["city.country"]


def test_a_statement_ends_with_its_time_and_the_connection_is_good(run, refused, database):
    assert refused("SELECT pg_sleep(60)", databases=database, timeout_s=0.5).code == "timeout"
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n % 7 + 1 FROM t) SELECT max(n) FROM t"
    assert refused(endless, databases=database, timeout_s=0.5).code == "timeout"
    assert run("SELECT 1", databases=database)["rows"] == [[1]]


def test_a_long_result_is_read_no_further_than_it_is_counted(run, database):
    found = run("SELECT * FROM generate_series(1, 10000000)", databases=database)
    assert (len(found["rows"]), found["row_count"]) == (200, None)
    assert run("SELECT 1", databases=database)["rows"] == [[1]]


def test_the_schema_has_what_joins_are_made_of(payload, database):
    city, sale = inside.schema(payload(databases=database, tables=None))["tables"]
    assert (city["primary_key"], city["unique"]) == (["id"], [["name"]])
    assert sale["foreign_keys"] == [{"columns": ["city_id"], "table": "city", "references": ["id"]}]
    amount = next(column for column in sale["columns"] if column["name"] == "amount")
    assert (amount["distinct"], amount["min"], amount["max"]) == (2, 3, 10.5)


def test_what_is_wrong_with_a_server_tells_no_password(refused, server):
    wrong = {"pg": {"url": f"postgresql://reader:s3cret@127.0.0.1:{server}/postgres", "writable": False}}
    error = refused("SELECT 1", databases=wrong)
    assert error.code == "upstream_error"
    assert "s3cret" not in error.message + error.hint
    nobody = {"pg": {"url": "postgresql://reader:s3cret@127.0.0.1:1/postgres", "writable": False}}
    assert refused("SELECT 1", databases=nobody).code == "upstream_error"


def test_a_writable_database_is_changed(run, server, database):
    writable = {"pg": {"url": f"postgresql://writer:wr1ter@127.0.0.1:{server}/postgres", "writable": True}}
    assert run("INSERT INTO city VALUES (9, 'Jena', 'DE')", databases=writable)["rows"] == [[1]]
    assert run("SELECT name FROM city WHERE id = 9", databases=database)["rows"] == [["Jena"]]
    run("DELETE FROM city WHERE id = 9", databases=writable)


async def test_a_value_of_a_gigabyte_ends_in_a_process_apart(payload, database):
    order = {"query": "SELECT repeat('x', 900000000)", "limit": 1, "offset": 0, "max_bytes": 1 << 20, "database": "pg"}
    answer = await apart.ask(
        "agentflow_code.sql.inside:query", payload(databases=database, **order, memory_bytes=300 << 20), 60
    )
    assert answer["refused"]["code"] in ("memory_limit", "upstream_error")


async def test_a_session_queries_the_server_without_network_and_without_its_password(opened, url):
    async with opened(databases={"pg": DatabaseConfig(url=url)}) as sandbox:
        found = await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM city"})
        assert found.data["rows"] == [[3]]
        listed = await sandbox.execute("code:list_databases", {})
        assert listed.data["databases"] == [
            {"name": "pg", "kind": "postgres", "writable": False, "tables": ["city", "sale"], "table_count": 2}
        ]
        assert "→ city.id" in (await sandbox.execute("code:schema", {})).text
        code = "import os, gc\nany(b'r3ader' in open(f'/proc/self/{n}', 'rb').read() for n in ('environ', 'cmdline'))"
        assert (await sandbox.execute("code:run", {"code": code})).text == "False"
