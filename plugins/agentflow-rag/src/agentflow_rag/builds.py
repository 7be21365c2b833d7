"""Build the index of a corpus once, save it by content, and swap it in atomically.

A saved index is a folder named by what it was made from: the bytes of the corpus, the settings that matter, and the
engine's version. It is written in a folder beside it and renamed under a file lock, so a folder that is there is
complete, many processes may ask for it at once, and a build that is killed leaves nothing that is ever opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from attrs import asdict, evolve, frozen
from filelock import FileLock, Timeout

from agentflow_core.errors import DataError, Problem, StorageError
from agentflow_rag.config import CorpusConfig
from agentflow_rag.corpus import CorpusFile, corpus_files, hash_files, read_documents
from agentflow_rag.documents import STRICT_HINT, ReadReport
from agentflow_rag.engines import load_engine
from agentflow_rag.engines.base import Engine
from agentflow_rag.store import StoreWriter

__all__ = ["Saved", "Tick", "prepare"]

#: Told ``(what is being done, documents so far)`` often; may raise to stop the build.
Tick = Callable[[str, int], None]

_LAYOUT = "1"
_MANIFEST = "manifest.json"
_STORE = "documents.sqlite"
_INDEX = "index"
_LOCK_ROUND_S = 0.5
_TICK = 256


@frozen(kw_only=True)
class Saved:
    """A complete saved index. ``problems`` are the first bad lines of its corpus, ``skipped`` counts all of them."""

    directory: Path
    version: str
    documents: int
    units: int
    chars: int
    skipped: int = 0
    problems: tuple[str, ...] = ()
    built: bool = False  #: made by this call, not found

    @property
    def store(self) -> Path:
        """The file of the documents."""
        return self.directory / _STORE

    @property
    def index(self) -> Path:
        """The folder of the engine."""
        return self.directory / _INDEX


def prepare(name: str, config: CorpusConfig, state: Path, tick: Tick) -> Saved:
    """The saved index of the corpus, built now if there is none. Blocks; several processes build one index once.

    Raises:
        DataError: the corpus is missing, empty or unreadable, or has a bad line and is read strictly.
        PluginError: the engine is not installed.
        StorageError: the state folder cannot be written.
    """
    if config.chunk is not None and config.chunk.overlap >= config.chunk.tokens:
        raise DataError(f"corpus {name!r}: chunk.overlap is not less than chunk.tokens")
    engine = load_engine(config.engine)
    files = corpus_files(config.path)
    content = hash_files(files)
    key = _key(content, config, engine)
    final = state / key
    if saved := _found(final):
        return _as_strict_as(config, saved)
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = _lock(state / f"{key}.lock", tick)
        try:
            if saved := _found(final):  # another process built it meanwhile
                return _as_strict_as(config, saved)
            _build(_Job(name=name, config=config, engine=engine), files, content, final, tick)
        finally:
            lock.release()
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"corpus {name!r}: its index cannot be written to {state}: {error}",
            hint="AGENTFLOW_STATE names another folder",
        ) from error
    built = _found(final)
    if built is None:
        raise StorageError(f"corpus {name!r}: its index at {final} is gone right after it was built")
    return evolve(built, built=True)


def _as_strict_as(config: CorpusConfig, saved: Saved) -> Saved:
    """The saved index, unless it leaves bad lines out and the corpus is now read strictly."""
    if config.strict and saved.problems:
        raise DataError(saved.problems[0], hint=STRICT_HINT)
    return saved


@frozen(kw_only=True)
class _Job:
    name: str
    config: CorpusConfig
    engine: Engine


def _key(content: str, config: CorpusConfig, engine: Engine) -> str:
    settings = {
        "layout": _LAYOUT,
        "content": content,
        "fields": asdict(config.fields),
        "chunk": asdict(config.chunk) if config.chunk else None,
        "engine": engine.version,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:24]


def _found(directory: Path) -> Saved | None:
    try:
        manifest = json.loads((directory / _MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Saved(
        directory=directory,
        version=directory.name[:12],
        documents=manifest["documents"],
        units=manifest["units"],
        chars=manifest["chars"],
        skipped=manifest["skipped"],
        problems=tuple(manifest["problems"]),
    )


def _lock(path: Path, tick: Tick) -> FileLock:
    """Take the lock in rounds: between them the caller may stop waiting."""
    lock = FileLock(path, thread_local=False)
    while True:
        try:
            lock.acquire(timeout=_LOCK_ROUND_S)
        except Timeout:
            tick("waiting for another process that indexes", 0)
        else:
            return lock


def _build(job: _Job, files: tuple[CorpusFile, ...], content: str, final: Path, tick: Tick) -> None:
    for left in final.parent.glob(f"building-{final.name}-*"):
        shutil.rmtree(left)  # of a build that was killed: whoever builds this key holds the lock
    work = Path(tempfile.mkdtemp(prefix=f"building-{final.name}-", dir=final.parent))
    try:
        _fill(job, files, work, tick)
        if hash_files(files) != content:
            raise DataError(f"corpus {job.name!r} was changed while it was read", hint="start again once it is written")
        _sync(work)
        work.rename(final)
        _sync_folder(final.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _fill(job: _Job, files: tuple[CorpusFile, ...], work: Path, tick: Tick) -> None:
    config = job.config
    report = ReadReport(strict=config.strict)
    writer = StoreWriter(work / _STORE)
    chars = 0
    try:
        for document in read_documents(files, config.fields, report):
            if not writer.add(document):
                report.skip(Problem(f"duplicate id {document.id!r}", file=document.file, line=document.line))
                continue
            report.documents += 1
            chars += len(document.text)
            if report.documents % _TICK == 0:
                tick("reading", report.documents)
        if not report.documents:
            raise DataError(
                f"corpus {job.name!r} is empty: {config.path} holds no document"
                + (f"\n{report.describe()}" if report.skipped else ""),
                hint="fields: {id, title, text} say which fields of a row hold what",
            )
        (work / _INDEX).mkdir()
        units = job.engine.build(work / _INDEX, writer.units(config.chunk), lambda done: tick("indexing", done))
    finally:
        writer.close()
    manifest = {
        "corpus": job.name,
        "path": config.path,
        "engine": job.engine.version,
        "documents": report.documents,
        "units": units,
        "chars": chars,
        "skipped": report.skipped,
        "problems": [str(problem) for problem in report.problems],
    }
    (work / _MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
