"""The card that comes with an export: what it is, what it was made from and by whom, and what to know before training.

A file has it beside it, as ``<file>.card.md`` (parted files share one); a folder holds it as ``README.md``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from agentflow_core.export.formats import CARD_TITLE
from agentflow_core.runs.summary import summary_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentflow_core.export.exporting import Exported
    from agentflow_core.export.selection import Selection
    from agentflow_core.runs import RunReader

__all__ = ["OFFLINE", "card_of", "contamination_of"]

#: The model whose answers are rules.
OFFLINE = "offline"
_LABEL = (
    "> **Made by the `offline` model**: rules, and no language model. It shows that the pipeline works and is a baseline; "
    "it is not data to train on."
)
_LICENCE = (
    "The examples quote what the environments returned (documents, pages, rows, files) and hold what the models wrote. "
    "The licences of those sources and the terms of those models' providers apply to them; AgentFlow adds none. Say here "
    "which they are before the data is passed on."
)


def card_of(run: RunReader, exported: Exported, selection: Selection) -> str:
    """The card, as Markdown. It holds no clock and no path of this machine: the same export has the same card."""
    sections = [f"{CARD_TITLE}: {run.dir.resolve().name} as {exported.format}"]
    if exported.models.get(OFFLINE):
        sections.append(_LABEL)
    sections.append("## What it holds\n\n" + "\n".join(f"- {line}" for line in _holds(exported, selection)))
    sections.append("## What it was made by\n\n" + "\n".join(f"- {line}" for line in _made_by(run, exported)))
    if run.kind == "synthesis":
        sections.append("## Gates\n\n" + "\n".join(f"- {line}" for line in _gates(run)))
    sections.append(f"## Contamination\n\n{contamination_of(run)}")
    sections.append(f"## Licence\n\n{_LICENCE}")
    if exported.note:
        sections.append(exported.note)
    if summary := run.summary():
        shown = summary_markdown(summary).replace("\n## ", "\n### ").removeprefix("# ")
        sections.append(f"## The run: {shown.rstrip()}")
    return "\n\n".join(sections) + "\n"


def _holds(exported: Exported, selection: Selection) -> Iterator[str]:
    for file in exported.files:
        yield f"`{file.path.name}`: {file.count} {exported.noun}" + (f", {file.part}" if selection.split else "")
    if selection.where is not None:
        yield f"chosen by {_code(selection.where)}"
    if selection.split is not None:
        what = {
            "document": "shares a seed or a document of its evidence",
            "seed": "shares a seed",
            "task": "is of one task",
        }[exported.split_by]
        yield f"parted {selection.split:g} to {1 - selection.split:.3g}: what {what}, directly or through others, is on one side"
    for reason, count in sorted(exported.left_out.items()):
        yield f"left out, since the format has no place for it: {count} with {reason}"


def _made_by(run: RunReader, exported: Exported) -> Iterator[str]:
    yield f"run `{run.dir.resolve().name}`, {run.kind}, {run.status}"
    for model, count in sorted(exported.models.items()):
        yield (
            f"model {_code(model)}: {count} examples"
            if model
            else f"a model that the run does not name: {count} examples"
        )
    for name, version in sorted(run.manifest.get("versions", {}).items()):
        yield f"{name} {version}"


def _gates(run: RunReader) -> Iterator[str]:
    rejected = run.summary().get("funnel", {}).get("rejected") or {}
    names = dict.fromkeys(verdict.name for qa in run.qa() for verdict in qa.gates)
    for name in dict.fromkeys([*names, *rejected]):
        yield f"`{name}`: rejected {rejected.get(name, 0)}"
    if not names and not rejected:
        yield "none"


def contamination_of(run: RunReader) -> str:
    """Against which benchmarks a run was checked, by the verdicts of its gate and its configuration."""
    if run.kind != "synthesis":
        return "Not checked: these are answers to a benchmark. Do not train on what a model is to be evaluated with."
    qa = next(run.qa(), None)
    if qa is None or not any(verdict.name == "contamination" for verdict in qa.gates):
        return "Not checked against any benchmark: the run had no gate `contamination`."
    settings = _settings(run.config().get("qa", {}).get("gates"), "contamination")
    against = f" with {_code(json.dumps(settings, ensure_ascii=False))}" if settings else ""
    return f"Every example passed the gate `contamination`{against}."


def _settings(gates: Any, name: str) -> Mapping[str, Any] | None:
    found: Sequence[Any] = gates if isinstance(gates, list) else [gates]
    return next((_without_folders(gate[name]) for gate in found if isinstance(gate, dict) and gate.get(name)), None)


def _without_folders(value: Any) -> Any:
    """Files by their names alone."""
    if isinstance(value, dict):
        return {name: _without_folders(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return re.split(r"[/\\]", value)[-1] if isinstance(value, str) else value


def _code(text: str) -> str:
    """A text as code, whatever it holds."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    fence = "`" * (max((len(found) for found in re.findall("`+", plain)), default=0) + 1)
    return f"{fence} {plain} {fence}" if "`" in plain else f"{fence}{plain}{fence}"
