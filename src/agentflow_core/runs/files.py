"""Write files that are whole or not there; keep large texts beside the records that mention them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from agentflow_core.errors import DataError, StorageError
from agentflow_core.records.results import SHOWN_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agentflow_core.blobs import BlobStore

__all__ = ["loaded_text", "storage_error", "stored_text", "write_atomic"]

_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def storage_error(path: Path, error: OSError) -> StorageError:
    """What a run says when the disk refuses."""
    remedy = "check who may write there" if error.errno in _DENIED else "free some space"
    return StorageError(
        f"cannot write {path}: {error.strerror or error}",
        hint=f"everything finished before is kept; {remedy}, then start the same command again",
    )


def write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    """Replace ``path`` by the chunks: readers see the old file or the whole new one, also after a power cut.

    Raises:
        StorageError: the disk refuses; the old file stands.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable, where the system lets a directory be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stored_text(text: str, blobs: BlobStore) -> str | dict[str, str]:
    """How a record stores a text: itself, or ``{"blob": sha256}`` where its UTF-8 form is over 32 KB."""
    if len(text) * 4 <= SHOWN_LIMIT_BYTES:
        return text
    raw = text.encode("utf-8")
    return text if len(raw) <= SHOWN_LIMIT_BYTES else {"blob": blobs.put(raw)}


def loaded_text(stored: Any, blobs: BlobStore) -> str:
    """The text that `stored_text` stored. Raises `DataError` where it is neither text nor a blob."""
    if isinstance(stored, str):
        return stored
    if isinstance(stored, dict) and isinstance(stored.get("blob"), str):
        return blobs.get(stored["blob"]).decode("utf-8")
    raise DataError(f"a text or {{'blob': sha256}} is expected, not {type(stored).__name__}")
