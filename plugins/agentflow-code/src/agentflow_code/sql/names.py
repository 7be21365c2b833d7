"""Say which tables and columns come nearest to a name that is not there, and refuse with them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.inside.calls import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["nearest", "quoted", "unknown_column", "unknown_name", "unknown_table"]

_SHOWN: Final = 30


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to ``count`` names that are like it, the likest first, whatever their case."""
    by_form: dict[str, list[str]] = {}
    for each in known:
        by_form.setdefault(each.casefold(), []).append(each)
    wanted = name.casefold()
    inside = sorted((form for form in by_form if len(wanted) > 2 and wanted in form), key=len)
    forms = dict.fromkeys([*get_close_matches(wanted, by_form, n=count, cutoff=0.6), *inside])
    return [each for form in forms for each in sorted(by_form[form])][:count]


def unknown_name(what: str, name: str, known: Sequence[str]) -> Refused:
    """A database or file that is not there."""
    near = nearest(name, known)
    return Refused("not_found", f"no {what} {name!r}", hint=_hint(near, f"{what}s", known), data={"nearest": near})


def unknown_table(name: str, tables: Mapping[str, Sequence[str]]) -> Refused:
    """A table that is not there; ``tables`` are those that are, with their columns."""
    name = name.strip('"')
    near = nearest(_last(name), tables)
    data: dict[str, Any] = {"missing": name, "tables": near, "columns": []}
    return Refused("not_found", f"no table {name!r}", hint=_hint(near, "tables", list(tables)), data=data)


def unknown_column(name: str, tables: Mapping[str, Sequence[str]]) -> Refused:
    """A column that is not there, or not in the tables that the query reads."""
    by_column: dict[str, list[str]] = {}
    for table, columns in tables.items():
        for column in columns:
            by_column.setdefault(column, []).append(f"{table}.{column}")
    near = [place for column in nearest(_last(name), by_column) for place in by_column[column]][:6]
    data: dict[str, Any] = {
        "missing": name,
        "tables": list(dict.fromkeys(place.partition(".")[0] for place in near)),
        "columns": near,
    }
    hint = f"did you mean {' or '.join(near)}?" if near else "code:schema shows the columns"
    return Refused("not_found", f"no column {name!r} in the tables of the query", hint=hint, data=data)


def _last(name: str) -> str:
    """``column`` of ``table.column``, without quotation marks."""
    return name.rpartition(".")[2].strip("\"`[]'")


def _hint(near: Sequence[str], what: str, known: Sequence[str]) -> str:
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    shown = ", ".join(sorted(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return f"the {what} are: {shown}" if known else f"there are no {what}"
