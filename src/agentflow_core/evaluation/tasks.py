"""Read a benchmark file into tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from agentflow_core.errors import DataError
from agentflow_core.metrics.references import reference_texts
from agentflow_core.metrics.state_match import check_expected
from agentflow_core.names import did_you_mean
from agentflow_core.records import Task
from agentflow_core.rows import Row, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentflow_core.evaluation.config import DataConfig

__all__ = ["check_backends", "read_tasks", "task_of"]

#: The columns that are recognised for each part of a task, in order of preference.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "task_id"),
    "question": ("question", "query", "input"),
    "answer": ("answer", "answers", "ground_truth", "expected"),
    "aliases": ("aliases",),
    "kwargs": ("kwargs",),
    "session": ("session",),
    "end_state": ("end_state",),
}


def read_tasks(config: DataConfig) -> list[Task]:
    """The tasks of the benchmark, in file order or shuffled by the given seed.

    Raises:
        DataError: a row has no question, an id stands twice, a wanted id or a named column is missing, or nothing is
            left; it names file and line.
    """
    if unknown := [name for name in config.fields if name not in COLUMNS]:
        raise DataError(f"data.fields: unknown part {unknown[0]!r}{did_you_mean(unknown[0], COLUMNS)}")
    seen: dict[str, str] = {}
    tasks = []
    columns: set[str] = set()
    for row in read_rows(config.path):
        if isinstance(row.value, Mapping):
            columns |= row.value.keys()
        task = task_of(row, config.fields)
        if task.id in seen:
            raise row.error(f"id {task.id!r} stands already at {seen[task.id]}")
        seen[task.id] = row.where
        tasks.append(task)
    for part, name in config.fields.items():
        if tasks and name not in columns:
            raise DataError(
                f"{config.path}: no row has the column {name!r}, which data.fields names for {part!r}"
                f"{did_you_mean(name, columns)}"
            )
    if wanted := set(config.ids):
        if missing := [name for name in config.ids if name not in seen]:
            raise DataError(f"{config.path}: no task {missing[0]!r}{did_you_mean(missing[0], seen)}")
        tasks = [task for task in tasks if task.id in wanted]
    if config.shuffle_seed is not None:
        Random(config.shuffle_seed).shuffle(tasks)
    tasks = tasks[: config.limit]
    if not tasks:
        raise DataError(f"{config.path}: holds no task", hint="one task a row, with at least a 'question'")
    return tasks


def task_of(row: Row, fields: Mapping[str, str]) -> Task:
    """The task of a row, whose parts stand in the columns that ``fields`` names, else in those that are recognised.

    Raises:
        DataError: it has no question; names file and line.
    """
    row = Row(value={"question": row.value}, where=row.where, number=row.number) if isinstance(row.value, str) else row
    value = row.value
    column = {name: _column(value, name, fields) for name in COLUMNS}

    def part(name: str) -> Any:
        return value.get(column[name])

    question = part("question")
    if not isinstance(question, str) or not question.strip():
        named = fields.get("question")
        guess = did_you_mean(named, value) if named is not None else ""
        raise row.error(
            f"no question{f' in column {named!r}' if named else ''}{guess}",
            hint=f"name its column in data.fields; the row has: {', '.join(value)}",
        )
    return Task(
        id=f"task-{row.number:04d}" if part("id") is None else str(part("id")),
        question=question.strip(),
        references=tuple(dict.fromkeys((*references_of(part("answer")), *references_of(part("aliases"))))),
        kwargs=row.mapping(column["kwargs"]) if column["kwargs"] else {},
        session=_by_backend(row, column["session"], "settings"),
        end_state=_expected(row, column["end_state"]),
        metadata={name: item for name, item in value.items() if name not in column.values()},
    )


def _column(value: Mapping[str, Any], part: str, fields: Mapping[str, str]) -> str | None:
    """The column in which a row has the part: the one that is named for it, else the first that is recognised."""
    names = (fields[part],) if part in fields else COLUMNS[part]
    return next((name for name in names if value.get(name) not in (None, "")), None)


def _by_backend(row: Row, column: str | None, what: str) -> dict[str, Mapping[str, Any]]:
    """An object with an object for each backend."""
    found = row.mapping(column) if column else {}
    found = {backend: {} if value is None else value for backend, value in found.items()}
    for backend, value in found.items():
        if not isinstance(value, Mapping):
            raise row.error(f"{column}.{backend}: expected an object of {what}, found {type(value).__name__}")
    return found


def _expected(row: Row, column: str | None) -> dict[str, Mapping[str, Any]]:
    found = _by_backend(row, column, "probes")
    for backend, probes in found.items():
        for probe, expected in probes.items():
            try:
                check_expected(expected)
            except DataError as error:
                raise row.error(f"{column}.{backend}.{probe}: {error.message}", hint=error.hint) from error
    return found


def check_backends(tasks: Iterable[Task], traits: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse tasks whose ``session`` or ``end_state`` names a backend that has no sessions, or no probes.

    Args:
        tasks: in order.
        traits: of the backends that are offered, by name: their ``sharing``, and whether they have ``probes``.

    Raises:
        DataError: it names the task.
    """
    sessions = sorted(name for name, found in traits.items() if found["sharing"] != "shared")
    probed = sorted(name for name, found in traits.items() if found["probes"])
    for task in tasks:
        for part, names, able, what in (
            ("session", task.session, sessions, "sessions"),
            ("end_state", task.end_state, probed, "probes"),
        ):
            if wrong := [name for name in names if name not in able]:
                raise DataError(
                    f"task {task.id!r}: {part!r} names {wrong[0]!r}, which is no backend with {what}"
                    f"{did_you_mean(wrong[0], able)}",
                    hint=f"backends with {what}: {', '.join(able) or 'none'}",
                )


def references_of(value: Any) -> tuple[str, ...]:
    """The references that an answer column gives: a string, a number, a boolean (yes or no), or a list of those.

    What is no string becomes one as `reference_texts` says: ``5.0`` is ``5``.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):  # SQuAD's {"text": […]}
        return references_of(value.get("text", json.dumps(value, ensure_ascii=False)))
    if isinstance(value, Sequence):
        return tuple(dict.fromkeys(reference for item in value for reference in references_of(item)))
    return reference_texts([value])
