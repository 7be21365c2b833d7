"""When two results count as the same: the execution rules of Spider's test suite and of BIRD.

Spider: ``eval_exec_match`` and ``result_eq`` of test-suite-sql-eval. Two empty results are the same. Else they have as
many rows and columns, and some order of the predicted columns makes the rows the same: in order, if the gold query
says ORDER BY anywhere; as a multiset, if not. Before that, the official script compares rows whose cells are sorted by
their text and type, which also rejects rows that differ in type only where that sorts them differently; it is kept.

BIRD: ``execute_sql`` of its evaluation: the sets of rows are equal; columns in order, rows in any, repetitions count once.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["as_official", "bird_equal", "comparable", "order_matters", "spider_equal"]

Row = tuple[Any, ...]

_PIECES: Final = re.compile(
    r"'(?:''|\\'|[^'])*'|\"(?:\"\"|[^\"])*\"|`[^`]*`|--[^\r\n]*|/\*.*?\*/|;|[^\W\d]\w*|.", re.DOTALL | re.UNICODE
)
_CURRENT_YEAR: Final = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)


def spider_equal(gold: Sequence[Row], predicted: Sequence[Row], *, ordered: bool) -> bool:
    """Whether Spider's script takes the results for the same; see the module."""
    if not gold and not predicted:
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    left, right = [_sorted_cells(row) for row in gold], [_sorted_cells(row) for row in predicted]
    if left != right if ordered else set(left) != set(right):
        return False
    return any(True for _ in _arrangements(list(zip(*gold, strict=True)), list(zip(*predicted, strict=True)), ordered))


def _sorted_cells(row: Row) -> Row:
    return tuple(sorted(row, key=lambda cell: f"{cell}{type(cell)}"))


def _arrangements(gold: list[Row], predicted: list[Row], ordered: bool) -> Iterator[tuple[int, ...]]:
    """The orders of the predicted columns in which the rows are those of gold, each found column by column."""
    counts = [Counter(column) for column in predicted]

    def place(chosen: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        at = len(chosen)
        if at == len(gold):
            yield chosen
            return
        wanted = Counter(gold[at])
        tried: list[Row] = []
        for number, column in enumerate(predicted):
            if number in chosen or column in tried:
                continue
            tried.append(column)  # another one like it would do no better
            if (column != gold[at]) if ordered else (counts[number] != wanted):
                continue
            further = (*chosen, number)
            if ordered or at == 0 or _same_rows(gold[: at + 1], [predicted[each] for each in further]):
                yield from place(further)

    return place(())


def _same_rows(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    return Counter(zip(*gold, strict=True)) == Counter(zip(*predicted, strict=True))


def bird_equal(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    """Whether BIRD's script takes the results for the same; see the module."""
    return set(predicted) == set(gold)


def order_matters(gold_sql: str) -> bool:
    """Whether Spider's script compares in order."""
    return "order by" in gold_sql.lower()


def as_official(sql: str, *, keep_distinct: bool = False) -> str:
    """The query as Spider's script runs it: operators mended, the current year fixed, and DISTINCT taken out.

    Without ``keep_distinct`` the script looks at the first statement only, so what follows it is left out too.
    """
    sql = sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
    if not keep_distinct:
        kept = []
        for piece in _PIECES.findall(sql):
            if piece.lower() == "distinct":
                continue
            kept.append(piece)
            if piece == ";":
                break
        sql = "".join(kept)
    return _CURRENT_YEAR.sub("2020", sql)


def comparable(rows: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows as tuples that can stand in sets: lists and objects in them become tuples."""
    return [tuple(_comparable(cell) for cell in row) for row in rows]


def _comparable(cell: Any) -> Any:
    if isinstance(cell, list | tuple):
        return tuple(_comparable(each) for each in cell)
    if isinstance(cell, dict):
        return tuple(sorted(((str(key), _comparable(each)) for key, each in cell.items()), key=repr))
    return bytes(cell) if isinstance(cell, bytearray | memoryview) else cell
