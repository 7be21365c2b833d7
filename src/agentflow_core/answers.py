"""A content-addressed store of answers in SQLite: what models and tools said, durable before it is used.

One file holds one mapping from keys (hashes of requests) to answers. The write-ahead log makes an answer survive a
``kill -9`` of the process from the moment that ``put`` returns, and lets other processes read while one writes.

An answer is appended to the log where it comes, on the event loop: that is a write to the page cache and takes some
20 µs, where a worker thread would wait milliseconds for the interpreter lock of a busy loop. What may take longer is
done in a thread: opening, reading, waiting for another process that writes, and moving the log into the file.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
import zstandard
from attrs import frozen

from agentflow_core.errors import RunCorruptError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["AnswerStore", "StoredAnswer"]

T = TypeVar("T")
_Row = tuple[str, bytes | None, bytes]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    request BLOB,
    answer BLOB NOT NULL
)
"""
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # a commit outlives the process; only a power cut may lose the newest ones
    "PRAGMA wal_autocheckpoint = 0",  # it syncs the disk, so it is done in a thread
)
_BUSY_TIMEOUT_S = 30.0
_LOG_BYTES = 8 << 20  #: how long the log may grow before it is moved into the file
_PUT_BYTES = 8 << 10  #: of the log that a put takes beside its answer: a page of the table and one of its index
_INSERT = "INSERT OR IGNORE INTO answers (key, request, answer) VALUES (?, ?, ?)"
#: Texts below this are stored as they are; a zstd frame starts with its magic number, which no JSON does.
_COMPRESS_FROM_BYTES = 4096
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: How many stored requests `nearest` compares closely.
_CANDIDATES = 16
_CLOSE_LOOK_CHARS = 20_000


@frozen(kw_only=True)
class StoredAnswer:
    """One entry: its key, the request as JSON (where it was stored) and the answer as JSON."""

    key: str
    request: bytes | None
    answer: bytes


class AnswerStore:
    """Answers by key, in the SQLite file at ``path``. The first answer that is put under a key stays.

    The file is opened, and made if need be, at first use. Use it on one event loop. Any number of processes may open
    the same file; what another one adds is seen by those who open it after that.

    Every method raises `StorageError` when the disk refuses (it is full, read-only, gone) and `RunCorruptError` when
    the file is not a store or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._known: set[int] = set()
        self._log_bytes = 0
        self._turn = anyio.Lock()  # for the thread
        self._thread = anyio.CapacityLimiter(1)  # one of its own: tools may hold all the shared ones
        self._idle = anyio.Event()  # the thread does not use the connection
        self._idle.set()

    async def get(self, key: str) -> bytes | None:
        """The answer stored under the key, or None."""
        if self._connection is None:
            await self._in_thread(self._open)
        if hash(key) not in self._known:  # a miss costs no thread and no I/O
            return None
        found = await self._in_thread(lambda: self._select(key))
        return found.answer if found else None

    async def put(self, key: str, request_json: bytes | None, answer_json: bytes) -> None:
        """Store an answer; when this returns, it survives the death of the process.

        ``request_json`` may be None where nobody will look for the nearest request.
        """
        row = (key, None if request_json is None else _pack(request_json), _pack(answer_json))
        while not self._idle.is_set():
            await self._idle.wait()
        if not self._insert_at_once(row):
            await self._in_thread(lambda: self._insert(row))
        self._known.add(hash(key))
        self._log_bytes += _PUT_BYTES + len(row[2]) + len(row[1] or b"")
        if self._log_bytes > _LOG_BYTES:
            self._log_bytes = 0
            await self._in_thread(self._move_log)

    async def nearest(self, request_json: bytes) -> StoredAnswer | None:
        """The entry whose stored request is most similar to this one, or None if no request is stored."""
        return await self._in_thread(lambda: self._nearest(request_json))

    async def entries(self) -> list[StoredAnswer]:
        """Everything that is stored, sorted by key."""
        return await self._in_thread(self._entries)

    async def count(self) -> int:
        """How many answers are stored."""
        return await self._in_thread(self._count)

    async def aclose(self) -> None:
        """Close the file; the store may be used again, and then opens it again."""
        with anyio.CancelScope(shield=True):
            await self._in_thread(self._close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _insert_at_once(self, row: _Row) -> bool:
        """Insert here, unless the file is not open or another process writes it."""
        if self._connection is None:
            return False
        try:
            self._connection.execute(_INSERT, row)
        except sqlite3.Error as error:
            if _name(error).startswith("SQLITE_BUSY"):
                return False
            raise _typed(error, self.path) from error
        return True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        async with self._turn:
            self._idle = anyio.Event()
            try:
                return await anyio.to_thread.run_sync(work, limiter=self._thread)
            except (sqlite3.Error, OSError, zstandard.ZstdError) as error:
                raise _typed(error, self.path) from error
            finally:
                self._idle.set()

    # ---- in the thread

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                for pragma in _PRAGMAS:
                    connection.execute(pragma)
                connection.execute(_SCHEMA)
                connection.execute("PRAGMA busy_timeout = 0")
                self._known.update(hash(key) for (key,) in connection.execute("SELECT key FROM answers"))
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _select(self, key: str) -> StoredAnswer | None:
        row = self._open().execute("SELECT key, request, answer FROM answers WHERE key = ?", (key,)).fetchone()
        return _entry(row) if row else None

    def _insert(self, row: _Row) -> None:
        connection = self._open()
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_S * 1000:.0f}")
        try:
            connection.execute(_INSERT, row)
        finally:
            connection.execute("PRAGMA busy_timeout = 0")

    def _move_log(self) -> None:
        self._open().execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _entries(self) -> list[StoredAnswer]:
        rows = self._open().execute("SELECT key, request, answer FROM answers ORDER BY key").fetchall()
        return [_entry(row) for row in rows]

    def _count(self) -> int:
        (count,) = self._open().execute("SELECT count(*) FROM answers").fetchone()
        return int(count)

    def _nearest(self, request_json: bytes) -> StoredAnswer | None:
        wanted = request_json.decode("utf-8", "replace")
        rough: list[tuple[float, str]] = []
        for key, request in self._open().execute("SELECT key, request FROM answers WHERE request IS NOT NULL"):
            score = _shared_ends(wanted, _unpack(request).decode("utf-8", "replace"))
            rough.append((score, key))
        rough.sort(key=lambda item: (-item[0], item[1]))
        best: StoredAnswer | None = None
        best_score = -1.0
        for _, key in rough[:_CANDIDATES]:
            entry = self._select(key)
            if entry is None or entry.request is None:
                continue
            score = _similarity(wanted, entry.request.decode("utf-8", "replace"))
            if score > best_score:
                best, best_score = entry, score
        return best

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._known.clear()


def _name(error: Exception) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def _pack(text: bytes) -> bytes:
    return text if len(text) < _COMPRESS_FROM_BYTES else zstandard.compress(text, 1)


def _unpack(stored: bytes) -> bytes:
    return zstandard.decompress(stored) if stored.startswith(_ZSTD_MAGIC) else stored


def _entry(row: _Row) -> StoredAnswer:
    key, request, answer = row
    return StoredAnswer(key=key, request=None if request is None else _unpack(request), answer=_unpack(answer))


def _shared_ends(one: str, other: str) -> float:
    """How much of the longer text is a common beginning or end: conversations differ in the middle or at the end."""
    longest = max(len(one), len(other), 1)
    head = _common_prefix(one, other)
    tail = _common_prefix(one[head:][::-1], other[head:][::-1])
    return (head + tail) / longest


def _common_prefix(one: str, other: str) -> int:
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _similarity(one: str, other: str) -> float:
    """Edit similarity, 0 to 1, of what is left after the common beginning, weighted by how much is common."""
    from rapidfuzz.fuzz import ratio  # only when a replay misses

    head = _common_prefix(one, other)
    rest = ratio(one[head : head + _CLOSE_LOOK_CHARS], other[head : head + _CLOSE_LOOK_CHARS]) / 100
    longest = max(len(one), len(other), 1)
    return head / longest + rest * (1 - head / longest)


def _typed(error: Exception, path: Path) -> StorageError | RunCorruptError:
    name = _name(error)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or isinstance(error, zstandard.ZstdError):
        return RunCorruptError(
            f"{path} is damaged or not a store of answers: {error}",
            hint="move the file away: the answers that it held are asked for again",
        )
    hint = "free some space, then resume" if name == "SQLITE_FULL" else "check the path, its permissions and the disk"
    return StorageError(f"cannot use {path}: {error}", hint=hint)
