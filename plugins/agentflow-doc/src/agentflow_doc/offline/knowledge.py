"""Tables and sentences that were seen, indexed by the names in them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from agentflow_core.text import normalize
from agentflow_doc.offline.seen import owner
from agentflow_doc.offline.wording import columns_of, is_series, noun_of

if TYPE_CHECKING:
    from agentflow_doc.offline.markdown import Row
    from agentflow_doc.offline.seen import Seen, TableSeen
    from agentflow_doc.offline.wording import Column

__all__ = ["Knowledge", "is_of_owner"]

#: First columns whose rows are what a whole organisation is measured by.
_MEASURES: Final = frozenset(["measure", "indicator", "item", "metric", "quantity", "figure", "key figure"])


class Knowledge:
    """Tables and sentences, indexed by the names in them.

    Args:
        seen: where they were seen.
        with_charts: read bar charts too. Which label belongs to which bar is a guess.
    """

    def __init__(self, seen: Seen, *, with_charts: bool = False) -> None:
        self.tables = [table for table in (*seen.tables, *(seen.charts if with_charts else ())) if _is_usable(table)]
        self.sentences = seen.sentences
        self.rows: dict[str, list[tuple[TableSeen, Row]]] = defaultdict(list)
        self.cells: dict[str, list[tuple[TableSeen, Row, Column]]] = defaultdict(list)
        self.owners: dict[str, list[TableSeen]] = defaultdict(list)
        for table in self.tables:
            if is_of_owner(table):
                self.owners[normalize(owner(table.title))].append(table)
                continue
            for row in table.rows:
                self.rows[normalize(row.cells[0])].append((table, row))
                for column in columns_of(table)[1:]:
                    if column.kind == "text":
                        self.cells[normalize(row.cells[column.at])].append((table, row, column))

    def is_known(self, name: str) -> bool:
        """Whether some table tells of the thing."""
        return normalize(name) in self.rows or normalize(name) in self.owners


def _is_usable(table: TableSeen) -> bool:
    """Whether every row is about one thing of its own, and every column has a name."""
    keys = [normalize(row.cells[0]) for row in table.rows]
    heads = [normalize(name) for name in table.columns]
    return (
        len(heads) > 1
        and len(keys) > 0
        and all(keys)
        and all(heads)
        and len(set(keys)) == len(keys)
        and len(set(heads)) == len(heads)
    )


def is_of_owner(table: TableSeen) -> bool:
    """Whether the rows are measures of whose document it is, and the columns years."""
    return is_series(table) and noun_of(table) in _MEASURES
