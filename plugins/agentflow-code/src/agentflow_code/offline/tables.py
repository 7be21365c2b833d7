"""What was seen of the data: tables with their columns and keys, out of what ``code:schema`` and ``code:profile`` told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

from agentflow_code.offline.words import singular, words_of

__all__ = ["Column", "Known", "Link", "Table", "known_of_profiles", "known_of_schema"]

Kind = Literal["key", "number", "text", "date", "other"]

_NUMBER: Final = re.compile(r"int|real|floa|doub|num|dec|money", re.IGNORECASE)
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}.*)?")
_KEY_WORDS: Final = frozenset({"id", "key", "code", "uuid"})
_LABEL_WORDS: Final = frozenset({"name", "title", "label"})
#: Words of columns with which people are reached: nothing to ask about.
_PRIVATE: Final = frozenset({"email", "phone", "fax", "password", "address", "postal", "zip", "url", "note", "notes"})


@frozen(kw_only=True)
class Column:
    """A column with what is known of its values."""

    name: str
    kind: Kind
    distinct: int = 0
    nulls: int = 0
    low: Any = None
    high: Any = None
    samples: tuple[Any, ...] = ()
    is_whole: bool = False  #: of numbers: integers

    @property
    def phrase(self) -> str:
        """Its name in words."""
        return " ".join(words_of(self.name)) or self.name


@frozen(kw_only=True)
class Link:
    """A foreign key of one column: rows of ``table`` belong to one row of ``parent``."""

    table: str
    column: str
    parent: str
    parent_column: str


@frozen(kw_only=True)
class Table:
    """A table."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    row_count: int = 0
    path: str = ""  #: of a file

    @property
    def noun(self) -> str:
        """What one row is, in words."""
        return singular(" ".join(words_of(self.name)) or self.name)

    @property
    def label(self) -> Column | None:
        """The column that names its rows, each differently: its name or title, or one that is called as the table is."""
        named = [
            column
            for column in self.columns
            if column.kind == "text"
            and column.distinct == self.row_count - column.nulls
            and self.row_count
            and not column.nulls
            and (
                words_of(column.name)[-1:] == words_of(self.noun)[-1:] or _LABEL_WORDS & set(words_of(column.name)[-1:])
            )
            and words_of(column.name)[:1] not in (["first"], ["last"])
        ]
        return named[0] if named else None

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


@frozen(kw_only=True)
class Known:
    """The tables that were seen, by name, and how they belong together."""

    database: str | None = None
    dialect: str = ""  #: ``sqlite``, ``duckdb``, …; empty for files that Python reads
    tables: Mapping[str, Table] = field(factory=dict)
    links: tuple[Link, ...] = ()

    def parents(self, table: str) -> tuple[Link, ...]:
        """The links up from a table, but for those to itself."""
        return tuple(link for link in self.links if link.table == table)

    def is_bridge(self, table: str) -> bool:
        """Whether a table holds nothing but two keys."""
        links = {link.column for link in self.parents(table)}
        return len(links) == 2 and all(column.name in links for column in self.tables[table].columns)

    def chains(self, table: str, most: int = 3) -> Iterator[tuple[Link, ...]]:
        """Every way up from a table over at most ``most`` links, shorter ones first; none meets a table twice."""
        level: list[tuple[Link, ...]] = [()]
        for _ in range(most):
            level = [
                (*chain, link)
                for chain in level
                for link in self.parents(chain[-1].parent if chain else table)
                if link.parent not in {table, *(each.parent for each in chain)}
            ]
            yield from level


def known_of_schema(data: Mapping[str, Any], before: Known) -> Known:
    """What the data of ``code:schema`` tell, added to what was known of the same database."""
    if before.database != data.get("database"):
        before = Known(database=data.get("database"), dialect=str(data.get("dialect") or "sql"))
    tables = dict(before.tables)
    links = dict.fromkeys(before.links)
    for told in data.get("tables") or ():
        keys = {key["columns"][0]: key for key in told.get("foreign_keys") or () if len(key["columns"]) == 1}
        primary = tuple(told.get("primary_key") or ())
        columns = tuple(_column(column, {*keys, *primary}) for column in told.get("columns") or ())
        tables[told["name"]] = Table(
            name=told["name"], columns=columns, primary_key=primary, row_count=int(told.get("row_count") or 0)
        )
        for column, key in keys.items():
            link = Link(table=told["name"], column=column, parent=key["table"], parent_column=key["references"][0])
            links[link] = None
    by_form = {name.casefold(): name for name in tables}
    joined = tuple(
        evolve(link, parent=by_form[link.parent.casefold()])
        for link in links
        if link.parent.casefold() in by_form and link.parent.casefold() != link.table.casefold()
    )
    # two keys to one table would need the parts that they play in the question
    pairs = [(link.table, link.parent) for link in joined]
    links_of_one = tuple(link for link, pair in zip(joined, pairs, strict=True) if pairs.count(pair) == 1)
    return evolve(before, tables=tables, links=links_of_one)


def known_of_profiles(profiles: Sequence[tuple[str, Mapping[str, Any]]]) -> Known:
    """What profiles of files tell: pairs of path and the data of ``code:profile``.

    A column belongs to the table in which a column of the same name is unique and named as a key.
    """
    tables: dict[str, Table] = {}
    for path, data in profiles:
        name = path.rpartition("/")[2].partition(".")[0]
        count = int(data.get("row_count") or 0)
        columns = tuple(_column(column, _key_names(data)) for column in data.get("columns") or ())
        unique = tuple(
            column.name for column in columns if column.kind == "key" and column.distinct == count and not column.nulls
        )
        tables[name] = Table(name=name, columns=columns, primary_key=unique[:1], row_count=count, path=path)
    links = [
        Link(table=table.name, column=column.name, parent=other.name, parent_column=column.name)
        for table in tables.values()
        for column in table.columns
        for other in tables.values()
        if other is not table and other.primary_key == (column.name,) and table.primary_key != (column.name,)
    ]
    return Known(tables=tables, links=tuple(links))


def _key_names(data: Mapping[str, Any]) -> set[str]:
    return {
        column["name"] for column in data.get("columns") or () if words_of(column["name"])[-1:] in (["id"], ["code"])
    }


def _column(told: Mapping[str, Any], keys: Iterable[str]) -> Column:
    samples = told.get("samples")
    if samples is None:
        samples = [each["value"] for each in told.get("top") or ()]
    low, high = told.get("min"), told.get("max")
    name = str(told["name"])
    words = set(words_of(name))
    kind: Kind = "other"
    if name in keys or words_of(name)[-1:] == ["id"]:
        kind = "key"
    elif isinstance(low, int | float) and not isinstance(low, bool) and _NUMBER.search(str(told.get("type") or "num")):
        kind = "number"
    elif isinstance(low, str) and _ISO_DATE.fullmatch(low) and isinstance(high, str) and _ISO_DATE.fullmatch(high):
        kind = "date"
    elif samples and all(isinstance(value, str) for value in samples) and not words & (_PRIVATE | _KEY_WORDS):
        kind = "text"
    return Column(
        name=name,
        kind=kind,
        distinct=int(told.get("distinct") or 0),
        nulls=int(told.get("nulls") or 0),
        low=low,
        high=high,
        samples=tuple(
            value for value in samples if isinstance(value, str | int | float) and not isinstance(value, bool)
        ),
        is_whole=isinstance(low, int) and isinstance(high, int),
    )
