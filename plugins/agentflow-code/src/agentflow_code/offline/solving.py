"""Answer a question: look at the data, find what the question names in them, write the query, run it, say what it returns."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.offline.drafting import answer_of
from agentflow_code.offline.matching import candidates, read
from agentflow_code.offline.plans import At
from agentflow_code.offline.proposing import look, text_of
from agentflow_code.offline.seen import DATABASES, PROFILE, RUN, SCHEMA, SQL, Answered, Seen, seen_in_steps
from agentflow_code.offline.sql import literal, name_of
from agentflow_code.offline.understanding import understand
from agentflow_core.interfaces import Move
from agentflow_core.records import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_code.offline.plans import Plan
    from agentflow_code.offline.tables import Known
    from agentflow_core.records import SolveInputs

__all__ = ["solve"]

_ROUNDING: Final = re.compile(r",?\s*rounded to \w+ decimals?(?: places)?", re.IGNORECASE)
_SURE: Final = 0.6


def solve(inputs: SolveInputs) -> Move:
    """The next calls, or the answer: what the query returned, or the query where the task says ``answer_with: sql``."""
    offered = {tool.name for tool in inputs.tools}
    if not offered & {SQL, RUN}:
        return Move()
    seen = seen_in_steps(inputs.steps)
    done = [(step.tool, dict(step.params)) for step in inputs.steps]
    looking = [action for action in _looking(seen, inputs, offered) if (action.tool, dict(action.params)) not in done]
    if looking:
        return Move(actions=tuple(looking), reasoning=looking[0].intent)
    question = _ROUNDING.sub("", inputs.question)
    wanted = candidates(question)
    search = _search(wanted, seen.known)
    if wanted and search and not _was_run(seen, search) and not _failed(inputs, search):
        return Move(actions=(_call(search, seen.known),), reasoning="See where the names of the question stand.")
    plan = understand(read(question, seen.known, _found(seen, search)), seen.known)
    if plan is None:
        return Move()
    text = text_of(plan, seen.known)
    answered = _was_run(seen, text)
    if answered is None:
        if _failed(inputs, text):
            return Move(reasoning="The query for it fails.")
        return Move(actions=(_call(text, seen.known),), reasoning="Run the query that answers the question.")
    if inputs.kwargs.get("answer_with") in ("sql", "code"):
        return Move(answer=text, confidence=_SURE, reasoning="This gives the answer.")
    return _answer(plan, answered)


def _looking(seen: Seen, inputs: SolveInputs, offered: set[str]) -> Iterator[Action]:
    """What to look at first: every file at once, and every table of a database."""
    actions = list(look(seen, inputs.question, inputs.kwargs.get("database"), offered))
    if actions and actions[0].tool == PROFILE:
        paths = [path for path in seen.files or () if path not in seen.profiles]
        yield from (Action(tool=PROFILE, params={"path": path}, intent=f"See what {path} holds.") for path in paths)
    elif actions and actions[0].tool == DATABASES:
        yield actions[0]
    elif actions and actions[0].tool == SCHEMA:
        yield next(action for action in actions if "tables" not in action.params)
    else:
        yield from actions


def _call(text: str, known: Known) -> Action:
    if not known.dialect:
        return Action(tool=RUN, params={"code": text})
    params = {"query": text} if known.database is None else {"query": text, "database": known.database}
    return Action(tool=SQL, params=params)


def _was_run(seen: Seen, text: str) -> Answered | None:
    return next((each for each in seen.answered if each.text == text), None)


def _failed(inputs: SolveInputs, text: str) -> bool:
    return any(text in step.params.values() for step in inputs.steps)


def _answer(plan: Plan, answered: Answered) -> Move:
    answer = answer_of(answered)
    if answer is None and answered.rows:
        answer = str(answered.rows[0][0])
    if answer is None:
        return Move(reasoning="The query returns nothing.")
    confidence = _SURE if plan.filters or plan.kind in ("top", "groups") else _SURE / 2
    return Move(answer=answer, confidence=confidence, reasoning=f"The query returns {answer}:\n{answered.text}")


# ---- where the names of the question stand in the data


def _search(wanted: list[str], known: Known) -> str:
    """A query or program that finds the columns that hold one of the texts."""
    if not known.dialect:
        paths = [table.path for table in known.tables.values()]
        return _SEARCH.format(wanted=wanted, paths=paths)
    values = ", ".join(literal(value.lower()) for value in wanted)
    parts = [
        f"SELECT DISTINCT {literal(table.name)} AS place, {literal(column.name)} AS name, {name_of(column.name)} AS value "
        f"FROM {name_of(table.name)} WHERE LOWER({name_of(column.name)}) IN ({values})"
        for table in known.tables.values()
        for column in table.columns
        if column.kind == "text"
    ]
    return " UNION ALL ".join(parts)


_SEARCH: Final = """import pandas as pd

wanted = {wanted!r}
for path in {paths!r}:
    table = pd.read_csv(path, dtype=str)
    for column in table.columns:
        for value in sorted(set(table[column].dropna()) & set(wanted)):
            print((path, column, value))"""


def _found(seen: Seen, search: str) -> list[tuple[At, str]]:
    """The texts that the search found, with their columns."""
    answered = _was_run(seen, search)
    if answered is None:
        return []
    if seen.known.dialect:
        return [(At(table=row[0], column=row[1]), row[2]) for row in answered.rows if _is_text(row[2])]
    names = {table.path: table.name for table in seen.known.tables.values()}
    found = [ast.literal_eval(line) for line in answered.printed.splitlines()]
    return [(At(table=names[path], column=column), value) for path, column, value in found if path in names]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
