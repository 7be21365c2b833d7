"""What a model reads of results, schemas and profiles: Markdown tables, aligned, and lines that say what is left out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.sql.values import COUNTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["databases_text", "profile_text", "rows_text", "schema_text", "table_text"]

_CELL: Final = 500
_WIDTH: Final = 40  # up to which columns are aligned
_SAMPLES: Final = 3
_SPECIAL: Final = re.compile(r"[|\r\n\0]")
_ESCAPED: Final = str.maketrans({"|": "\\|", "\\": "\\\\", "\r": "\\r", "\n": "\\n", "\0": "␀"})


def cell_text(value: Any) -> str:
    """A cell on one line: NULL, numbers and texts as they are, lists and objects as JSON."""
    if value is None:
        return "NULL"
    kind = type(value)
    if kind is int or kind is float:
        return repr(value)
    if kind is bool:
        return "true" if value else "false"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= _CELL else f"{text[:_CELL]}…"
    return text if _SPECIAL.search(text) is None else text.translate(_ESCAPED)


def table_text(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The rows as a Markdown table, numbers to the right."""
    columns = [_column(name, [row[at] for row in rows]) for at, name in enumerate(names)]
    heads, rules, bodies = zip(*columns, strict=True)
    lines = (f"| {' | '.join(texts)} |" for texts in zip(*bodies, strict=True))
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'|'.join(rules)}|", *lines])


def _column(name: str, cells: Sequence[Any]) -> tuple[str, str, list[str]]:
    """The head, the rule and the cells of a column, all of one width unless they are wide."""
    head, texts = cell_text(name), [cell_text(cell) for cell in cells]
    width = max(3, min(_WIDTH, max(map(len, [head, *texts]))))
    is_right = bool(cells) and all(cell is None or _is_number(cell) for cell in cells)
    pad = str.rjust if is_right else str.ljust
    return pad(head, width), "-" * (width + 1) + (":" if is_right else "-"), [pad(text, width) for text in texts]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def rows_text(data: Mapping[str, Any]) -> str:
    """A result: the table, and how many of the rows it shows."""
    names = [column["name"] for column in data["columns"]]
    rows, offset, count = data["rows"], data["offset"], data["row_count"]
    parts = [table_text(names, rows)] if names else []
    shown = f"{offset + 1:,}–{offset + len(rows):,}" if rows else "none"
    if count is None:
        parts.append(f"(rows {shown} of more than {max(COUNTED, offset + len(rows)):,})")
    elif data["truncated"] or offset:
        more = f"; offset={offset + len(rows)} shows the next" if offset + len(rows) < count and rows else ""
        parts.append(f"(rows {shown} of {count:,}{more})")
    else:
        parts.append(f"({count:,} row{'' if count == 1 else 's'})")
    return "\n".join(parts)


def databases_text(data: Mapping[str, Any]) -> str:
    """What there is to query."""
    lines = []
    for one in sorted(data["databases"], key=lambda one: str(one["name"])):
        where = f", {one['path']}" if one.get("path") else ""
        said = f"{one['name']} ({one['kind']}{', writable' if one['writable'] else ''}{where})"
        if one.get("error"):
            lines.append(f"{said}: {one['error']}")
        else:
            names = one.get("tables", [])
            more = f" and {one['table_count'] - len(names)} more" if one.get("table_count", 0) > len(names) else ""
            lines.append(f"{said}: {', '.join(names) or 'no tables'}{more}")
    if data.get("other_files"):
        lines.append(f"files that are no tables: {', '.join(data['other_files'])}")
    return "\n".join(lines) or "There are no databases. code:sql reads table files of the workspace by path."


def schema_text(data: Mapping[str, Any]) -> str:
    """The tables with columns, keys, figures and sample rows."""
    count = data["table_count"]
    parts = [f"database {data['database']} ({data['dialect']}), {count} table{'' if count == 1 else 's'}"]
    parts += [_table(table) for table in data["tables"]]
    if data["left_out"]:
        parts.append(f"not described, ask for them by tables: {', '.join(data['left_out'])}")
    return "\n\n".join(parts)


def _table(table: Mapping[str, Any]) -> str:
    rows = f"{table['row_count']:,} rows" if "row_count" in table else table.get("error", "")
    kind = "view " if table["kind"] == "view" else ""
    lines = [f"{kind}{table['name']} ({rows})"]
    single = {key["columns"][0]: key for key in table["foreign_keys"] if len(key["columns"]) == 1}
    for column in table["columns"]:
        said = [f"  {column['name']} {column['type']}".rstrip()]
        if table["primary_key"] == [column["name"]]:
            said.append("primary key" + (" (inferred)" if table.get("primary_key_inferred") else ""))
        if key := single.get(column["name"]):
            said.append(f"→ {key['table']}.{key['references'][0]}" + (" (inferred)" if key.get("inferred") else ""))
        said += _figures(column)
        lines.append(", ".join(said))
    if len(table["primary_key"]) > 1:
        lines.append(f"  primary key ({', '.join(table['primary_key'])})")
    lines += [
        f"  ({', '.join(key['columns'])}) → {key['table']} ({', '.join(key['references'])})"
        for key in table["foreign_keys"]
        if len(key["columns"]) > 1
    ]
    if table.get("rows"):
        lines.append(table_text([column["name"] for column in table["columns"]], table["rows"]))
    return "\n".join(lines)


def _figures(column: Mapping[str, Any]) -> list[str]:
    said = []
    if column.get("nulls"):
        said.append(f"{column['nulls']:,} null")
    if column.get("distinct") is not None:
        said.append(f"{column['distinct']:,} distinct")
    if _is_number(column.get("min")):
        said.append(f"{cell_text(column['min'])} to {cell_text(column['max'])}")
    elif column.get("samples"):
        said.append("such as " + ", ".join(cell_text(value) for value in column["samples"][:_SAMPLES]))
    return said


def profile_text(data: Mapping[str, Any]) -> str:
    """The columns with their figures, one a line, and the common values."""
    lines = [f"{data['name']}: {data['row_count']:,} rows, {data['column_count']} columns"]
    for column in data["columns"]:
        kind = f"{column['type']}{' from ' + column['dtype'] if column.get('dtype') else ''}"
        said = [f"{column['name']} ({kind}): {column['nulls']:,} null"]
        if column["distinct"] is not None:
            said.append(f"{'about ' if column.get('distinct_is_estimate') else ''}{column['distinct']:,} distinct")
        if "min" in column:
            said.append(f"{cell_text(column['min'])} to {cell_text(column['max'])}")
        if column.get("mean") is not None:
            said.append(f"mean {column['mean']:.6g}" if _is_number(column["mean"]) else f"mean {column['mean']}")
        if "quantiles" in column:
            said.append("quantiles " + " ".join(f"{at}: {cell_text(v)}" for at, v in column["quantiles"].items()))
        if column.get("top"):
            said.append("top " + ", ".join(f"{cell_text(one['value'])} ×{one['count']:,}" for one in column["top"]))
        lines.append(", ".join(said))
    if data["left_out"]:
        lines.append(f"columns left out: {', '.join(data['left_out'])}")
    return "\n".join(lines)
