"""Explore data: list it, read the schema or profile the files, then run what the schema makes one think of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_code.offline.composing import compose
from agentflow_code.offline.english import question_of
from agentflow_code.offline.python import code_of
from agentflow_code.offline.seen import (
    DATABASES,
    LIST_FILES,
    PROFILE,
    RUN,
    SCHEMA,
    SQL,
    Answered,
    Seen,
    seen_on_path,
)
from agentflow_code.offline.sql import query_of
from agentflow_code.offline.words import stem, words_of
from agentflow_core.policies import untaken
from agentflow_core.records import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_code.offline.plans import Plan
    from agentflow_code.offline.tables import Known
    from agentflow_core.records import ProposeInputs

__all__ = ["leads", "look", "propose", "run_plan", "text_of"]


def propose(inputs: ProposeInputs) -> list[Action]:
    """Up to ``inputs.k`` different actions that are not taken and that the offered tools allow, best first."""
    offered = {tool.name for tool in inputs.tools}
    return untaken(_wishes(inputs, offered), inputs)


def _wishes(inputs: ProposeInputs, offered: set[str]) -> Iterator[Action]:
    seen = seen_on_path(inputs.path)
    topic = inputs.seed.content
    looking = list(look(seen, topic, inputs.seed.kwargs.get("database"), offered))
    if looking:
        yield from looking
        return
    plans = compose(seen.known, topic, salt=inputs.path[-1].id)
    if seen.answered and (ranked := _ranking_of(seen.answered[-1], plans, seen.known)) is not None:
        yield run_plan(ranked, seen.known)
    for plan in plans:
        yield run_plan(plan, seen.known)


def look(seen: Seen, topic: str, database: Any, offered: set[str]) -> Iterator[Action]:
    """What to look at before there is anything to ask; nothing once the data are known.

    Args:
        seen: what was seen.
        topic: what it is about; tables that it names go first.
        database: the one that is meant, where it is told.
        offered: the tools.
    """
    if seen.known.tables and not _unseen(seen):
        return
    if seen.files is not None:
        # one after the other: two branches that profile different files could not both profile the rest, since no
        # action is taken twice in a tree
        path = min(_unseen(seen), key=lambda path: (not _names(path, topic), path), default=None)
        if path is not None:
            yield Action(tool=PROFILE, params={"path": path}, intent=f"See what {path} holds.")
    elif seen.databases:
        named = [database] if database in seen.databases else list(seen.databases)
        for name in sorted(named, key=lambda name: not _names(name, topic)):
            yield Action(tool=SCHEMA, params={"database": name}, intent=f"Read the tables and keys of {name}.")
            about = [table for table in seen.databases[name] if _names(table, topic)]
            if len(about) > 1:
                params = {"database": name, "tables": about}
                yield Action(tool=SCHEMA, params=params, intent=f"Read the tables {' and '.join(about)}.")
    elif seen.is_listed or SCHEMA not in offered:
        yield Action(tool=RUN, params={"code": LIST_FILES}, intent="See which data files there are.")
    else:
        yield Action(tool=DATABASES, params={}, intent="See which databases there are.")
        if isinstance(database, str):
            yield Action(tool=SCHEMA, params={"database": database}, intent=f"Read the tables and keys of {database}.")
        yield Action(tool=SCHEMA, params={}, intent="Read the tables and keys of the database.")
        yield Action(tool=RUN, params={"code": LIST_FILES}, intent="See which data files there are.")


def _unseen(seen: Seen) -> list[str]:
    return [path for path in seen.files or () if path not in seen.profiles] if not seen.databases else []


def _names(name: str, topic: str) -> bool:
    """Whether the topic names a table, file or database, in the singular or plural."""
    words = set(map(stem, words_of(name.rpartition("/")[2].partition(".")[0])))
    return bool(words) and words <= set(map(stem, words_of(topic)))


def run_plan(plan: Plan, known: Known) -> Action:
    """The call that runs a plan."""
    text = text_of(plan, known)
    about = question_of(plan, known).rstrip("?")
    intent = f"Rank: {about}." if plan.kind == "ranking" else f"Find out: {about}."
    if known.dialect:
        params = {"query": text} if known.database is None else {"query": text, "database": known.database}
        return Action(tool=SQL, params=params, intent=intent)
    return Action(tool=RUN, params={"code": text}, intent=intent)


def text_of(plan: Plan, known: Known) -> str:
    """The query or program of a plan."""
    return query_of(plan, known) if known.dialect else code_of(plan, known)


def _ranking_of(answered: Answered, plans: list[Plan], known: Known) -> Plan | None:
    """The question for the first of a ranking, if the last call was one and one alone is first."""
    ranking = next((plan for plan in plans if plan.kind == "ranking" and text_of(plan, known) == answered.text), None)
    if ranking is None or not leads(answered):
        return None
    return evolve(ranking, kind="top")


def leads(answered: Answered) -> bool:
    """Whether what a ranking returned has one value alone in the first place."""
    rows: list[list[Any]] = answered.rows
    if not rows:
        rows = [line.rsplit(None, 1) for line in answered.printed.splitlines()[1:]]
    if len(rows) < 2 or any(len(row) != 2 for row in rows[:2]):
        return False
    return rows[0][0] not in (None, "") and str(rows[0][1]) != str(rows[1][1])
