"""Start a run from the stages of another one that did not change."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from agentflow_core.errors import RunCorruptError
from agentflow_core.records.events import Notice
from agentflow_core.runs.files import storage_error
from agentflow_core.runs.journal import Journal
from agentflow_core.runs.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from agentflow_core.runs.journal import Batch

__all__ = ["copy_unchanged"]

_GROUP = 64


def copy_unchanged(source: Path, target: Path, journal: Journal, digests: Mapping[str, str]) -> list[Notice]:
    """Append to ``journal`` the units of ``source`` whose stage has the digest in ``digests``; bring blobs and cache.

    What is there already is not copied again, so that a copy that was interrupted can be finished.

    Raises:
        RunError: the source is not a run.
        StorageError: the disk refuses.
    """
    stages = read_manifest(source)["stages"]
    unchanged = {name for name, digest in digests.items() if stages.get(name, {}).get("digest") == digest}
    notices: list[Notice] = []
    try:
        _link_blobs(source / "blobs", target / "blobs")
        _copy_cache(source / "cache.sqlite", target / "cache.sqlite")
    except (OSError, sqlite3.Error) as error:
        raise storage_error(target, error if isinstance(error, OSError) else OSError(str(error))) from error
    with Journal(source / "journal", source / "timings.jsonl", writable=False) as old:
        group: list[Batch] = []
        for batch in _batches(old, journal, unchanged, notices):
            group.append(batch)
            if len(group) == _GROUP:
                journal.append(group)
                group = []
        if group:
            journal.append(group)
    return notices


def _batches(old: Journal, journal: Journal, stages: set[str], notices: list[Notice]) -> Iterator[Batch]:
    wanted = [key for key, entry in old.entries.items() if entry.stage in stages and key not in journal.entries]
    for key in sorted(wanted, key=lambda key: (old.entries[key].file, old.entries[key].offset)):
        try:
            yield old.batch(key)
        except RunCorruptError as error:
            notices.append(Notice(message=f"{error.message}; the unit is not taken over"))


def _link_blobs(source: Path, target: Path) -> None:
    for path in source.glob("??/*"):
        copy = target / path.relative_to(source)
        if copy.exists() or path.suffix:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, copy)
        except OSError:  # another file system, or one without links
            temporary = copy.with_name(f"{copy.name}.tmp")
            shutil.copyfile(path, temporary)
            temporary.replace(copy)


def _copy_cache(source: Path, target: Path) -> None:
    if not source.exists() or target.exists():
        return
    temporary = target.with_name(f"{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(temporary)) as new:
        old.backup(new)
    temporary.replace(target)
