"""Read a benchmark file into tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from agentflow_core.errors import DataError
from agentflow_core.names import did_you_mean
from agentflow_core.records import Task
from agentflow_core.rows import Row, read_rows

if TYPE_CHECKING:
    from agentflow_core.evaluation.config import DataConfig

__all__ = ["read_tasks"]

#: The columns that are recognised for each part of a task, in order of preference.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "task_id"),
    "question": ("question", "query", "input"),
    "answer": ("answer", "answers", "ground_truth", "expected"),
    "aliases": ("aliases",),
    "kwargs": ("kwargs",),
}


def read_tasks(config: DataConfig) -> list[Task]:
    """The tasks of the benchmark, in file order or shuffled by the given seed.

    Raises:
        DataError: a row has no question, an id stands twice, a wanted id is missing, or nothing is left; it names
            file and line.
    """
    if unknown := [name for name in config.fields if name not in COLUMNS]:
        raise DataError(f"data.fields: unknown part {unknown[0]!r}{did_you_mean(unknown[0], COLUMNS)}")
    seen: dict[str, str] = {}
    tasks = []
    for row in read_rows(config.path):
        task = _task(row, config.fields)
        if task.id in seen:
            raise row.error(f"id {task.id!r} stands already at {seen[task.id]}")
        seen[task.id] = row.where
        tasks.append(task)
    if config.ids:
        for wanted in config.ids:
            if wanted not in seen:
                raise DataError(f"{config.path}: no task {wanted!r}{did_you_mean(wanted, seen)}")
        tasks = [task for task in tasks if task.id in set(config.ids)]
    if config.shuffle_seed is not None:
        Random(config.shuffle_seed).shuffle(tasks)
    tasks = tasks[: config.limit]
    if not tasks:
        raise DataError(f"{config.path}: holds no task", hint="one task a row, with at least a 'question'")
    return tasks


def _task(row: Row, fields: Mapping[str, str]) -> Task:
    value = {"question": row.value} if isinstance(row.value, str) else dict(row.value)
    column = {name: _column(row, value, name, fields) for name in COLUMNS}

    def part(name: str) -> Any:
        return value.get(column[name] or "")

    question = part("question")
    if not isinstance(question, str) or not question.strip():
        raise row.error("no question", hint=f"name its column in data.fields; the row has: {', '.join(value)}")
    kwargs = _mapping(row, part("kwargs"))
    taken = {name for name in column.values() if name}
    return Task(
        id=str(value[column["id"]]) if column["id"] else f"task-{row.number:04d}",
        question=question.strip(),
        references=tuple(dict.fromkeys((*references_of(part("answer")), *references_of(part("aliases"))))),
        kwargs=kwargs,
        metadata={name: item for name, item in value.items() if name not in taken},
    )


def _column(row: Row, value: Mapping[str, Any], part: str, fields: Mapping[str, str]) -> str | None:
    if (named := fields.get(part)) is not None:
        if named not in value:
            raise row.error(f"no column {named!r}, which data.fields names for {part!r}{did_you_mean(named, value)}")
        return named
    return next((name for name in COLUMNS[part] if value.get(name) is not None), None)


def _mapping(row: Row, value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise row.error(f"kwargs is not a JSON object: {error}") from error
    if value is not None and not isinstance(value, Mapping):
        raise row.error("kwargs is not an object")
    return value or {}


def references_of(value: Any) -> tuple[str, ...]:
    """The references that an answer column gives: a string, a number, a boolean (yes or no), or a list of those."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, Mapping):  # SQuAD's {"text": […]}
        return references_of(value.get("text", json.dumps(value, ensure_ascii=False)))
    if isinstance(value, Sequence):
        return tuple(dict.fromkeys(reference for item in value for reference in references_of(item)))
    return (str(value),)
