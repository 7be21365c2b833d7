"""What makes a drafted question worth proposing: it hides its answer and its bridge, and one document is not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.text import mentions, normalize_answer, numbers, tokens
from agentflow_rag.offline.names import mentions_name, name_key

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["answers_alone", "hides"]


def hides(question: str, answer: str, bridge: str) -> bool:
    """Whether neither the answer nor the bridge's name stands in the question."""
    if mentions_name(bridge, question) or contains_name(bridge, question):
        return False
    said = f" {normalize_answer(question)} "
    return (
        f" {normalize_answer(answer)} " not in said
        and f" {' '.join(tokens(answer))} " not in f" {' '.join(tokens(question))} "
    )


def contains_name(name: str, text: str) -> bool:
    """Whether a name stands in a text, case and punctuation aside."""
    return f" {name_key(name)} " in f" {name_key(text)} "


def answers_alone(question: str, answer: str, texts: Iterable[str]) -> bool:
    """Whether one of the texts states the answer and holds every name, number and quoted string of the question."""
    constants = [mention for mention in mentions(question) if not mention.weak]
    words = " ".join(tokens(answer))
    plain = normalize_answer(answer)
    value = numbers(answer)
    for text in texts:
        have = f" {' '.join(tokens(text))} "
        states = f" {words} " in have or f" {plain} " in f" {normalize_answer(text)} "
        if not states and len(value) == 1:
            states = any(number.value == value[0].value for number in numbers(text))
        if states and all(f" {' '.join(mention.words)} " in have for mention in constants):
            return True
    return False
