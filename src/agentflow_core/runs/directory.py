"""The run directory: open it alone, plan units, keep what they found, derive files from it."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from agentflow_core.blobs import BlobStore
from agentflow_core.config.resolved import to_yaml
from agentflow_core.errors import LimitReached, RunConflictError, RunError, StorageError
from agentflow_core.interfaces import Unit
from agentflow_core.records import Usage
from agentflow_core.records.codec import dump, load
from agentflow_core.records.events import ignore_event
from agentflow_core.runs.failures import UnitFailure
from agentflow_core.runs.files import storage_error, write_atomic
from agentflow_core.runs.forking import copy_unchanged
from agentflow_core.runs.index import default_run_dir
from agentflow_core.runs.journal import Journal
from agentflow_core.runs.keys import differences, stage_digest, unit_key
from agentflow_core.runs.lines import line_of
from agentflow_core.runs.lock import LOCK_FILE, RunLock
from agentflow_core.runs.manifest import MANIFEST, SCHEMA, read_manifest, write_manifest
from agentflow_core.runs.plan import Plan
from agentflow_core.runs.status import STATUSES
from agentflow_core.runs.summary import summary_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.records.events import Event, Notice
    from agentflow_core.runs.ledger import Entry

__all__ = ["Run", "UnitRecords", "default_run_dir"]

_OWN_FILES = {LOCK_FILE, MANIFEST, "config.yaml", "plan.jsonl", "journal", "blobs", "timings.jsonl"}


@frozen(kw_only=True)
class UnitRecords:
    """A finished unit and what it found."""

    unit: Unit
    outcome: str  #: ``ok``, ``limit:<kind>`` or ``error:<kind>``
    attempt: int  #: counted from 1; never part of a derived file
    error: UnitFailure | None
    records: list[tuple[str, Any]]  #: ``(type, data)`` in the order in which they were added

    def of(self, type_: str) -> list[Any]:
        """The data of all records of one type."""
        return [data for kind, data in self.records if kind == type_]


class Run:
    """An open run directory, held by this process alone; close it, or use it in a ``with``.

    Leaving the ``with`` without `finish` marks the run ``interrupted``, or ``limited`` or ``failed`` by what was
    raised; all of them can be resumed.
    """

    def __init__(self, directory: Path, lock: RunLock, observe: Callable[[Event], None]) -> None:
        self.dir = directory
        self.blobs = BlobStore(directory / "blobs")
        self.cache_path = directory / "cache.sqlite"
        self.resumed = (directory / MANIFEST).exists()
        self._lock: RunLock | None = lock
        self._observe = observe
        self._plan = Plan(directory / "plan.jsonl")
        self._digests: dict[str, str] = {}
        self._manifest: dict[str, Any] = read_manifest(directory) if self.resumed else {}
        self._spent_before = {role: load(Usage, used) for role, used in self._manifest.get("spent", {}).items()}
        self._finished = False
        self.journal = Journal(directory / "journal", directory / "timings.jsonl")

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        kind: str,
        config: Mapping[str, Any],
        stages: Mapping[str, Any],
        versions: Mapping[str, str] | None = None,
        resume: bool | None = None,
        fork: Path | None = None,
        config_text: str | None = None,
        observe: Callable[[Event], None] = ignore_event,
    ) -> Run:
        """Make a run directory, or go on with one.

        Args:
            directory: where; an existing run there is resumed.
            kind: ``synthesis`` or ``rollout``.
            config: the resolved configuration as JSON, secrets masked.
            stages: for each stage, everything of the configuration that its units depend on, what earlier stages
                depend on included. Another value here is another run, unless no unit was finished, or all of them
                failed; the rest of ``config`` may change on resume.
            versions: of the core and the plugins that the units depend on.
            resume: None resumes if there is a run, True insists that there is, False that there is none.
            fork: a run whose units are taken over where the stage did not change.
            config_text: the text of ``config.yaml``, if it shall have more than ``config``, such as comments.
            observe: is told what reopening found.

        Raises:
            RunConflictError: the directory holds a run of another configuration.
            RunLockedError: another process writes it.
            RunError: it is no run directory, or a later version wrote it.
            StorageError: the disk refuses.
        """
        directory = Path(directory)
        _check_place(directory, resume)
        if fork is not None and not (directory / MANIFEST).exists():
            read_manifest(fork)  # refused before anything is made
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(directory, error) from error
        lock = RunLock.acquire(directory)
        try:
            run = cls(directory, lock, observe)
        except BaseException:
            lock.release()
            raise
        try:
            run._begin(kind, config, stages, versions or {}, config_text, fork)
        except BaseException:
            run._release()
            raise
        return run

    @classmethod
    def fork(cls, source: Path, directory: Path, **options: Any) -> Run:
        """`open` a new directory with the units of ``source`` whose stage did not change."""
        return cls.open(directory, fork=Path(source), **options)

    def _begin(
        self,
        kind: str,
        config: Mapping[str, Any],
        stages: Mapping[str, Any],
        versions: Mapping[str, str],
        config_text: str | None,
        fork: Path | None,
    ) -> None:
        self._digests = {name: stage_digest(name, value, versions) for name, value in stages.items()}
        now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
        if self.resumed:
            self._refuse_other(kind, stages, versions)
        elif fork is not None:
            self._tell(copy_unchanged(fork, self.dir, self.journal, self._digests))
        kept = self._manifest.get("stages", {})
        now_staged = {name: {"digest": self._digests[name], "config": value} for name, value in stages.items()}
        self._manifest = {
            **self._manifest,
            "schema": SCHEMA,
            "kind": kind,
            "status": "running",
            "created": self._manifest.get("created", now),
            "opened": now,
            "forked_from": self._manifest.get("forked_from", str(fork) if fork else None),
            "versions": dict(versions),
            "stages": {**kept, **now_staged},
            "spent": self._manifest.get("spent", {}),
        }
        write_atomic(
            self.dir / "config.yaml", [(to_yaml(config) if config_text is None else config_text).encode("utf-8")]
        )
        write_manifest(self.dir, self._manifest)
        self._tell(self.journal.notices)

    def _refuse_other(self, kind: str, stages: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        if self._manifest.get("kind") != kind:
            raise RunConflictError(
                f"{self.dir} holds a run of kind {self._manifest.get('kind')!r}, not {kind!r}",
                hint="give another run directory",
            )
        old = self._manifest.get("stages", {})
        changed = [name for name, digest in self._digests.items() if name in old and old[name]["digest"] != digest]
        is_untouched = all(entry.failed for entry in self.journal.entries.values())  # nothing can be mixed up
        if not changed or is_untouched:
            return
        where: dict[tuple[str, str], list[str]] = {}
        for name in changed:
            for difference in differences(old[name]["config"], stages[name]):
                where.setdefault(difference, []).append(name)
        lines = [f"  {path}: {change}  (stage {', '.join(names)})" for (path, change), names in where.items()]
        for path, change in differences(self._manifest.get("versions", {}), versions, "versions"):
            lines.append(f"  {path}: {change}")
        raise RunConflictError(
            "\n".join([f"{self.dir} holds a run of another configuration:", *lines]),
            hint=f"give another run directory; with --fork {self.dir} it takes over the stages that did not change",
        )

    def _tell(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            self._observe(notice)

    # ---- units

    def unit(self, stage: str, id: str, input: Any = None, sample: int = 0) -> Unit:
        """The unit of a stage with its key; what tells units apart belongs into ``input`` (JSON) or ``sample``."""
        return Unit(key=unit_key(self._digests[stage], input, sample), id=id, stage=stage, input=input)

    def plan(self, stage: str, units: Sequence[Unit]) -> None:
        """Write the units of a stage to ``plan.jsonl``; their order is that of `records`. Doing it again is free."""
        self._plan.write(stage, units)

    def entry(self, key: str) -> Entry | None:
        """Where and how a unit ended, if it did."""
        return self.journal.entries.get(key)

    def done(self, stage: str, *, retry_failed: bool = True) -> set[str]:
        """The keys of the stage's units that need not run again; failed ones are among them if not retried."""
        entries = self.journal.entries.items()
        return {key for key, entry in entries if entry.stage == stage and not (retry_failed and entry.failed)}

    def outcomes(self, stage: str) -> Counter[str]:
        """How many planned units of the stage ended how; those that did not end are not in it."""
        found: Counter[str] = Counter()
        for unit in self._plan.units(stage):
            entry = self.entry(unit.key)
            if entry is not None:
                found[entry.outcome] += 1
        return found

    def first_failure(self, stage: str) -> UnitFailure | None:
        """Why the first of the stage's planned units failed that did; None if none did, or none said why."""
        for unit in self._plan.units(stage):
            entry = self.entry(unit.key)
            if entry is not None and entry.failed:
                _, end = self.journal.read(unit.key)
                return load(UnitFailure, end["error"]) if end["error"] else None
        return None

    def records(self, stage: str, keys: Container[str] | None = None) -> Iterator[UnitRecords]:
        """The finished units of the stage (those of the keys) in plan order, failed ones too, each read when asked for.

        Raises:
            RunCorruptError: a unit is not what was written; `run_stage` does such a unit again.
        """
        for unit in self._plan.units(stage):
            if unit.key in self.journal.entries and (keys is None or unit.key in keys):
                records, end = self.journal.read(unit.key)
                error = load(UnitFailure, end["error"]) if end["error"] else None
                yield UnitRecords(
                    unit=unit, outcome=end["outcome"], attempt=end["attempt"], error=error, records=records
                )

    def lines(self, stage: str, type_: str, keys: Container[str]) -> Iterator[bytes]:
        """The records of one type of those units, as lines of JSON in plan order; as they were written, unparsed.

        Raises:
            RunCorruptError: as for `records`.
        """
        for unit in self._plan.units(stage):
            if unit.key in keys and unit.key in self.journal.entries:
                for kind, data in self.journal.batch(unit.key).records:
                    if kind == type_:
                        yield line_of(data)

    def drop_damaged(self, stage: str) -> list[Notice]:
        """Forget the stage's units from earlier openings whose records do not match their checksums, and say which."""
        return self.journal.drop_damaged([key for key, entry in self.journal.entries.items() if entry.stage == stage])

    # ---- what is derived

    def write(self, name: str, lines: Iterable[bytes]) -> Path:
        """Replace a derived file by the lines, each with its newline; it is whole or not there."""
        if Path(name).name != name or name in _OWN_FILES or name.startswith("."):
            raise ValueError(f"{name!r} is not the name of a derived file")
        path = self.dir / name
        write_atomic(path, lines)
        return path

    @property
    def spent_before(self) -> Usage:
        """What earlier openings of the run have spent, as far as they could note it."""
        return sum(self._spent_before.values(), Usage())

    def record_spent(self, spent: Mapping[str, Usage]) -> None:
        """Note in ``run.json`` what this opening of the run has spent until now, by role; earlier ones are added."""
        self._note_spent(spent)
        write_manifest(self.dir, self._manifest)

    def _note_spent(self, spent: Mapping[str, Usage]) -> None:
        roles = sorted(self._spent_before.keys() | spent.keys())
        total = {role: self._spent_before.get(role, Usage()) + spent.get(role, Usage()) for role in roles}
        self._manifest["spent"] = {role: dump(usage) for role, usage in total.items()}

    def finish(self, status: str, summary: Mapping[str, Any], *, spent: Mapping[str, Usage] | None = None) -> None:
        """Write ``summary.json`` and ``summary.md``, and the status to ``run.json``."""
        if status not in STATUSES:
            raise ValueError(f"{status!r} is not a status; known: {', '.join(STATUSES)}")
        if spent is not None:
            self._note_spent(spent)
        self.write("summary.json", [orjson.dumps(summary, option=orjson.OPT_INDENT_2, default=dump), b"\n"])
        self.write("summary.md", [summary_markdown(summary).encode("utf-8", "replace")])
        self._manifest["status"] = status
        write_manifest(self.dir, self._manifest)
        self._finished = True

    # ---- closing

    def close(self, status: str = "interrupted") -> None:
        """Give the directory back; a run that did not `finish` gets the status. Closing twice does nothing."""
        if self._lock is None:
            return
        try:
            if not self._finished:
                self._manifest["status"] = status
                write_manifest(self.dir, self._manifest)
        finally:
            self._release()

    def _release(self) -> None:
        self.journal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close(_status_of(error))
        except StorageError as full:  # what ended the run is the error to show
            error.add_note(str(full))


def _status_of(error: BaseException) -> str:
    if isinstance(error, LimitReached):
        return "limited"
    return "failed" if isinstance(error, Exception) else "interrupted"


def _check_place(directory: Path, resume: bool | None) -> None:
    exists = (directory / MANIFEST).exists()
    if resume is True and not exists:
        raise RunError(f"{directory} holds no run to resume", hint="agentflow runs list")
    if resume is False and exists:
        raise RunConflictError(f"{directory} holds a run already", hint="give another run directory, or resume it")
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file", hint="give another run directory")
    if not exists and directory.is_dir():
        foreign = sorted(path.name for path in directory.iterdir() if not _is_ours(path.name))
        if foreign:
            raise RunError(
                f"{directory} is not empty and not a run: it has {', '.join(foreign[:3])}",
                hint="give a directory that is empty or does not exist",
            )


def _is_ours(name: str) -> bool:
    return name in _OWN_FILES or name.startswith("cache.sqlite") or name.endswith(".tmp")
