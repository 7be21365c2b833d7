"""Read a path or the steps of an agent: which data there are, what is known of them, and what queries returned."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agentflow_code.offline.tables import Known, known_of_profiles, known_of_schema
from agentflow_core.records import Observation

if TYPE_CHECKING:
    from agentflow_core.records import Node, SolveStep

__all__ = ["LIST_FILES", "PROFILE", "RUN", "SCHEMA", "SQL", "Answered", "Seen", "seen_in_steps", "seen_on_path"]

DATABASES: Final = "code:list_databases"
SCHEMA: Final = "code:schema"
SQL: Final = "code:sql"
PROFILE: Final = "code:profile"
RUN: Final = "code:run"
#: The code that tells which data files there are.
LIST_FILES: Final = 'import os\n\nprint(sorted(os.listdir("data")))'
_FILES: Final = "files"  # what code:list_databases calls the tables of the data files
_TABLE_FILES: Final = (".csv", ".tsv")


@frozen(kw_only=True)
class Answered:
    """A query or program, and what it returned."""

    node: str
    text: str
    observation: Observation

    @property
    def rows(self) -> list[list[Any]]:
        """The rows that a query returned."""
        data = self.observation.data
        rows = data.get("rows") if isinstance(data, Mapping) else None
        return rows if isinstance(rows, list) else []

    @property
    def printed(self) -> str:
        """What a program printed."""
        data = self.observation.data
        return str(data.get("stdout") or "").strip() if isinstance(data, Mapping) else ""


@define(kw_only=True)
class Seen:
    """All that was seen, in order."""

    known: Known = field(factory=Known)
    databases: dict[str, list[str]] = field(factory=dict)  #: that SQL can ask, with their tables
    is_listed: bool = False
    files: list[str] | None = None  #: paths of table files; None: not looked at yet
    profiles: dict[str, Mapping[str, Any]] = field(factory=dict)
    answered: list[Answered] = field(factory=list)
    told_by: dict[str, str] = field(factory=dict)  #: the node that tells of a table
    texts: dict[str, str] = field(factory=dict)  #: observations by node

    def add(self, node: str, tool: str, params: Mapping[str, Any], observation: Observation | None) -> None:
        """See one more step."""
        if observation is None or not observation.ok or not isinstance(observation.data, Mapping):
            return
        data = observation.data
        self.texts[node] = observation.text
        if tool == DATABASES:
            self.is_listed = True
            listed = [entry for entry in data.get("databases") or () if not entry.get("error")]
            self.databases = {one["name"]: list(one.get("tables") or ()) for one in listed if one["name"] != _FILES}
        elif tool == SCHEMA:
            self.known = known_of_schema(data, self.known)
            for table in data.get("tables") or ():
                self.told_by.setdefault(table["name"], node)
        elif tool == PROFILE:
            path = str(params.get("path") or "")
            self.profiles[path] = data
            self.known = known_of_profiles(list(self.profiles.items()))
            for table in self.known.tables:
                self.told_by.setdefault(table, node)
        elif tool == RUN and params.get("code") == LIST_FILES:
            self.files = _files(str(data.get("stdout") or ""))
        elif tool in (SQL, RUN):
            failed = tool == RUN and data.get("error")
            text = str(params.get("query" if tool == SQL else "code") or "")
            if not failed:
                self.answered.append(Answered(node=node, text=text, observation=observation))


def seen_on_path(path: Sequence[Node]) -> Seen:
    """What a path of a trajectory tree saw."""
    return _seen((node.id, node.tool or "", node.params, node.result) for node in path)


def seen_in_steps(steps: Sequence[SolveStep]) -> Seen:
    """What an agent saw; its steps are named by their numbers."""
    return _seen((str(number), step.tool, step.params, step.result) for number, step in enumerate(steps))


def _seen(steps: Iterable[tuple[str, str, Mapping[str, Any], Observation | None]]) -> Seen:
    seen = Seen()
    for step in steps:
        seen.add(*step)
    return seen


def _files(printed: str) -> list[str]:
    try:
        names = ast.literal_eval(printed.strip())
    except (ValueError, SyntaxError):
        return []
    return [f"data/{name}" for name in names if isinstance(name, str) and name.endswith(_TABLE_FILES)]
