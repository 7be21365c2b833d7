"""Choose among the records of a run: those for which a condition holds, parted into training and validation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, frozen

from agentflow_core.errors import DataError, UsageError
from agentflow_core.export.conditions import MISSING, Condition, Field, fields_of, holds, look_up
from agentflow_core.export.examples import examples_of, record_lines
from agentflow_core.export.split import SplitBy, keys_of, part
from agentflow_core.export.where import parse_where
from agentflow_core.names import did_you_mean
from agentflow_core.records import QA, TaskResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentflow_core.export.examples import Example
    from agentflow_core.runs import RunReader

__all__ = ["Selection", "Source", "choose"]

_SUGGESTED = 200  #: how many of a run's own keys are remembered for suggestions


def _a_fraction(_: object, __: object, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise UsageError(f"--split {value:g}: a share of the examples is expected, such as 0.9")


@frozen(kw_only=True)
class Selection:
    """What is exported: everything, what a condition holds for, and that in one file or parted into two."""

    where: str | None = None  #: see `agentflow_core.export.where`
    split: float | None = field(default=None, validator=_a_fraction)  #: the share for training
    split_by: SplitBy | None = None  #: default: documents of a synthesis, tasks of a rollout

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out or parted."""
        return self.where is None and self.split is None


class Source:
    """The chosen examples of a run, read as they are asked for, and what was seen of them on the way."""

    def __init__(self, run: RunReader, *, part: str | None = None, chosen: bytearray | None = None) -> None:
        self.run = run
        self.is_part = part is not None  #: of several
        self.part = part or "train"  #: ``train`` or ``validation``
        self.models: Counter[str] = Counter()  #: how many examples each model made
        self.left_out: Counter[str] = Counter()  #: how many examples the format cannot take, by reason
        self._chosen = chosen

    def examples(self) -> Iterator[Example]:
        """Every chosen example; see `examples_of`."""
        for example in examples_of(self.run, self._is_chosen):
            self.models[example.model] += 1
            yield example

    def metrics(self) -> tuple[str, ...]:
        """The names of the scores that the run's records have, in the order in which they come."""
        return tuple(dict.fromkeys(name for record in record_lines(self.run) for name in record.get("scores") or ()))

    def _is_chosen(self, number: int) -> bool:
        return self._chosen is None or bool(self._chosen[number])


def choose(run: RunReader, selection: Selection) -> list[Source]:
    """The sources of an export: one, or with a split the one for training and the one for validation.

    The records are read once for it; a byte is kept of each, and of parted ones what they hang on.

    Raises:
        UsageError: the condition cannot be parsed, names a field that no record has or holds for none; or the
            examples cannot be parted.
    """
    if selection.is_everything:
        return [Source(run)]
    condition = None if selection.where is None else parse_where(selection.where)
    by = selection.split_by or ("document" if run.kind == "synthesis" else "task")
    chosen = bytearray()
    keys: list[tuple[str, ...]] = []
    seen = _Seen(run, condition)
    for number, record in enumerate(record_lines(run)):
        seen.look_at(record)
        chosen.append(condition is None or holds(condition, record))
        if chosen[-1] and selection.split is not None:
            keys.append(_keys(run, number, record, by))
    seen.complain()
    if not any(chosen):
        raise UsageError(
            f"no record of {run.dir} is left to export", hint="--where holds for none" if condition else ""
        )
    if selection.split is None:
        return [Source(run, chosen=chosen)]
    trained = iter(part(keys, selection.split))
    training = bytearray(bool(flag) and next(trained) for flag in chosen)
    validation = bytearray(flag and not train for flag, train in zip(chosen, training, strict=True))
    return [Source(run, part="train", chosen=training), Source(run, part="validation", chosen=validation)]


def _keys(run: RunReader, number: int, record: Mapping[str, Any], by: SplitBy) -> tuple[str, ...]:
    keys = keys_of(record, by)
    if not keys:
        raise DataError(
            f"{run.dir}: record {number + 1} cannot be parted by {by}: it has no {'task_id' if by == 'task' else 'seed_id'}",
            hint="--split-by task" if run.kind == "rollout" else "",
        )
    return keys


class _Seen:
    """Which of a condition's fields any record had, and what there was where one was not found."""

    def __init__(self, run: RunReader, condition: Condition | None) -> None:
        self._run = run
        self._missing: dict[Field, dict[str, None]] = (
            {} if condition is None else {found: {} for found in fields_of(condition)}
        )
        self._records = 0
        self._known = {item.name for item in attrs.fields(QA if run.kind == "synthesis" else TaskResult)}

    def look_at(self, record: Mapping[str, Any]) -> None:
        self._records += 1
        for name in list(self._missing):
            if look_up(record, name.steps) is not MISSING:
                del self._missing[name]
                continue
            near = self._missing[name]
            if len(near) < _SUGGESTED:
                near.update(dict.fromkeys(_near(record, name.steps)))

    def complain(self) -> None:
        for name, near in self._missing.items():
            if self._records and not (len(name.steps) == 1 and name.steps[0] in self._known - {"unknown"}):
                what = did_you_mean(str(name), near)
                hint = "" if what else f"there is: {', '.join(list(near)[:20])}" if near else ""
                raise UsageError(f"--where: no record of {self._run.dir} has a field {str(name)!r}{what}", hint=hint)


def _near(record: Mapping[str, Any], steps: tuple[str, ...]) -> Iterator[str]:
    """The fields that stand where the first step of a path leads nowhere, each with the rest of the path."""
    for depth, step in enumerate(steps):
        above = look_up(record, steps[:depth])
        if look_up(above, (step,)) is not MISSING:
            continue
        if isinstance(above, list):
            names = [str(item["name"]) for item in above if hasattr(item, "get") and item.get("name")]
        else:
            names = list(above) if hasattr(above, "keys") else []
        for name in names:
            yield str(Field((*steps[:depth], name, *steps[depth + 1 :])))
        return
