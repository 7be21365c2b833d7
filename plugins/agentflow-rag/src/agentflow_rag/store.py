"""Keep the documents of a corpus in one SQLite file: read by id or by unit, in bounded memory, from many threads.

A *unit* is what an engine indexes: a whole document, or a chunk of one. Units are numbered in the order of their
document ids, so the order of units is the tie-break of equal scores.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_rag.chunks import split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_rag.config import ChunkConfig
    from agentflow_rag.documents import Document

__all__ = ["DocumentStore", "StoreWriter", "Stored", "Unit"]

_SCHEMA = """
CREATE TABLE documents(ordinal INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
                       text TEXT NOT NULL, filters TEXT NOT NULL);
CREATE TABLE units(unit INTEGER PRIMARY KEY, ordinal INTEGER NOT NULL, number INTEGER NOT NULL,
                   start INTEGER NOT NULL, end INTEGER NOT NULL);
"""
_BATCH = 1000


@frozen(kw_only=True)
class Unit:
    """What an engine indexes."""

    number: int
    title: str
    text: str
    doc_id: str
    filters: Mapping[str, Sequence[str]]


@frozen(kw_only=True)
class Stored:
    """A unit as a search hit shows it: the document that it is of, and its piece of the text from ``start`` on."""

    unit: int
    doc_id: str
    title: str
    chunk_id: str
    start: int
    text: str


@frozen(kw_only=True)
class Whole:
    """A document, with ``text`` from ``start`` on, and how long the whole is."""

    doc_id: str
    title: str
    text: str
    start: int
    total_chars: int


class StoreWriter:
    """Fills a new store: every document is added, then `units` numbers them."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536", "locking_mode=EXCLUSIVE"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")

    def add(self, document: Document) -> bool:
        """Keep the document; False if one with its id is there already."""
        row = (
            document.id,
            document.title,
            document.text,
            json.dumps(document.filters, ensure_ascii=False) if document.filters else "",
        )
        added = self._db.execute("INSERT OR IGNORE INTO documents(id, title, text, filters) VALUES(?, ?, ?, ?)", row)
        return added.rowcount == 1

    def units(self, chunk: ChunkConfig | None) -> Iterator[Unit]:
        """Number the units and hand each out, in the order of document ids."""
        rows = self._db.execute("SELECT ordinal, id, title, text, filters FROM documents ORDER BY id")
        writing = self._db.cursor()
        waiting: list[tuple[int, int, int, int, int]] = []
        unit = 0
        for ordinal, doc_id, title, text, raw in rows:
            filters = json.loads(raw) if raw else {}
            spans = ((0, len(text)),) if chunk is None else split(text, chunk.tokens, chunk.overlap)
            for number, (start, end) in enumerate(spans):
                waiting.append((unit, ordinal, number, start, end))
                piece = text if chunk is None else text[start:end]
                yield Unit(number=unit, title=title, text=piece, doc_id=doc_id, filters=filters)
                unit += 1
            if len(waiting) >= _BATCH:
                writing.executemany("INSERT INTO units VALUES(?, ?, ?, ?, ?)", waiting)
                waiting.clear()
        writing.executemany("INSERT INTO units VALUES(?, ?, ?, ?, ?)", waiting)

    def close(self) -> None:
        """Finish the file, or give it up."""
        if self._db.in_transaction:
            self._db.execute("COMMIT")
        self._db.close()


class DocumentStore:
    """Reads a finished store; each thread that asks gets its own connection."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[sqlite3.Connection] = []

    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(self._uri, uri=True, check_same_thread=False)
            db.execute("PRAGMA mmap_size=268435456")
            with self._lock:
                self._open.append(db)
            self._local.db = db
        return db

    def hits(self, units: Sequence[int]) -> dict[int, Stored]:
        """The units by number."""
        marks = ",".join("?" * len(units))
        rows = self._db().execute(
            "SELECT u.unit, u.number, u.start, u.end, d.id, d.title, d.text FROM units u "
            f"JOIN documents d ON d.ordinal = u.ordinal WHERE u.unit IN ({marks})",
            list(units),
        )
        return {
            unit: Stored(
                unit=unit,
                doc_id=doc_id,
                title=title,
                chunk_id=f"{doc_id}#{number}",
                start=start,
                text=text if end - start == len(text) else text[start:end],
            )
            for unit, number, start, end, doc_id, title, text in rows
        }

    def get(self, doc_id: str, start: int = 0, length: int | None = None) -> Whole | None:
        """A range of a document's text, or None if there is no such document."""
        row = self._db().execute("SELECT title, text FROM documents WHERE id = ?", (doc_id,)).fetchone()
        if row is None:
            return None
        title, text = row
        piece = text[start:] if length is None else text[start : start + length]
        return Whole(doc_id=doc_id, title=title, text=piece, start=start, total_chars=len(text))

    def has(self, doc_id: str) -> bool:
        """Is there a document with this id?"""
        return self._db().execute("SELECT 1 FROM documents WHERE id = ?", (doc_id,)).fetchone() is not None

    def near(self, doc_id: str, limit: int = 3) -> list[tuple[str, str]]:
        """``(id, title)`` of the documents whose ids come next in order to ``doc_id``."""
        db = self._db()
        after = db.execute("SELECT id, title FROM documents WHERE id >= ? ORDER BY id LIMIT ?", (doc_id, limit))
        found = after.fetchall()
        if len(found) < limit:
            before = db.execute(
                "SELECT id, title FROM documents WHERE id < ? ORDER BY id DESC LIMIT ?", (doc_id, limit)
            )
            found += before.fetchall()
        return [(str(identifier), str(title)) for identifier, title in found[:limit]]

    def scan(self) -> Iterator[Whole]:
        """Every document, in the order of ids."""
        rows: Iterator[tuple[Any, ...]] = self._db().execute("SELECT id, title, text FROM documents ORDER BY id")
        for doc_id, title, text in rows:
            yield Whole(doc_id=doc_id, title=title, text=text, start=0, total_chars=len(text))

    def close(self) -> None:
        """Close the connections of all threads; no call is under way."""
        with self._lock:
            for db in self._open:
                db.close()
            self._open.clear()
        self._local = threading.local()
