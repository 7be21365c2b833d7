"""Read a run that somebody made: what it is, its configuration, its records; nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from agentflow_core.blobs import BlobStore
from agentflow_core.config import load_document
from agentflow_core.errors import DataError, RunCorruptError
from agentflow_core.records import QA, Node, Task, TaskResult, ToolDefinition, Trajectory
from agentflow_core.records import Path as TreePath
from agentflow_core.records.codec import load
from agentflow_core.runs.files import loaded_text
from agentflow_core.runs.manifest import read_manifest
from agentflow_core.runs.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RunReader"]

T = TypeVar("T")


class RunReader:
    """The files of one run directory.

    Records are read line by line as they are asked for; a derived file that is not there (yet) has none.

    Raises:
        RunError: there is no run in the directory, or a later version wrote it.
        DataError: from the iterators: a line that is not what it should be, by file and line.
    """

    def __init__(self, directory: Path | str) -> None:
        self.dir = Path(directory)
        self.manifest: dict[str, Any] = read_manifest(self.dir)
        self.blobs = BlobStore(self.dir / "blobs")

    @property
    def kind(self) -> str:
        """``synthesis`` or ``rollout``."""
        return str(self.manifest.get("kind", ""))

    @property
    def status(self) -> str:
        """How the run stood when it last wrote; see `agentflow_core.runs.status`."""
        return str(self.manifest.get("status", ""))

    def config(self) -> dict[str, Any]:
        """The resolved configuration, secrets as ``${NAME}``. Raises `ConfigError` if it cannot be read."""
        return load_document(self.dir / "config.yaml").plain()

    def summary(self) -> dict[str, Any]:
        """``summary.json``; empty if the run did not get that far."""
        path = self.dir / "summary.json"
        if not path.exists():
            return {}
        try:
            value = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise RunCorruptError(f"{path} cannot be read: {error}") from error
        if not isinstance(value, dict):
            raise RunCorruptError(f"{path} is not a summary")
        return value

    def tree(self) -> Iterator[Node]:
        """The nodes of all trajectory trees, with their whole texts."""
        for where, value in self._rows("tree.jsonl"):
            yield _record(Node, self._with_text(value, where), where)

    def paths(self) -> Iterator[TreePath]:
        """The root-to-leaf paths with their scores."""
        return self._records(TreePath, "paths.jsonl")

    def qa(self) -> Iterator[QA]:
        """The accepted QA."""
        return self._records(QA, "qa.jsonl")

    def rejected(self) -> Iterator[QA]:
        """The rejected drafts."""
        return self._records(QA, "rejected.jsonl")

    def tasks(self) -> Iterator[Task]:
        """The tasks of a rollout, whole and in the order of the plan."""
        known: set[str] = set()  # every sample of a task has a unit
        for unit in Plan(self.dir / "plan.jsonl").units("rollout"):
            task = _record(Task, unit.input, f"{self.dir / 'plan.jsonl'}: {unit.id}")
            if task.id not in known:
                known.add(task.id)
                yield task

    def results(self) -> Iterator[TaskResult]:
        """How each sample of each task ended."""
        return self._records(TaskResult, "results.jsonl")

    def trajectories(self) -> Iterator[Trajectory]:
        """The conversation of each sample of each task."""
        return self._records(Trajectory, "trajectories.jsonl")

    def tools(self) -> Iterator[ToolDefinition]:
        """The tools that the run offered."""
        return self._records(ToolDefinition, "tools.jsonl")

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The objects of any derived file as they stand, such as ``scores.jsonl``."""
        return (value for _, value in self._rows(name))

    def _records(self, cls: type[T], name: str) -> Iterator[T]:
        return (_record(cls, value, where) for where, value in self._rows(name))

    def _rows(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        path = self.dir / name
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{path}:{number}"
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise DataError(f"{where}: not JSON: {error}") from error
                if not isinstance(value, dict):
                    raise DataError(f"{where}: an object is expected, not {type(value).__name__}")
                yield where, value

    def _with_text(self, value: dict[str, Any], where: str) -> dict[str, Any]:
        result = value.get("result")
        if not isinstance(result, dict) or isinstance(result.get("text", ""), str):
            return value
        try:
            return {**value, "result": {**result, "text": loaded_text(result["text"], self.blobs)}}
        except DataError as error:
            raise DataError(f"{where}: result.text: {error.message}", hint=error.hint) from error


def _record(cls: type[T], value: dict[str, Any], where: str) -> T:
    try:
        return load(cls, value)
    except Exception as error:
        from cattrs import transform_error

        what = "; ".join(transform_error(error, path=cls.__name__))
        raise DataError(f"{where}: {what}") from error
