"""Read questions: whether one asks for yes or no, whether it keeps its answer, whether a text alone answers it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentflow_core.prose.names import is_named_in
from agentflow_core.text import constants, mention_stands_in, numbers, only_number, stands_in, states

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["answers_alone", "asks_yes_no", "hides", "is_named_first"]

_ASKS_YES_NO: Final = re.compile(r"(?:is|are|was|were|do|does|did|has|have|had|can|could)\b", re.IGNORECASE)


def asks_yes_no(question: str) -> bool:
    """Whether a question asks for yes or no, by its first word."""
    return _ASKS_YES_NO.match(question) is not None


def hides(question: str, answer: str, names: Iterable[str] = ()) -> bool:
    """Whether a question keeps what is to be found out.

    Args:
        question: the question.
        answer: must not stand in it, a number not as another way to write it either; empty where any answer may.
        names: what has to be found on the way to the answer: the question must not name it in any spelling.
    """
    if stands_in(answer, question) or any(is_named_in(name, question) for name in names):
        return False
    value = only_number(answer)
    return value is None or all(number.value != value for number in numbers(question))


def answers_alone(question: str, answer: str, texts: Iterable[str], *, answer_type: str = "") -> bool:
    """Whether one of the texts states the answer and holds all `constants` of the question, as the gate `multi_hop` has it."""
    wanted = constants(question)
    return any(
        states(answer, answer_type, text) and all(mention_stands_in(constant, text) for constant in wanted)
        for text in texts
    )


def is_named_first(left: str, right: str) -> bool:
    """Whether a question that compares two things begins with ``left``, which their names decide.

    Asked in that order alone, as many questions are answered with yes as with no, whatever order the things come in.
    """
    return (len(left + right) % 2 == 0) == (left < right)
