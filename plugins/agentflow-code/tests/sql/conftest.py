"""A small shop as SQLite, DuckDB and table files, and the functions of the data tools called in this process."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from agentflow_code.inside.calls import Refused
from agentflow_code.sql import inside, opening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

SCHEMA = """
CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, country TEXT);
CREATE TABLE sale (id INTEGER PRIMARY KEY, city_id INTEGER REFERENCES city, amount REAL, day TEXT, note BLOB);
CREATE VIEW german AS SELECT name FROM city WHERE country = 'DE';
"""
CITIES = [(1, "Ulm", "DE"), (2, "Wien", "AT"), (3, "Bonn", "DE")]
SALES = [(1, 1, 10.5, "2024-01-01", b"\x01"), (2, 2, 3.0, "2024-01-02", None), (3, 1, None, "2024-02-01", None)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A SQLite file."""
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO city VALUES (?, ?, ?)", CITIES)
    connection.executemany("INSERT INTO sale VALUES (?, ?, ?, ?, ?)", SALES)
    connection.commit()
    connection.close()
    return path


@pytest.fixture(scope="session")
def chinook(missing: Callable[[str], None]) -> Path:
    """The music shop of the sample data."""
    folder = Path(os.environ.get("AGENTFLOW_DATA") or Path(__file__).parents[5] / "shared" / "data")
    if not (folder / "chinook.sqlite").is_file():
        missing(f"no chinook.sqlite in {folder}: set AGENTFLOW_DATA")
    return folder / "chinook.sqlite"


@pytest.fixture
def duck_shop(tmp_path: Path) -> Path:
    """The same as a DuckDB file."""
    path = tmp_path / "shop.duckdb"
    connection = duckdb.connect(str(path))
    connection.execute("CREATE TABLE city (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, country VARCHAR)")
    connection.execute(
        "CREATE TABLE sale (id INTEGER PRIMARY KEY, city_id INTEGER REFERENCES city(id), amount DOUBLE, day DATE)"
    )
    connection.executemany("INSERT INTO city VALUES (?, ?, ?)", CITIES)
    connection.executemany("INSERT INTO sale VALUES (?, ?, ?, ?)", [row[:4] for row in SALES])
    connection.close()
    return path


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    """The same as CSV and Parquet files."""
    city, sale = tmp_path / "city.csv", tmp_path / "sale.parquet"
    city.write_text("id,name,country\n1,Ulm,DE\n2,Wien,AT\n3,Bonn,DE\n", encoding="utf-8")
    duckdb.execute(
        f"COPY (SELECT * FROM (VALUES (1, 'Ulm', 10.5), (2, 'Wien', 3.0), (3, 'Ulm', NULL)) t(sale_id, name, amount)) "
        f"TO '{sale}'"
    )
    return {"city.csv": city, "sale.parquet": sale}


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    """In a session the connections end with the interpreter."""
    yield
    for key in list(opening._used):
        opening._forget(key)


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The user's variables; there is no shell here."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(inside, "_variables", lambda: found)
    return found


@pytest.fixture
def signalled() -> Callable[[float], AbstractContextManager[None]]:
    """A signal in so many seconds, if the block still runs then."""

    @contextmanager
    def within(seconds: float) -> Iterator[None]:
        main = threading.main_thread().ident
        timer = threading.Timer(seconds, signal.pthread_kill, (main, signal.SIGINT))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    return within


@pytest.fixture
def payload(workspace: Path) -> Callable[..., dict[str, Any]]:
    """A payload as the tools send it: ``payload(databases={name: path}, files={name: path}, …)``."""

    def make(
        databases: dict[str, Any] | None = None, files: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        found = {
            name: one if isinstance(one, dict) else {"path": str(one), "writable": False}
            for name, one in (databases or {}).items()
        }
        return {
            "workspace": str(workspace),
            "databases": found,
            "files": {name: str(path) for name, path in (files or {}).items()},
            "memory_bytes": 1 << 30,
            "threads": 2,
            "timeout_s": 20.0,
            **more,
        }

    return make


@pytest.fixture
def run(payload: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """``code:sql`` in this process: ``run(query, databases=…, database=…, params=…)``."""

    def query(text: str, **more: Any) -> dict[str, Any]:
        defaults = {"database": None, "params": None, "limit": 200, "offset": 0, "max_bytes": 1 << 20}
        return inside.query(payload(**{**defaults, **more}, query=text))

    return query


@pytest.fixture
def refused(run: Callable[..., dict[str, Any]]) -> Callable[..., Refused]:
    """The refusal of a query."""

    def ask(text: str, **more: Any) -> Refused:
        with pytest.raises(Refused) as caught:
            run(text, **more)
        return caught.value

    return ask
