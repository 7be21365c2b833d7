"""A content-addressed store of bytes on disk, which sandbox, models and runs share."""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

import zstandard

from agentflow_core.errors import DataError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BlobStore"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """Blobs under ``root/ab/cd…``, compressed with zstd, named by the SHA-256 of what they hold.

    Writing is atomic and idempotent, so any number of processes may share one store.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = Lock()  # a blob is not discarded in the moment in which it is put again

    def put(self, data: bytes) -> str:
        """Store the bytes and return their hash. Raises `StorageError` when the disk refuses."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if self._renewed(path):
            return sha256
        temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")  # of this call alone: threads write too
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(zstandard.compress(data))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):  # there may be nothing to remove, or no folder for it
                temporary.unlink()
            raise StorageError(
                f"cannot write {path}: {error.strerror or error}", hint="free some space, then resume"
            ) from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes of a hash. Raises `DataError` if they are missing or not what the hash says."""
        path = self._path(sha256)
        try:
            data = zstandard.decompress(path.read_bytes())
        except FileNotFoundError as error:
            raise DataError(f"no blob {sha256} in {self.root}") from error
        except zstandard.ZstdError as error:
            raise DataError(f"{path}: the blob cannot be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"{path}: the blob does not hold what its name says")
        return data

    def discard(self, older_than_s: float) -> int:
        """Remove the blobs that nobody has put for so many seconds, and return how many those were.

        Only where this object is the only one that puts.
        """
        limit = time.time() - older_than_s
        found = 0
        for path in self.root.glob("??/*"):
            with self._lock, suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    path.unlink()
                    found += 1
        return found

    def _renewed(self, path: Path) -> bool:
        """Whether the blob is there; if so, it counts as put now."""
        try:
            with self._lock:
                os.utime(path)
        except FileNotFoundError:
            return False
        except OSError:  # somebody else's
            return path.exists()
        return True

    def __contains__(self, sha256: str) -> bool:
        return self._path(sha256).exists()

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):  # hashes come from files: never a path of somebody's choice
            raise DataError(f"{sha256!r} is not the name of a blob")
        return self.root / sha256[:2] / sha256[2:]
