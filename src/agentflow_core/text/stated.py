"""Whether a text states something: a form of words, a number, a date, or what another text mentions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from agentflow_core.text.answers import answer_tokens, normalize_answer
from agentflow_core.text.dates import Date, dates
from agentflow_core.text.mentions import Mention, is_function_word, mentions
from agentflow_core.text.numbers import numbers
from agentflow_core.text.words import tokens

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = [
    "constants",
    "is_bare_number",
    "mention_stands_in",
    "only_number",
    "stands_in",
    "states",
    "strong_mentions",
]

_LONG_WORD = 4


@lru_cache(maxsize=1024)
def only_number(text: str) -> Decimal | None:
    """The value of the one number of a text; None if it has none or several."""
    found = numbers(text)
    return found[0].value if len(found) == 1 else None


def is_bare_number(text: str) -> bool:
    """Whether a text is one number and nothing else, such as ``$5 million``."""
    found = numbers(text)
    return len(found) == 1 and found[0].text == text.strip()


@lru_cache(maxsize=512)
def _words(text: str) -> str:
    return f" {' '.join(tokens(text))} "


@lru_cache(maxsize=512)
def _answer_words(text: str) -> str:
    return f" {normalize_answer(text)} "


@lru_cache(maxsize=512)
def _values(text: str) -> frozenset[Decimal]:
    return frozenset(number.value for number in numbers(text))


@lru_cache(maxsize=512)
def _dates(text: str) -> frozenset[Date]:
    return frozenset(dates(text))


def stands_in(form: str, text: str) -> bool:
    """Whether ``form`` stands in ``text`` word for word, apart from case, punctuation and articles."""
    words = " ".join(tokens(form))
    if words and f" {words} " in _words(text):
        return True
    return bool(answer_words := " ".join(answer_tokens(form))) and f" {answer_words} " in _answer_words(text)


def mention_stands_in(mention: Mention, text: str) -> bool:
    """Whether something that another text mentions stands in ``text``; a number counts by its value."""
    if f" {' '.join(mention.words)} " in _words(text):
        return True
    if mention.kind == "number":
        value = only_number(mention.text)
        return value is not None and value in _values(text)
    return False


def states(form: str, answer_type: str, text: str) -> bool:
    """Whether ``text`` states the answer ``form``: word for word, as an equal number, or as the same date."""
    if stands_in(form, text):
        return True
    if answer_type == "number" or is_bare_number(form):
        value = only_number(form)
        if value is not None and value in _values(text):
            return True
    wanted = _dates(form)
    return len(wanted) == 1 and wanted <= _dates(text)


def strong_mentions(text: str) -> list[Mention]:
    """What a text mentions that could tie it to another one."""
    return [mention for mention in mentions(text) if not mention.weak]


def constants(question: str) -> list[Mention]:
    """What a text has to hold to answer a question: its names, numbers and quoted strings, else its longer words."""
    named = strong_mentions(question)
    if named:
        return named
    words = dict.fromkeys(word for word in tokens(question) if len(word) >= _LONG_WORD and not is_function_word(word))
    return [Mention(kind="word", text=word, words=(word,)) for word in words]
