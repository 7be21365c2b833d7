"""Write rows to Parquet in row groups of bounded size, and read them back a batch at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.errors import UsageError
from agentflow_core.export.formats import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["arrow", "read_parquet", "write_parquet"]

GROUP_ROWS = 1024
GROUP_BYTES = 8 << 20  #: about how much text a row group holds at most


def arrow() -> Any:
    """The module ``pyarrow``. Raises `UsageError` where it is not installed."""
    try:
        import pyarrow  # an extra, and 100 ms
    except ImportError as error:
        raise UsageError("writing Parquet needs pyarrow", hint="pip install 'agentflow-core[parquet]'") from error
    return pyarrow


def write_parquet(path: Path, rows: Iterable[dict[str, Any]], schema: Any) -> int:
    """Write the rows; returns how many. At any time, one row group is in memory."""
    pyarrow = arrow()
    from pyarrow import parquet

    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_batch(pyarrow.RecordBatch.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += _size(row)
        if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list):
        return sum(map(_size, value))
    return 8


def read_parquet(path: Path, schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows, each with what messages call it. Raises `Unfit` if the file has another schema."""
    pyarrow = arrow()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema):
                raise Unfit(f"its columns are {file.schema_arrow.names}")
            number = 0
            for group in range(file.num_row_groups):  # pre-buffering would hold the whole file
                for batch in file.iter_batches(batch_size=256, row_groups=[group]):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"row {number}", row
    except pyarrow.ArrowException as error:
        raise Unfit(f"not Parquet: {error}") from error
