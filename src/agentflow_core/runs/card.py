"""The card at the end of a run: what came out, what it cost, where to look, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.runs.progress import count, money
from agentflow_core.runs.tally import ToolTiming, plain_text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.panel import Panel

__all__ = ["end_card", "rich_card"]


@frozen(kw_only=True)
class _Section:
    """A heading with aligned rows."""

    title: str
    rows: Sequence[Sequence[str]]


def end_card(summary: Mapping[str, Any], run_dir: Path, *, slowest: Sequence[ToolTiming] = ()) -> str:
    """The card as plain text. ``summary`` is that of ``summary.json``; ``slowest`` is what `Tally.slowest_tools` says."""
    lines = [_title(summary)]
    for section in _sections(summary, run_dir, slowest):
        lines += ["", section.title, *(f"  {line}" for line in _aligned(section.rows))]
    return "\n".join(lines) + "\n"


def rich_card(summary: Mapping[str, Any], run_dir: Path, *, slowest: Sequence[ToolTiming] = ()) -> Panel:
    """The card for a terminal."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[Text] = []
    for section in _sections(summary, run_dir, slowest):
        parts.append(Text(section.title, style="bold"))
        parts += [
            Text(f"  {line}", no_wrap=section.title in _WHOLE, overflow="ignore") for line in _aligned(section.rows)
        ]
        parts.append(Text())
    style = "green" if summary.get("status") == "complete" else "yellow"
    return Panel(Group(*parts[:-1]), title=Text(_title(summary)), border_style=style, expand=False)


_WHOLE = ("Where to look", "Next")  # lines to copy


def _title(summary: Mapping[str, Any]) -> str:
    return plain_text(" ".join(str(summary.get(key) or "") for key in ("kind", "status")).strip() or "run")


def _sections(summary: Mapping[str, Any], run_dir: Path, slowest: Sequence[ToolTiming]) -> list[_Section]:
    kind, status = summary.get("kind"), summary.get("status")
    sections = [
        _Section(title="Warning", rows=[[plain_text(text, 1000)] for text in summary.get("warnings") or ()]),
        _Section(title="Results", rows=[*_count_rows(summary.get("counts")), *_metric_rows(summary.get("metrics"))]),
        _Section(title="Figures", rows=_described_rows(summary.get("figures"))),
        _Section(title="Funnel", rows=_funnel_rows(_mapping(summary.get("funnel")))),
        _Section(title="Cost", rows=_cost_rows(summary.get("usage"))),
        _Section(title="Slowest tools", rows=[_tool_row(timing) for timing in slowest]),
        _Section(title="Where to look", rows=_places(kind, run_dir)),
        _Section(title="Next", rows=_commands(kind, status, _mapping(summary.get("counts")), run_dir)),
    ]
    return [section for section in sections if section.rows]


def _funnel_rows(funnel: Mapping[str, Any]) -> list[list[str]]:
    """The funnel, unless nothing came further than its seeds."""
    beyond = any(value for name, value in funnel.items() if not name.startswith("seeds"))
    return _count_rows(funnel) if beyond else []


def _count_rows(counts: Any) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, value in _mapping(counts).items():
        if isinstance(value, Mapping):
            shown = ", ".join(f"{plain_text(key, 40)} {plain_text(item, 40)}" for key, item in value.items())
            rows.append([_words(name), shown or "0"])
        else:
            rows.append([_words(name), plain_text(value)])
    return rows


def _metric_rows(metrics: Any) -> list[list[str]]:
    return [[plain_text(name, 40), _figure(_mapping(figures))] for name, figures in _mapping(metrics).items()]


def _described_rows(described: Any) -> list[list[str]]:
    """A row for each figure of a metric that describes: ``tool_use  calls  3.20 [2.91, 3.49] of 200``."""
    return [
        [plain_text(metric, 40), _words(name), _figure({**_mapping(one), "attempted": _mapping(one).get("samples")})]
        for metric, figures in _mapping(described).items()
        for name, one in _mapping(figures).items()
    ]


def _figure(figures: Mapping[str, Any]) -> str:
    """``0.412 [0.371, 0.455] of 200 (3 errored)``: the mean over all attempted, its interval, the denominator."""
    mean, interval = figures.get("mean"), figures.get("ci95")
    text = f"{mean:.3f}" if isinstance(mean, int | float) else "–"
    if isinstance(interval, Sequence) and len(interval) == 2 and all(isinstance(end, int | float) for end in interval):
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}]"
    if figures.get("attempted") is not None:
        text += f" of {figures['attempted']}"
    apart = [f"{figures[key]} {key}" for key in ("errored", "limited", "ungraded") if figures.get(key)]
    if figures.get("ungraded") and isinstance(figures.get("mean_graded"), int | float):
        apart.append(f"{figures['mean_graded']:.3f} of the graded")
    return f"{text} ({', '.join(apart)})" if apart else text


def _cost_rows(usage: Any) -> list[list[str]]:
    usage = _mapping(usage)
    rows = []
    for role, figures in _mapping(usage.get("by_role")).items():
        tokens = sum(figures.get(key) or 0 for key in ("prompt_tokens", "completion_tokens"))
        rows.append(
            [plain_text(role, 40), f"{figures.get('calls', 0)} calls", f"{count(tokens)} tokens", _price(figures)]
        )
    if rows and "cost_usd" in usage:
        rows.append(["total", "", "", _price(usage)])
    if usage.get("cost_per_accepted") is not None:
        rows.append(["per accepted", "", "", money(usage["cost_per_accepted"])])
    return rows


def _price(figures: Mapping[str, Any]) -> str:
    return money(figures.get("cost_usd"))


def _tool_row(timing: ToolTiming) -> list[str]:
    failed = f"{timing.failed} failed" if timing.failed else ""
    mean = timing.total_s / timing.calls
    row = [plain_text(timing.tool, 60), f"{timing.calls} calls", f"mean {mean:.2f} s", f"max {timing.slowest_s:.2f} s"]
    return [*row, failed]


def _places(kind: Any, run_dir: Path) -> list[list[str]]:
    files = {
        "synthesis": [
            ("qa.jsonl", "accepted QA"),
            ("rejected.jsonl", "rejected, with reasons"),
            ("tree.jsonl", "trees"),
        ],
        "rollout": [("results.jsonl", "answers and scores"), ("trajectories.jsonl", "conversations")],
    }
    there = [(name, what) for name, what in files.get(str(kind), []) if _holds_something(run_dir / name)]
    shown = [*there, ("summary.md", "these figures")]
    return [[plain_text(run_dir / name, 1000), what] for name, what in shown]


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _commands(kind: Any, status: Any, counts: Mapping[str, Any], run_dir: Path) -> list[list[str]]:
    place = shlex.quote(str(run_dir))
    if status != "complete":
        command = "synthesize" if kind == "synthesis" else "rollout"
        return [[f"agentflow {command} CONFIG --run {place}", "goes on from here"]]
    if kind == "synthesis" and counts.get("accepted") == 0:
        return [
            ["nothing was accepted", "the funnel says where it ended; more seeds, or other gates or sampling, help"]
        ]
    if kind == "synthesis":
        accepted = shlex.quote(str(run_dir / "qa.jsonl"))
        return [[f"agentflow rollout CONFIG --data {accepted}", "let an agent answer them"]]
    return [[f"agentflow score {place} --metric METRIC", "score the same answers by another metric"]]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(name: str) -> str:
    return plain_text(name, 40).replace("_", " ")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    columns = max((len(row) for row in rows), default=0)
    filled = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in filled) for column in range(columns)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in filled]
