"""Keep a document that was read: one SQLite file a document, with its pages, passages and the words in them.

It is written once, under another name, and renamed when it is whole. Only a page whose tables are found later is
replaced in it; the passages stay as they are.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from agentflow_doc.passages import Passage, passages_of
from agentflow_doc.records import Head, Page, Part
from agentflow_doc.words import terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["FORMAT", "Posting", "Store", "write_store"]

#: Part of the name of every store: another number, and documents are read anew.
FORMAT: Final = 1
_SCHEMA: Final = """
CREATE TABLE head (json TEXT NOT NULL);
CREATE TABLE pages (number INTEGER PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE passages (
    number INTEGER PRIMARY KEY, page INTEGER NOT NULL, section TEXT NOT NULL, text TEXT NOT NULL, parts TEXT NOT NULL,
    words INTEGER NOT NULL
);
CREATE TABLE postings (term TEXT PRIMARY KEY, rows BLOB NOT NULL) WITHOUT ROWID;
"""


@frozen
class Posting:
    """That a word stands in a passage, how often, and how long the passage is."""

    passage: int
    count: int
    words: int


def write_store(path: Path, head: Head, pages: Iterable[Page]) -> Head:
    """Write the store; the head with its counts filled in."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_SCHEMA}")
        postings: dict[str, array[int]] = {}
        number = words = 0
        sections = sorted(head.sections, key=lambda section: section.page)
        for page in pages:
            connection.execute("INSERT INTO pages VALUES (?, ?)", (page.number, _dumps(page.to_json())))
            for passage in passages_of(page, sections):
                counted = Counter(terms(f"{passage.section}\n{passage.text}"))
                length = counted.total()
                for term, count in counted.items():
                    postings.setdefault(term, array("I")).extend((number, count, length))
                parts = _dumps([[part.start, part.end, part.box] for part in passage.parts])
                row = (number, passage.page, passage.section, passage.text, parts, length)
                connection.execute("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)", row)
                number += 1
                words += length
        connection.executemany(
            "INSERT INTO postings VALUES (?, ?)", ((term, rows.tobytes()) for term, rows in sorted(postings.items()))
        )
        whole = evolve(head, passages=number, words=words)
        connection.execute("INSERT INTO head VALUES (?)", (_dumps(whole.to_json()),))
        connection.commit()
    finally:
        connection.close()
    return whole


class Store:
    """A store that is whole. Its methods block, and may be called from several threads.

    Each call opens the file for itself, so that there may be more documents than open files.

    Raises:
        sqlite3.Error: from any method: the file is no whole store.
    """

    def __init__(self, path: Path) -> None:
        self._at = f"{path.absolute().as_uri()}?mode=rw"
        with self._open() as connection:
            row = connection.execute("SELECT json FROM head").fetchone()
        if row is None:
            raise sqlite3.DatabaseError("it has no head")
        self.head = Head.from_json(json.loads(row[0]))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._at, uri=True, timeout=30)
        try:
            yield connection
        finally:
            connection.close()

    def pages(self, numbers: Sequence[int]) -> list[Page]:
        """These pages, in this order."""
        asked = "SELECT json FROM pages WHERE number = ?"
        with self._open() as connection:
            rows = [connection.execute(asked, (number,)).fetchone() for number in numbers]
        return [Page.from_json(json.loads(row)) for (row,) in rows]

    def replace(self, pages: Iterable[Page]) -> None:
        """Put pages that were read more closely in the place of those that are there."""
        rows = [(_dumps(page.to_json()), page.number) for page in pages]
        with self._open() as connection, connection:
            connection.executemany("UPDATE pages SET json = ? WHERE number = ?", rows)

    def postings(self, wanted: Sequence[str]) -> Mapping[str, list[Posting]]:
        """Where these words stand; words that are nowhere are left out."""
        found = {}
        with self._open() as connection:
            for term in wanted:
                row = connection.execute("SELECT rows FROM postings WHERE term = ?", (term,)).fetchone()
                if row is not None:
                    flat = array("I")
                    flat.frombytes(row[0])
                    numbers = iter(flat)
                    found[term] = [Posting(*three) for three in zip(numbers, numbers, numbers, strict=True)]
        return found

    def passages(self, numbers: Sequence[int]) -> list[Passage]:
        """These passages, in this order."""
        asked = "SELECT page, section, text, parts FROM passages WHERE number = ?"
        with self._open() as connection:
            rows = [connection.execute(asked, (number,)).fetchone() for number in numbers]
        return [
            Passage(
                page=page,
                section=section,
                text=text,
                parts=tuple(
                    Part(start=start, end=end, box=None if box is None else tuple(box))
                    for start, end, box in json.loads(parts)
                ),
            )
            for page, section, text, parts in rows
        ]


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
