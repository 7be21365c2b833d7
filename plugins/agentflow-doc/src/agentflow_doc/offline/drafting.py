"""Draft questions that need what two documents say, or two pages: one tells what is meant, the other one the answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from agentflow_core.prose import answers_alone, content_words, hides
from agentflow_core.records import QA
from agentflow_core.text import find_quote, hash64, tokens
from agentflow_doc.offline.deriving import derive
from agentflow_doc.offline.knowledge import Knowledge
from agentflow_doc.offline.seen import seen_on_path
from agentflow_doc.offline.wording import value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.records import DraftInputs
    from agentflow_doc.offline.deriving import Derived

__all__ = ["draft"]

#: The types of answers that there are.
_ANSWER_TYPES: Final = ("date", "entity", "number", "yes_no")
_LONGEST_QUESTION: Final = 45
_HARD: Final = 3
_DERIVED_ANSWERS: Final = frozenset(["comparison", "difference"])


def draft(inputs: DraftInputs) -> list[QA]:
    """Drafts over what was seen on the path, those over two documents first, the families in turn.

    There are up to ``inputs.n``, or their share of them where the path led through other environments too.
    """
    seen = seen_on_path(inputs.path)
    texts = list(seen.texts.values())
    wanted = set(inputs.answer_types or _ANSWER_TYPES)
    wide: dict[str, list[Derived]] = {}
    narrow: dict[str, list[Derived]] = {}
    for derived in derive(Knowledge(seen)):
        if _rests_on_two(derived) and _is_in_order(derived) and _hides(derived) and derived.answer_type in wanted:
            is_wide = len({doc for doc, _ in derived.places}) > 1
            (wide if is_wide else narrow).setdefault(derived.family, []).append(derived)
    topic = set(content_words(inputs.seed.content))
    salt = inputs.path[-1].id
    environments = {node.tool.partition(":")[0] for node in inputs.path if node.tool is not None}
    share = math.ceil(inputs.n / max(1, len(environments)))
    chosen: list[QA] = []
    used: set[frozenset[str]] = set()
    for families in (wide, narrow):
        rows = [
            sorted(found, key=lambda derived: _rank(derived, topic, salt))
            for _, found in sorted(families.items(), key=lambda item: hash64(f"{salt}\n{item[0]}"))
        ]
        while rows and len(chosen) < share:
            for row in list(rows):
                best = next((one for one in _drained(row) if _is_fresh(one, used) and _needs_all(one, texts)), None)
                if best is None:
                    rows.remove(row)
                elif len(chosen) < share:
                    used.add(_facts(best))
                    chosen.append(_qa(best, inputs.seed.id))
    return chosen


def _drained(row: list[Derived]) -> Iterable[Derived]:
    while row:
        yield row.pop(0)


def _rank(derived: Derived, topic: set[str], salt: str) -> tuple[int, int]:
    """What shares most with the topic first; else as chance has it."""
    shared = len(topic & set(content_words(f"{derived.question} {derived.words}")))
    return (-shared, hash64(f"{salt}\n{derived.question}"))


def _rests_on_two(derived: Derived) -> bool:
    """Whether its steps have quotes of two pages and of two observations."""
    nodes = {item.node for step in derived.steps for item in step.evidence}
    return len(derived.steps) > 1 and len(set(derived.places)) > 1 and len(nodes) > 1


def _is_in_order(derived: Derived) -> bool:
    """Of a comparison both orders are derived; which one is asked is left to chance, so that yes and no come about alike."""
    if derived.family != "comparison":
        return True
    left, right = ([item.quote for item in step.evidence] for step in derived.steps)
    return (left < right) == (hash64(repr(sorted((left, right)))) % 2 == 0)


def _hides(derived: Derived) -> bool:
    """Whether the question is short enough, and neither the answer nor a name that has to be found stands in it."""
    answer = "" if derived.answer_type == "yes_no" else derived.answer
    return len(tokens(derived.question)) <= _LONGEST_QUESTION and hides(derived.question, answer, derived.hidden)


def _facts(derived: Derived) -> frozenset[str]:
    """What tells that two questions ask for the same: the quotes of the last step and the first."""
    ends = (derived.steps[0], derived.steps[-1])
    return frozenset((*(item.quote for step in ends for item in step.evidence), derived.answer))


def _is_fresh(derived: Derived, used: set[frozenset[str]]) -> bool:
    return _facts(derived) not in used


def _needs_all(derived: Derived, texts: Sequence[str]) -> bool:
    """Whether no single observation holds the answer with all that the question names, or every quote."""
    if derived.family in _DERIVED_ANSWERS:
        quotes = [item.quote for step in derived.steps for item in step.evidence]
        return not any(all(next(find_quote(quote, text), None) for quote in quotes) for text in texts)
    return not answers_alone(derived.question, derived.answer, texts, answer_type=derived.answer_type)


def _qa(derived: Derived, seed: str) -> QA:
    value = value_of(derived.answer)
    plain = f"{value:f}" if value is not None and derived.answer_type == "number" else derived.answer
    return QA(
        id="",
        seed_id=seed,
        path_id="",
        question=derived.question,
        answer=derived.answer,
        aliases=(plain,) if plain != derived.answer and "%" not in derived.answer else (),
        answer_type=derived.answer_type,
        reasoning_steps=derived.steps,
        difficulty="hard" if len(derived.steps) >= _HARD else "medium",
        extra={"kind": derived.family},
    )
