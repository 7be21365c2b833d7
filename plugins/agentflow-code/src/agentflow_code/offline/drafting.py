"""Ask for what a query returned: the question and the query come from one plan, the answer from the execution."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_code.offline.composing import compose
from agentflow_code.offline.english import question_of
from agentflow_code.offline.proposing import leads, text_of
from agentflow_code.offline.quoting import about_columns, result_quote
from agentflow_code.offline.seen import Answered, Seen, seen_on_path
from agentflow_core.records import QA, Evidence, ReasoningStep
from agentflow_core.text import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_code.offline.plans import At, Plan
    from agentflow_code.offline.tables import Known
    from agentflow_core.records import DraftInputs

__all__ = ["answer_of", "draft"]

_HARD: Final = 2


def draft(inputs: DraftInputs) -> list[QA]:
    """A question for each query of the path that a plan explains and that returned one value, the last ones first."""
    seen = seen_on_path(inputs.path)
    plans = _by_text(seen.known, inputs.seed.content)
    found = []
    for answered in reversed(seen.answered):
        plan = plans.get(answered.text)
        if plan is None or plan.kind == "ranking":
            continue
        ranking = _ranking(plan, seen) if plan.kind == "top" else None
        answer = answer_of(answered)
        if answer is None or (plan.kind == "top" and ranking is None) or not _asks_something(plan, answer, seen.known):
            continue
        qa = _drafted(plan, answer, answered, ranking, seen, inputs.seed.id)
        if qa is not None and (not inputs.answer_types or qa.answer_type in inputs.answer_types):
            found.append(qa)
    return found[: inputs.n]


def _by_text(known: Known, topic: str) -> dict[str, Plan]:
    """Every plan of the known tables by its query or program."""
    plans = compose(known, topic)
    tops = [evolve(plan, kind="top") for plan in plans if plan.kind == "ranking"]
    return {text_of(plan, known): plan for plan in (*plans, *tops)}


def _ranking(plan: Plan, seen: Seen) -> Answered | None:
    """The ranking that shows that the first place is one alone."""
    wanted = text_of(evolve(plan, kind="ranking"), seen.known)
    return next((each for each in seen.answered if each.text == wanted and leads(each)), None)


def answer_of(answered: Answered) -> str | None:
    """The one value that a query returned or a program printed, as text."""
    rows = answered.rows
    if rows:
        return _plain(rows[0][0]) if len(rows) == 1 and len(rows[0]) == 1 else None
    printed = answered.printed
    return _plain(printed) if printed and "\n" not in printed else None


def _plain(value: Any) -> str | None:
    if value is None or value in ("nan", "None", ""):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text.removesuffix(".0") if re.fullmatch(r"-?\d+\.0", text) else text


def _asks_something(plan: Plan, answer: str, known: Known) -> bool:
    """Whether the answer is more than that there is nothing, and stands not in the question."""
    question = question_of(plan, known)
    if plan.kind in ("number", "groups"):
        value = numbers(answer)
        return (
            len(value) == 1
            and bool(value[0].value)
            and value[0].value not in {each.value for each in numbers(question)}
        )
    return f" {answer.casefold()} " not in f" {question.casefold()} "


def _drafted(plan: Plan, answer: str, answered: Answered, ranking: Answered | None, seen: Seen, seed: str) -> QA | None:
    steps = list(_schema_steps(plan, seen))
    quote = result_quote(answered.observation.text, answer)
    if not steps or quote is None:
        return None
    evidence = [Evidence(node=answered.node, quote=quote)]
    said = f"Running it returns {answer}."
    if ranking is not None:
        first = result_quote(ranking.observation.text, answer)
        if first is None:
            return None
        evidence.insert(0, Evidence(node=ranking.node, quote=first))
        said = f"Ranked, {answer} is alone in the first place; the query for it returns {answer}."
    steps.append(ReasoningStep(step=said, evidence=tuple(evidence)))
    is_number = plan.kind in ("number", "groups") or (len(numbers(answer)) == 1 and numbers(answer)[0].text == answer)
    extra: dict[str, Any] = {"sql": answered.text} if seen.known.dialect else {"code": answered.text}
    if seen.known.dialect and seen.known.database is not None:
        extra["database"] = seen.known.database
    extra["tables"] = list(plan.tables)
    return QA(
        id="",
        seed_id=seed,
        path_id="",
        question=question_of(plan, seen.known),
        answer=answer,
        aliases=(said_as,) if (said_as := answered.printed) and said_as != answer else (),
        answer_type="number" if is_number else "entity",
        reasoning_steps=tuple(steps),
        difficulty="hard" if len(plan.links) >= _HARD else "medium" if plan.links else "easy",
        extra=extra,
    )


def _schema_steps(plan: Plan, seen: Seen) -> Iterator[ReasoningStep]:
    """One step for each observation that told of tables that the query reads."""
    told: dict[str, list[str]] = {}
    for table in plan.tables:
        node = seen.told_by.get(table)
        if node is not None:
            told.setdefault(node, []).append(table)
    for node, tables in told.items():
        text = seen.texts[node]
        quotes = [quote for table in tables for quote in about_columns(text, table, _columns(plan, table))]
        evidence = tuple(Evidence(node=node, quote=quote) for quote in dict.fromkeys(quotes))
        said = "; ".join(_belongs(plan, table) for table in tables)
        yield ReasoningStep(step=f"The data have {said}.", evidence=evidence)


def _columns(plan: Plan, table: str) -> list[str]:
    """The columns of a table that the query uses: those of keys first."""
    keys = [link.column for link in plan.links if link.table == table]
    keys += [link.parent_column for link in plan.links if link.parent == table]
    places: list[At] = [each.at for each in plan.filters] + [at for at in (plan.measure, plan.by) if at is not None]
    return list(dict.fromkeys((*keys, *(at.column for at in places if at.table == table))))


def _belongs(plan: Plan, table: str) -> str:
    links = [f"{link.parent} by {link.column}" for link in plan.links if link.table == table]
    return f"{table}, which belongs to {' and to '.join(links)}" if links else table
