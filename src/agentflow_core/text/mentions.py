"""Find what a text mentions by name: proper names, quoted strings, numbers, identifiers."""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from agentflow_core.text.numbers import numbers
from agentflow_core.text.words import tokens

__all__ = ["Mention", "is_function_word", "mentions", "proper_names", "quoted"]

_FUNCTION_WORDS = frozenset(
    """
    a about above after again against all also am among an and any are as at be because been before being below between
    both but by can could did do does doing down during each either else ever every few for from further had has have
    having he her here hers him his how however i if in into is it its itself just let many may me might more most much
    must my neither no nor not now of off on once one only or other our out over own per same she should since so some
    such than that the their them then there these they this those though through thus to too under until up upon us
    very was we were what when where whether which while who whom whose why will with within without would yes yet you
    your aside besides according following given two three first second both
    """.split()
)
#: Words that begin a request; at the start of a sentence their capital means nothing.
_REQUESTS = frozenset(
    """
    add answer calculate choose compare compute count describe determine explain express find fetch get give identify
    list locate look name order output pick please print provide query rank report retrieve return say search select
    show sort specify state suppose tell using use what work write
    """.split()
)
#: Capitalised words that stand in so many texts that they tie nothing together.
_WEAK = frozenset(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday american british english french german italian spanish european canadian australian
    japanese chinese indian russian irish scottish dutch mexican latin greek jewish christian north south east west
    northern southern eastern western world international national new united states u.s uk us i mr mrs ms dr jr sr st
    inc ltd co corp doc_id title
    """.split()
)
_WORD = re.compile(r"[^\W_]+(?:['’.&/-][^\W_]+)*")
_CONNECTORS = frozenset({"of", "the", "de", "la", "le", "du", "des", "del", "della", "da", "di", "van", "von", "der", "den",
                         "el", "al", "bin", "ibn", "y", "&", "for", "and", "on", "in", "to"})  # fmt: skip
#: Connectors that join two names as often as they stand inside one, so they end a name.
_LOOSE = frozenset({"and", "on", "in", "to", "for"})
_QUOTES = re.compile(
    r'"([^"\n]{2,200})"|“([^”\n]{2,200})”|«\s?([^»\n]{2,200}?)\s?»|„([^“”\n]{2,200})[“”]'
    r"|(?<!\w)'([^'\n]{2,100})'(?!\w)|(?<!\w)‘([^’\n]{2,100})’(?!\w)|`([^`\n]{2,200})`"
)
_IDENTIFIER = re.compile(r"(?<![\w./-])(?=[\w./-]*[\w])(?:/?[\w-]+(?:[./_][\w-]+)+|\w+_\w+|[a-z]+[A-Z]\w+|[A-Za-z]+-?\d+\w*)(?![\w/])")


@frozen(kw_only=True)
class Mention:
    """Something named in a text."""

    kind: str  #: ``name``, ``quoted``, ``number`` or ``identifier``
    text: str
    words: tuple[str, ...]  #: its tokens, by which it is found elsewhere
    weak: bool = False  #: so common that it ties nothing together


def is_function_word(word: str) -> bool:
    """Whether a (case-folded) word has grammar and no content."""
    return word in _FUNCTION_WORDS


def quoted(text: str) -> list[str]:
    """What stands in quotation marks or backticks, without them."""
    return [next(filter(None, found.groups())).strip().strip(",.;") for found in _QUOTES.finditer(text)]


def proper_names(text: str) -> list[str]:
    """Runs of capitalised words, in order, without leading articles and question words, without possessive endings.

    ``of``, ``the``, ``de`` and their like join two capitalised words to one name; ``and`` does not. A word that begins a
    sentence counts unless it is a function word or begins a request (``Name the …``).
    """
    found: list[str] = []
    run: list[tuple[str, int, int]] = []
    end_of_last = 0
    for match in _WORD.finditer(text):
        word, start, end = match[0], match.start(), match.end()
        gap = text[end_of_last:start]
        joins = gap in (" ", "-", " & ", ". ") and not (gap == ". " and run and len(run[-1][0]) > 3)
        if run and not joins:
            _close(run, text, found)
        capital = word[0].isupper() or (word[0].isdigit() and bool(run) and word.isdigit() and gap == " ")
        if capital and not word[0].isdigit():
            run.append((word, start, end))
        elif run and joins and (word in _CONNECTORS - _LOOSE):
            run.append((word, start, end))
        elif run:
            _close(run, text, found)
        end_of_last = end
    if run:
        _close(run, text, found)
    return found


def _close(run: list[tuple[str, int, int]], text: str, found: list[str]) -> None:
    while run and (run[-1][0] in _CONNECTORS):
        run.pop()
    while run:
        word, start, _ = run[0]
        low = word.casefold()
        opens = _opens_sentence(text, start)
        if low in _FUNCTION_WORDS or low in _CONNECTORS or (opens and low in _REQUESTS):
            run.pop(0)
        else:
            break
    if run:
        name = text[run[0][1] : run[-1][2]]
        found.append(re.sub(r"['’]s$", "", name))
    run.clear()


def _opens_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip(" \t\"'“‘(")
    return not before or before[-1] in ".!?:\n•*-–—"


@lru_cache(maxsize=512)
def mentions(text: str) -> tuple[Mention, ...]:
    """The quoted strings, names, identifiers and numbers of ``text``; each once, parts of another one left out."""
    found: dict[tuple[str, ...], Mention] = {}

    def add(kind: str, form: str) -> None:
        words = tuple(tokens(form))
        if words and words not in found:
            weak = all(word in _WEAK or word in _FUNCTION_WORDS for word in words) or (
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
