"""Show the summary of a run as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["summary_markdown"]

_FIGURES = ("mean", "ci95", "attempted", "graded", "ungraded", "errored", "limited", "mean_graded", "stderr")


def summary_markdown(summary: Mapping[str, Any]) -> str:
    """A readable page of ``summary.json``: what it has of counts, funnel, metrics, usage and versions, as tables."""
    title = " ".join(_text(summary[key]) for key in ("kind", "status") if summary.get(key))
    parts = [f"# {title or 'run'}"]
    for key, value in summary.items():
        if key in ("kind", "status"):
            continue
        section = _section(key, value)
        if section:
            parts.append(f"## {_cell(key)}\n\n{section}")
    return "\n\n".join(parts) + "\n"


def _section(key: str, value: Any) -> str:
    if key == "metrics" and isinstance(value, Mapping):
        rows = [[name, *(_figure(figures, figure) for figure in _FIGURES)] for name, figures in value.items()]
        return _table(["metric", *_FIGURES], rows)
    if key == "figures" and isinstance(value, Mapping):
        columns = ("mean", "ci95", "stderr", "samples")
        rows = [
            [f"{metric}.{name}", *(_figure(figures, column) for column in columns)]
            for metric, described in value.items()
            if isinstance(described, Mapping)
            for name, figures in described.items()
        ]
        return _table(["figure", *columns], rows)
    if key == "usage" and isinstance(value, Mapping):
        return _usage(value)
    if isinstance(value, Mapping):
        return _table(["", "value"], [[name, item] for name, item in value.items()])
    if isinstance(value, list | tuple):
        return "\n".join(f"- {_cell(item)}" for item in value)
    return "" if value is None else _cell(value)


def _figure(figures: Any, figure: str) -> Any:
    return figures.get(figure, "") if isinstance(figures, Mapping) else ""


def _usage(usage: Mapping[str, Any]) -> str:
    parts = []
    by_role = usage.get("by_role")
    if isinstance(by_role, Mapping) and by_role:
        columns = list(dict.fromkeys(key for row in by_role.values() if isinstance(row, Mapping) for key in row))
        rows = [
            [role, *(_price(row.get(key)) if key == "cost_usd" else row.get(key, "") for key in columns)]
            for role, row in by_role.items()
            if isinstance(row, Mapping)
        ]
        parts.append(_table(["role", *columns], rows))
    rest = [[key, _price(value)] for key, value in usage.items() if key != "by_role"]
    if rest:
        parts.append(_table(["", "USD"], rest))
    return "\n\n".join(parts)


def _price(value: Any) -> Any:
    return "?" if value is None else value


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(map(_cell, head)) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return _text(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _text(value: Any) -> str:
    match value:
        case str():
            return "".join(char if char.isprintable() else " " for char in value)
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return " – ".join(map(_text, value)) if len(value) == 2 else ", ".join(map(_text, value))
        case Mapping():
            return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)
