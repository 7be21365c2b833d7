"""Data that the rules play with, observed as the tools of ``code`` observe them, in this process."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_code.offline.seen import LIST_FILES
from agentflow_code.sql import inside
from agentflow_code.sql.rendering import databases_text, profile_text, rows_text, schema_text
from agentflow_core.records import Action, Observation

if TYPE_CHECKING:
    from pathlib import Path

SHOP = """
CREATE TABLE artist (artist_id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL);
CREATE TABLE album (album_id INTEGER PRIMARY KEY, title TEXT NOT NULL, artist_id INTEGER NOT NULL REFERENCES artist);
CREATE TABLE track (
  track_id INTEGER PRIMARY KEY, name TEXT NOT NULL, album_id INTEGER REFERENCES album,
  genre TEXT NOT NULL, seconds INTEGER NOT NULL, price REAL NOT NULL, released TEXT NOT NULL
);
CREATE TABLE playlist (playlist_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE playlist_track (
  playlist_id INTEGER NOT NULL REFERENCES playlist, track_id INTEGER NOT NULL REFERENCES track,
  PRIMARY KEY (playlist_id, track_id)
);
"""
ARTISTS = [
    ("Blue Heron", "Chile"),
    ("Old Quarry", "Kenya"),
    ("Tern", "Chile"),
    ("The Larches", "Japan"),
    ("Ö & Ü", "Kenya"),
]
ALBUMS = ["Amber", "Salt Road", "Low Tide", "Second Winter", "Lantern's End", "Atlas", "Meadow"]
GENRES = ["Jazz", "Folk", "Noise"]


def fill(connection: sqlite3.Connection) -> None:
    """Tables whose figures differ from one another, and names with quotes and umlauts."""
    connection.executescript(SHOP)
    insert = connection.executemany
    insert("INSERT INTO artist VALUES (?, ?, ?)", [(at, *each) for at, each in enumerate(ARTISTS, 1)])
    albums = [(at, title, 1 + at % 4) for at, title in enumerate(ALBUMS, 1)]
    insert("INSERT INTO album VALUES (?, ?, ?)", albums)
    tracks = [
        (
            at,
            f"Track {at}",
            None if at % 23 == 0 else 1 + (at * at + at // 3) % 7,
            GENRES[at * at % 7 % 3],
            90 + at * 37 % 400,
            (0.5, 0.9, 1.2, 2.0)[at % 4],
            f"{2018 + at % 5}-0{1 + at % 9}-11",
        )
        for at in range(1, 81)
    ]
    insert("INSERT INTO track VALUES (?, ?, ?, ?, ?, ?, ?)", tracks)
    insert("INSERT INTO playlist VALUES (?, ?)", [(1, "Morning"), (2, "Night"), (3, "Road")])
    insert("INSERT INTO playlist_track VALUES (?, ?)", [(1 + at % 3, at) for at in range(1, 81) if at % 4])
    insert(
        "INSERT INTO playlist_track VALUES (?, ?)",
        [(1 + (at + 1) % 3, at) for at in range(1, 81) if at % 5 == 1 and at % 4],
    )
    connection.commit()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database."""
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        fill(connection)
    return path


@pytest.fixture
def tables(shop: Path, tmp_path: Path) -> Path:
    """The tables of the same database that have one number of columns each for pandas, as CSV files in ``data``."""
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(sqlite3.connect(shop)) as connection:
        for name, query in FILES.items():
            rows = connection.execute(query)
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow([column[0] for column in rows.description])
                writer.writerows(rows)
    return folder


#: Files have columns of different names, as pandas joins them into one table.
FILES = {
    "artists": "SELECT artist_id, name AS artist, country FROM artist",
    "albums": "SELECT album_id, title AS album, artist_id FROM album",
    "tracks": "SELECT track_id, album_id, genre, seconds, price, released FROM track WHERE album_id IS NOT NULL",
}

Observe = Callable[[Action], Observation]


@pytest.fixture
def database(shop: Path, tmp_path: Path) -> Observe:
    """Answers calls about the database ``shop``."""
    return lambda action: observed(
        action, {"workspace": str(tmp_path), "databases": {"shop": {"path": str(shop)}}, "files": {}}
    )


@pytest.fixture
def files(tables: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Observe]:
    """Answers calls about the CSV files."""
    monkeypatch.chdir(tables.parent)
    base = {
        "workspace": str(tables.parent),
        "databases": {},
        "files": {path.name: str(path) for path in tables.iterdir()},
    }
    return lambda action: observed(action, base)


def observed(action: Action, base: Mapping[str, Any]) -> Observation:
    """What the tool would say."""
    params = action.params
    if action.tool == "code:list_databases":
        found = inside.databases(base)
        return Observation(data=found, text=databases_text(found))
    if action.tool == "code:schema":
        found = inside.schema({"database": None, "tables": None, **base, **params})
        return Observation(data=found, text=schema_text(found))
    if action.tool == "code:profile":
        found = inside.profile({**base, **params})
        return Observation(data=found, text=profile_text(found))
    if action.tool == "code:sql":
        found = inside.query({"database": None, "limit": 200, "offset": 0, "max_bytes": 100_000, **base, **params})
        return Observation(data=found, text=rows_text(found))
    assert action.tool == "code:run", action.tool
    return printed(params["code"])


def printed(code: str) -> Observation:
    """What a program prints, run in this process in the current folder."""
    if code == LIST_FILES:
        said = str(sorted(os.listdir("data")))
    else:
        stream = io.StringIO()
        with redirect_stdout(stream):
            exec(code, {})
        said = stream.getvalue().strip()
    return Observation(data={"stdout": f"{said}\n", "error": None}, text=said)
