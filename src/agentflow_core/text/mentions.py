"""Find what a text mentions by name: proper names, quoted strings, numbers, identifiers."""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from agentflow_core.text.numbers import numbers
from agentflow_core.text.vocabulary import COMMON_NAMES, FUNCTION_WORDS, NAME_CONNECTORS, REQUESTS
from agentflow_core.text.words import tokens

__all__ = ["Mention", "is_function_word", "mentions", "proper_names", "quoted"]

_WORD = re.compile(r"[^\W_]+(?:['’.&/-][^\W_]+)*")
_QUOTES = re.compile(
    r'"([^"\n]{2,200})"|“([^”\n]{2,200})”|«\s?([^»\n]{2,200}?)\s?»|„([^“”\n]{2,200})[“”]'
    r"|(?<!\w)'([^'\n]{2,100})'(?!\w)|(?<!\w)‘([^’\n]{2,100})’(?!\w)|`([^`\n]{2,200})`"
)
#: Paths, file names, snake_case, camelCase, and letters with digits.
_IDENTIFIER = re.compile(r"(?<![\w./-])(?:/?[\w-]+(?:[./_][\w-]+)+|\w+_\w+|[a-z]+[A-Z]\w+|[A-Za-z]+-?\d+\w*)(?![\w/])")


@frozen(kw_only=True)
class Mention:
    """Something named in a text."""

    kind: str  #: ``name``, ``quoted``, ``number`` or ``identifier``
    text: str
    words: tuple[str, ...]  #: its tokens, by which it is found elsewhere
    weak: bool = False  #: so common that it ties nothing together


def is_function_word(word: str) -> bool:
    """Whether a (case-folded) word has grammar and no content."""
    return word in FUNCTION_WORDS


def quoted(text: str) -> list[str]:
    """What stands in quotation marks or backticks, without them."""
    return [next(filter(None, found.groups())).strip().strip(",.;") for found in _QUOTES.finditer(text)]


def proper_names(text: str) -> list[str]:
    """Runs of capitalised words, in order, without leading articles and question words, without possessive endings.

    ``of``, ``the``, ``de`` and their like join two capitalised words to one name; ``and`` does not. A word that begins a
    sentence counts unless it is a function word or begins a request (``Name the …``).
    """
    found: list[str] = []
    run: list[re.Match[str]] = []
    for word in _WORD.finditer(text):
        if run and not _joins(run[-1], word, text):
            found += _named(run, text)
            run = []
        if word[0][0].isupper() or (run and word[0] in NAME_CONNECTORS):
            run.append(word)
        elif run:
            found += _named(run, text)
            run = []
    return found + _named(run, text)


def _joins(last: re.Match[str], word: re.Match[str], text: str) -> bool:
    gap = text[last.end() : word.start()]
    # the dot of an initial (Roger O. Egeberg) does not end a sentence
    return gap in (" ", "-", " & ") or (gap == ". " and len(last[0]) <= 2)


def _named(run: list[re.Match[str]], text: str) -> list[str]:
    while run and run[-1][0] in NAME_CONNECTORS:
        run = run[:-1]
    while run:
        first = run[0][0].casefold()
        if first in FUNCTION_WORDS or (first in REQUESTS and _opens_sentence(text, run[0].start())):
            run = run[1:]
        else:
            return [re.sub(r"['’]s$", "", text[run[0].start() : run[-1].end()])]
    return []


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 16) : start].rstrip(" \t\"'“‘(")
    return not before or before[-1] in ".!?:\n•*-–—"


@lru_cache(maxsize=512)
def mentions(text: str) -> tuple[Mention, ...]:
    """The quoted strings, names, identifiers and numbers of ``text``; each once, parts of another one left out."""
    found: dict[tuple[str, ...], Mention] = {}

    def add(kind: str, form: str) -> None:
        words = tuple(tokens(form))
        if words and words not in found:
            weak = all(word in COMMON_NAMES or word in FUNCTION_WORDS for word in words) or (
                kind == "name" and len(words) == 1 and len(words[0]) < 2
            )
            found[words] = Mention(kind=kind, text=form, words=words, weak=weak)

    for form in quoted(text):
        add("quoted", form)
    for form in proper_names(text):
        add("name", form)
    for identifier in _IDENTIFIER.finditer(text):
        add("identifier", identifier[0])
    for number in numbers(text):
        add("number", number.text)
    return tuple(
        mention
        for words, mention in found.items()
        if not any(words != other and _within(words, other) for other in found)
    )


def _within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    width = len(part)
    return any(whole[index : index + width] == part for index in range(len(whole) - width + 1))
