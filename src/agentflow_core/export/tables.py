"""Flat tables: a row for each accepted pair or each sample, as Parquet with types or as CSV with JSON in its cells."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson
from attrs import frozen

from agentflow_core.export.formats import Format, Pictures, Unfit
from agentflow_core.export.parquet import arrow, read_parquet, write_parquet
from agentflow_core.records import ImagePart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_core.export.examples import Example
    from agentflow_core.export.selection import Source
    from agentflow_core.records import Message

__all__ = [
    "COLUMNS_OF_PAIRS",
    "COLUMNS_OF_SAMPLES",
    "SCORE",
    "CSVExporter",
    "Column",
    "ParquetExporter",
    "columns_of",
    "json_text",
]

SCORE = "score_"  #: before the name of a metric
#: The kinds of cells, as JSON has them: a name, a list of one kind, or an object of named kinds.
Kind = str | list[Any] | dict[str, Any]

_USAGE = dict.fromkeys(("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"), "int")
_MESSAGES: Kind = [
    {
        "role": "text",
        "content": "text",
        "images": ["text"],
        "tool_calls": [{"id": "text", "name": "text", "arguments": "text"}],
        "tool_call_id": "text",
        "reasoning": "text",
    }
]
_EVIDENCE: Kind = [{"node": "text", "quote": "text", "start": "int", "end": "int", "source": "json"}]


@frozen
class Column:
    """A column: its name, the kind of its cells, and what it holds of an example."""

    name: str
    kind: Kind
    of: Callable[[Any], Any]


def _usage(record: Any) -> dict[str, Any]:
    return {**{name: getattr(record.usage, name) for name in _USAGE}, "cost_usd": record.usage.cost_usd}


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [
        {
            "role": message.role,
            "content": message.text,
            "images": [part.sha256 for part in message.content if isinstance(part, ImagePart)],
            "tool_calls": [
                {"id": call.id, "name": call.name, "arguments": call.arguments} for call in message.tool_calls
            ],
            "tool_call_id": message.tool_call_id,
            "reasoning": message.reasoning,
        }
        for message in messages
    ]


def _steps(example: Example) -> list[dict[str, Any]]:
    assert example.qa is not None
    return [
        {
            "step": step.step,
            "evidence": [
                {
                    "node": each.node,
                    "quote": each.quote,
                    "start": each.start,
                    "end": each.end,
                    "source": json_text(dict(each.source)),
                }
                for each in step.evidence
            ],
        }
        for step in example.qa.reasoning_steps
    ]


def json_text(value: Any) -> str:
    """The value as JSON in a text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


COLUMNS_OF_PAIRS = (
    Column("id", "text", lambda example: example.id),
    Column("seed_id", "text", lambda example: example.qa.seed_id),
    Column("path_id", "text", lambda example: example.qa.path_id),
    Column("question", "text", lambda example: example.qa.question),
    Column("answer", "text", lambda example: example.qa.answer),
    Column("aliases", ["text"], lambda example: list(example.qa.aliases)),
    Column("answer_type", "text", lambda example: example.qa.answer_type),
    Column("difficulty", "text", lambda example: example.qa.difficulty),
    Column("model", "text", lambda example: example.qa.model),
    Column("parent_qa_id", "text", lambda example: example.qa.parent_qa_id),
    Column("reasoning_steps", [{"step": "text", "evidence": _EVIDENCE}], _steps),
    Column(
        "gates",
        [{"name": "text", "passed": "bool", "reason": "text"}],
        lambda example: [
            {"name": each.name, "passed": each.passed, "reason": each.reason} for each in example.qa.gates
        ],
    ),
    Column("extra", "json", lambda example: json_text(dict(example.qa.extra))),
    Column("usage", {**_USAGE, "cost_usd": "float"}, lambda example: _usage(example.qa)),
    Column("messages", _MESSAGES, lambda example: _messages(example.messages)),
)

COLUMNS_OF_SAMPLES = (
    Column("id", "text", lambda example: example.id),
    Column("task_id", "text", lambda example: example.result.task_id),
    Column("sample", "int", lambda example: example.result.sample),
    Column("question", "text", lambda example: example.result.question),
    Column("answer", "text", lambda example: example.result.answer),
    Column("references", ["text"], lambda example: list(example.result.references)),
    Column("outcome", "text", lambda example: example.result.outcome),
    Column("model", "text", lambda example: example.model),
    Column("metadata", "json", lambda example: json_text(dict(example.result.metadata))),
    Column("usage", {**_USAGE, "cost_usd": "float"}, lambda example: _usage(example.result)),
    Column("messages", _MESSAGES, lambda example: _messages(example.messages)),
)


def columns_of(source: Source) -> tuple[Column, ...]:
    """The columns of a run's table: of samples, also one a metric, empty where it could not judge."""
    if source.run.kind == "synthesis":
        return COLUMNS_OF_PAIRS
    *first, usage, messages = COLUMNS_OF_SAMPLES
    return (*first, *map(_score, source.metrics()), usage, messages)


def _score(metric: str) -> Column:
    def value(example: Example) -> float | None:
        score = example.result.scores.get(metric) if example.result is not None else None
        return score.value if score is not None and score.graded else None

    return Column(f"{SCORE}{metric}", "float", value)


class ParquetExporter(Format):
    """A typed table; lists and objects stay what they are, what has no fixed shape is JSON in a text."""

    noun = "rows"

    def __init__(self) -> None:
        self._columns: tuple[Column, ...] = ()

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""
        self._columns = columns_of(source)
        return write_parquet(output, _rows(source, self._columns), self._schema())

    def check(self, output: Path) -> int:
        """The columns are those that were written, and every tool call is answered."""
        count = 0
        for where, row in read_parquet(output, self._schema()):
            _check_row(row, where)
            count += 1
        return count

    def _schema(self) -> Any:
        return arrow().schema([(column.name, _arrow_type(column.kind)) for column in self._columns])


class CSVExporter(Format):
    """A table in UTF-8 with a header; an empty cell is null, lists and objects are JSON."""

    noun = "rows"

    def __init__(self) -> None:
        self._columns: tuple[Column, ...] = ()

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""
        self._columns = columns_of(source)
        count = 0
        with output.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([column.name for column in self._columns])
            for row in _rows(source, self._columns):
                writer.writerow([_cell(value) for value in row.values()])
                count += 1
        return count

    def check(self, output: Path) -> int:
        """The columns are those that were written, cells have their kinds, and every tool call is answered."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # of the module; a conversation is longer than its 128 KB
        count = 0
        with output.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            if next(reader, []) != [column.name for column in self._columns]:
                raise Unfit("its header is another one")
            try:
                for count, cells in enumerate(reader, 1):
                    _check_row(_parsed(cells, self._columns, f"row {count}"), f"row {count}")
            except csv.Error as error:
                raise Unfit(f"row {count + 1}: {error}") from error
        return count


def _rows(source: Source, columns: Sequence[Column]) -> Iterator[dict[str, Any]]:
    for example in source.examples():
        yield {column.name: column.of(example) for column in columns}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_text(value)


def _parsed(cells: Sequence[str], columns: Sequence[Column], where: str) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise Unfit(f"{where}: {len(cells)} cells")
    row: dict[str, Any] = {}
    for cell, column in zip(cells, columns, strict=True):
        if column.kind in ("text", "json"):
            row[column.name] = cell
            continue
        try:
            row[column.name] = orjson.loads(cell) if cell else None
        except orjson.JSONDecodeError as error:
            raise Unfit(f"{where}, {column.name}: {error}") from error
    return row


def _check_row(row: dict[str, Any], where: str) -> None:
    if not row["id"]:
        raise Unfit(f"{where}: no id")
    pending: list[str] = []
    for message in row["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in pending:
                raise Unfit(f"{where}: a tool message that answers no call")
            pending.remove(message["tool_call_id"])
        elif pending:
            break
        else:
            pending = [call["id"] for call in message["tool_calls"]]
    if pending:
        raise Unfit(f"{where}: the tool call {pending[0]!r} has no answer")


def _arrow_type(kind: Kind) -> Any:
    pyarrow = arrow()
    if isinstance(kind, list):
        return pyarrow.list_(_arrow_type(kind[0]))
    if isinstance(kind, dict):
        return pyarrow.struct([(name, _arrow_type(inner)) for name, inner in kind.items()])
    return {
        "text": pyarrow.string(),
        "json": pyarrow.string(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }[kind]
