"""Ask for something that a page states of its subject, with ``{}`` in the place of the subject."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.prose import DATE, MONTH
from agentflow_core.text import is_function_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentflow_websearch.offline.portraits import Portrait

    _Make = Callable[[str, str, str, int], "Fact"]

__all__ = ["NAME", "Fact", "base_form", "facts"]

NAME = r"(?:[A-ZÀ-ÖØ-Þ][\w'’&-]*(?:(?: (?:of|de|von|upon|of the))? [A-ZÀ-ÖØ-Þ][\w'’&-]*)*)"
_MAKER = rf"(?:{NAME}(?: and {NAME})?)"
_NUMBER = r"\d[\d,]*(?:\.\d+)?(?: million| billion)?"
_ABOUT = r"(?:about |over |more than |nearly |some |at least )?"
_PAST_BE = r"(?P<be>is|was|are|were)"
_PASSIVE_YEAR = re.compile(rf"^{_PAST_BE} (?P<what>[a-z][^,;]*?) in (?P<answer>[12]\d{{3}})(?: .*)?$")
_ACTIVE_YEAR = re.compile(r"^(?P<what>[a-z][^,;]*?) in (?P<answer>[12]\d{3})(?: .*)?$")
_PASSIVE_DATE = re.compile(rf"^{_PAST_BE} (?P<what>[a-z][^,;]*?) on (?P<answer>{DATE})(?: .*)?$")
_KIND_YEAR = re.compile(r"^was an? [a-z -]+ of (?P<answer>[12]\d{3})$")
_MONTH = re.compile(rf"^(?P<verb>[a-z]+s)(?P<what> [a-z]+)? in (?P<answer>{MONTH})$")
_MEASURE = re.compile(
    rf"^(?:is|was) {_ABOUT}(?P<answer>{_NUMBER}) (?P<unit>[a-z]+(?: [a-z]+)?) (?P<how>long|high|tall|wide|deep|old)\b"
)
_EXTENT = re.compile(
    rf"^(?:has|had) an? (?P<what>population|length|height|depth|area|span|capacity) of {_ABOUT}(?P<answer>{_NUMBER})(?: (?P<unit>[a-z]+))?"
)
_COUNT = re.compile(rf"^(?P<verb>[a-z]+) {_ABOUT}(?P<answer>{_NUMBER}) (?P<what>[a-z]+(?: [a-z]+)?)(?P<rest>.*)$")
_BY_NAME = re.compile(rf"^{_PAST_BE} (?P<part>[a-z]+) by (?:the )?(?P<answer>{_MAKER})$")
_AT_NAME = re.compile(rf"^{_PAST_BE} (?P<part>[a-z]+) (?P<where>in|at|on|into|after) (?:the )?(?P<answer>{NAME})$")
_LIES = re.compile(rf"^(?P<verb>[a-z]+s) (?P<where>in|at|on|into|from|over|through) (?:the )?(?P<answer>{NAME})$")
_DOES = re.compile(rf"^(?P<verb>[a-z]+s) (?:the )?(?P<answer>{NAME})$")
_DID = re.compile(rf"^(?P<verb>[a-z]+ed|built|made|wrote|won|led|found|held|took) (?:the )?(?P<answer>{NAME})$")
_FROM = re.compile(
    rf"^(?P<what>[a-z]+(?: [a-z]+){{0,2}}) from (?:the )?(?P<answer>{NAME})(?P<rest> (?:aboard|with|on|in) .*)?$"
)
_IS_IN = re.compile(
    rf"^(?:is|was) an? [a-z -]+? (?:in|on) (?:the (?P<noun>province|state|county|island|region|city|town|country) of )?"
    rf"(?:the )?(?P<answer>{NAME})$"
)
_CAPITAL = re.compile(rf"^is the capital of (?:the )?(?P<answer>{NAME})")
_KNOWN_FOR = re.compile(r"^(?:is|was) known for (?:its |their |the )?(?P<answer>[a-z]+)$")
_NOT_COUNTED = frozenset(["percent", "per", "in", "and", "or", "of", "to", "times"])
_NO_VERBS = frozenset(["is", "was", "are", "were", "has", "had"])


@frozen(kw_only=True)
class Fact:
    """A question about a subject, its answer, and the sentence that states it; a lower rank reads better."""

    question: str  #: with ``{}`` for the subject
    answer: str
    answer_type: str
    sentence: str
    said: str  #: with ``{}`` for the subject
    rank: int
    compared: str = ""  #: a yes-or-no question over ``{left}`` and ``{right}``: is the left number the greater one


@lru_cache(maxsize=512)
def facts(subject: Portrait) -> tuple[Fact, ...]:
    """What can be asked of the page's subject, best first; nothing that the page answers in two ways."""
    found: dict[tuple[str, str], Fact] = {}
    for clause in subject.clauses:
        for fact in _of(clause.phrase, clause.sentence):
            found.setdefault((fact.question, fact.answer), fact)
    ways = Counter(fact.question for fact in found.values())
    links = {text for text, _ in subject.page.links}
    good = [
        _linked(fact, links) for fact in found.values() if ways[fact.question] == 1 and fact.answer not in fact.question
    ]
    return tuple(sorted(good, key=lambda fact: fact.rank))


def _linked(fact: Fact, links: set[str]) -> Fact:
    """A name without the noun that stands before its link: ``River [Esk]`` is Esk."""
    words = fact.answer.split()
    for start in range(1, len(words)):
        if (rest := " ".join(words[start:])) in links and fact.answer not in links:
            return evolve(fact, answer=rest)
    return fact


def _of(phrase: str, sentence: str) -> Iterator[Fact]:
    def fact(question: str, answer: str, kind: str, rank: int, compared: str = "") -> Fact:
        return Fact(
            question=" ".join(question.split()).replace(" ?", "?").replace(" ,", ","),
            answer=answer,
            answer_type=kind,
            sentence=sentence,
            said=f"{{}} {phrase}",
            rank=rank,
            compared=compared,
        )

    if found := _PASSIVE_DATE.match(phrase):
        yield fact(f"On what date {found['be']} {{}} {found['what']}?", found["answer"], "date", 0)
    elif (found := _PASSIVE_YEAR.match(phrase)) and found["what"].split()[0] not in ("a", "an", "the"):
        part = found["what"].split()[0]
        later = f"Was {{left}} {part} later than {{right}}?" if found["what"] == part else ""
        yield fact(f"In what year {found['be']} {{}} {found['what']}?", found["answer"], "date", 0, later)
    elif (found := _ACTIVE_YEAR.match(phrase)) and found["what"].split()[0] not in _NO_VERBS:
        yield fact(f"What is the year in which {{}} {found['what']}?", found["answer"], "date", 1)
    if found := _KIND_YEAR.match(phrase):
        yield fact("In what year did {} take place?", found["answer"], "date", 1)
    if found := _MONTH.match(phrase):
        yield fact(
            f"In what month does {{}} {base_form(found['verb'])}{found['what'] or ''}?", found["answer"], "date", 0
        )
    if found := _MEASURE.match(phrase):
        more = {"long": "longer", "high": "higher", "tall": "taller", "wide": "wider", "deep": "deeper", "old": "older"}
        yield fact(
            f"How {found['how']} is {{}}, in {found['unit']}?",
            found["answer"],
            "number",
            0,
            f"Is {{left}} {more[found['how']]} than {{right}}?",
        )
    elif found := _EXTENT.match(phrase):
        unit = f", in {found['unit']}" if found["unit"] else ""
        yield fact(f"What is the {found['what']} of {{}}{unit}?", found["answer"], "number", 0)
    elif (found := _COUNT.match(phrase)) and _is_counted(found["what"], found["verb"]):
        yield from _how_many(found, fact)
    yield from _names(phrase, fact)
    if found := _KNOWN_FOR.match(phrase):
        yield fact("For what is {} known?", found["answer"], "entity", 3)


def _how_many(found: re.Match[str], fact: _Make) -> Iterator[Fact]:
    verb, what = found["verb"], found["what"]
    after = found["rest"].split()
    words = what.split()
    if len(words) == 2 and (words[1] in _NOT_COUNTED or is_function_word(words[1])):
        what = words[0]
    elif after and after[0] not in ("in", "at", "from", "a", "of", "per"):
        return
    if verb in ("has", "had"):
        yield fact(f"How many {what} {'does' if verb == 'has' else 'did'} {{}} have?", found["answer"], "number", 1)
    elif base := base_form(verb):
        yield fact(f"How many {what} does {{}} {base}?", found["answer"], "number", 1)
    elif verb.endswith("ed"):
        yield fact(f"What is the number of {what} that {{}} {verb}?", found["answer"], "number", 2)


def _names(phrase: str, fact: _Make) -> Iterator[Fact]:
    if found := _BY_NAME.match(phrase):
        yield fact(f"By whom or what {found['be']} {{}} {found['part']}?", found["answer"], "entity", 1)
    elif found := _CAPITAL.match(phrase):
        yield fact("Of what is {} the capital?", found["answer"], "place", 2)
    elif found := _IS_IN.match(phrase):
        asks = f"In which {found['noun']}" if found["noun"] else "Where"
        yield fact(f"{asks} is {{}}?", found["answer"], "place", 2)
    elif (found := _AT_NAME.match(phrase)) and found["part"] not in ("a", "an", "the"):
        asks = "Where" if found["where"] in ("in", "at") else f"{found['where'].capitalize()} what"
        yield fact(
            f"{asks} {found['be']} {{}} {found['part']}?", found["answer"], "place" if asks == "Where" else "entity", 1
        )
    elif (found := _LIES.match(phrase)) and (base := base_form(found["verb"])):
        asks = "Where" if found["where"] in ("in", "at") else f"{found['where'].capitalize()} what"
        yield fact(f"{asks} does {{}} {base}?", found["answer"], "place" if asks == "Where" else "entity", 2)
    elif (found := _DOES.match(phrase)) and (base := base_form(found["verb"])):
        yield fact(f"What does {{}} {base}?", found["answer"], "entity", 2)
    elif found := _DID.match(phrase):
        yield fact(f"What is it that {{}} {found['verb']}?", found["answer"], "entity", 3)
    elif (found := _FROM.match(phrase)) and found["what"].split()[0] not in _NO_VERBS:
        yield fact(f"What is the place from which {{}} {found['what']}?", found["answer"], "place", 2)


def _is_counted(what: str, verb: str) -> bool:
    first = what.split()[0]
    return first not in _NOT_COUNTED and not is_function_word(first) and verb not in ("is", "was", "are", "were")


def base_form(verb: str) -> str:
    """The base of a verb in the third person (``crosses`` → ``cross``); nothing for other words."""
    if verb in _NO_VERBS or len(verb) < 4 or not verb.endswith("s") or verb.endswith("ss"):
        return ""
    if verb.endswith("ies"):
        return f"{verb[:-3]}y" if len(verb) > 4 else verb[:-1]
    return verb[:-2] if verb.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")) else verb[:-1]
