"""Ask for a fact that a document states of its subject, with words for the subject put in its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.prose import AUXILIARIES, DATE, PREPOSITIONS, base_form, past_form, sentences
from agentflow_core.text import is_function_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentflow_core.prose import Clause
    from agentflow_rag.offline.profiles import Profile

    _Make = Callable[[str, str, str, int], "Fact"]

__all__ = ["Fact", "facts"]

_NAME = (
    r"(?:(?:the )?[A-ZÀ-ÖØ-ÞŁŻŠČ][\w'’.-]*(?:(?: (?:of|de|da|di|la|le|del|von|van|der|the|upon|and the)){0,2} "
    r"[A-ZÀ-ÖØ-ÞŁŻŠČ][\w'’.-]*)*)"
)
_ON_DATE = re.compile(rf"^(?P<before>.+?) on (?P<answer>{DATE})(?P<after>.*)$")
_IN_YEAR = re.compile(r"^(?P<before>.+?) in (?P<answer>[12]\d{3})(?!\d|–|-|s\b)(?P<after>.*)$")
_BORN_IN = re.compile(rf"^(?P<aux>was|were) (?P<verb>born|baptised|buried) (?:in|at) (?P<answer>{_NAME}(?:, {_NAME})*)")
_DIED_IN = re.compile(rf"^died (?:in|at) (?P<answer>{_NAME}(?:, {_NAME})*)")
_SITS = re.compile(
    rf"^(?P<verb>(?:is|was|are|were) (?:located|situated|based|headquartered|kept|buried)|lies|stands|takes place|hangs|flows|"
    rf"empties|rises|begins) (?P<where>in|at|on|into|near) (?P<answer>{_NAME}(?:, {_NAME})*)(?P<after>.*)$"
)
_BY = re.compile(
    r"^(?:is|was|are|were) (?:\w+ed, )?(?:(?:\w+ed|written) and )?(?P<part>\w+)(?P<middle>(?: (?:in|on|at|for|from|as) [^,]{1,40}?)?) by "
    r"(?P<who>[^,;]+?)(?P<after>(?:,| and | in | at | for | on | from | as | who | after | to | with ).*)?$"
)
_NATIONAL = re.compile(r"[A-Z][a-z]+(?:an|ish|ese|ch)")
_ENDS_WITH_NAME = re.compile(rf"(?:^|\s)(?P<answer>{_NAME})$")
_CAPITAL_IS = re.compile(rf"\bwhose capital is (?P<answer>{_NAME})$")
_KNOWN_AS = re.compile(
    rf"^(?P<aux>is|was|were|are) (?:also |formerly |previously |originally |better |commonly )?known as (?:the )?(?P<answer>{_NAME})(?P<after>.*)$"
)
_COMES_FROM = re.compile(rf"^(?:is|was|are|were) an? [\w -]+ from (?P<answer>{_NAME}(?:, {_NAME})*)$")
_LIES_IN = re.compile(
    rf"^(?:is|was|are) (?:an?|the) [\w –-]+? (?:in|at) (?P<answer>{_NAME}(?:, {_NAME})*)(?:$|,| with | that | which )"
)
_SPAN = re.compile(r"^(?P<before>.+?) (?:from|between) (?P<answer>[12]\d{3} (?:until|to|and) [12]\d{3})(?P<after>.*)$")
_HAS_DONE = re.compile(
    r"^(?P<aux>has|have) (?:also )?(?P<part>\w+(?:ed|ten|ung|old|on|ade)) (?:about |over |more than |nearly |at least )?"
    r"(?P<answer>\d[\d,.]*(?: million| billion)?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve) (?P<what>[a-z][\w-]+)(?P<after>.*)$"
)
_NATION = re.compile(
    r"^(?:is|was) an? (?P<answer>[A-Z][a-z]+(?:an|ish|ese|ch|i|ek|sh)(?:[-–][A-Z][a-z]+)?) (?:[\w’-]+ ?)+"
)
_NAMED_AFTER = re.compile(rf"^(?:is|was) named (?:after|for) (?P<answer>{_NAME})")
_MEASURE = re.compile(
    r"\b(?:a|an|with a|with the|the|its) (?P<what>length|diameter|population|span|height|area|atomic number|depth|capacity|"
    r"elevation|enrollment) of (?:about |approximately |some |over |nearly )?(?P<answer>\d[\d,.]*\d|\d+)(?P<unit> \w+)?"
)
_ATOMIC = re.compile(r"\bwith the atomic number (?P<answer>\d+)\b")
_POPULATION = re.compile(r"\bpopulation (?:was|is|of) (?:about |approximately )?(?P<answer>\d[\d,.]*\d)\b")
_COUNT = re.compile(
    r"^(?P<verb>has|had|have|won|released|wrote|published|scored|consists of|contains|spent|played|directed|recorded|includes|"
    r"operates|comprises) (?:about |over |more than |nearly |approximately |a total of )?(?P<answer>\d[\d,]*|two|three|four|five|"
    r"six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty) "
    r"(?P<what>[a-z][\w-]+(?: [a-z][\w-]+)?)(?P<after>.*)$"
)
_OBJECT = re.compile(
    rf"^(?P<verb>wrote|composed|painted|directed|founded|discovered|invented|designed|created|built|developed|patented|"
    rf"established|launched|visited|won|received|joined|led|managed) (?:the )?(?P<answer>{_NAME})(?P<after>.*)$"
)
_BORN = re.compile(
    rf"\((?:[^()]*?[;,] )?(?:born|b\.) (?:[^()]*?[;,] |[^()]*? on )?(?P<answer>{DATE})(?: in (?P<place>{_NAME}(?:, {_NAME})*))?"
)
_BORN_FIRST = re.compile(rf"\((?:[^()]*?[;,] )?(?P<answer>{DATE}) ?[–-] ")
_YEARS = re.compile(r"\((?P<answer>1[0-9]\d\d)[–-](?P<end>[12]\d\d\d)\)")
_BASED_ON = re.compile(
    rf"^(?P<aux>is|was) (?P<verb>based on|adapted from) (?:the |an? )?(?:[\w’'-]+ ){{0,8}}?(?:, the )?\"?(?P<answer>{_NAME})\"?$"
)
_ANY_COUNT = re.compile(
    r"^(?P<before>(?:has|had|have|is|was|are|were|consists?|contains?|employs?|includes?|spans?|covers?|\w+ed) (?:[\w’'-]+ ){0,7}?)"
    r"(?:about |over |more than |nearly |approximately |almost |some |only )?(?P<answer>\d[\d,]*(?:\.\d+)?(?: million| billion)?) (?P<what>[a-z][a-z-]+)\b(?P<after>.*)$"
)
_LIVED = re.compile(rf"\((?:[^()]*?[;,] )?(?P<answer>{DATE}) ?[–-] ?(?P<end>{DATE})")
_NOT_COUNTED = frozenset(["percent", "per", "in", "and", "or", "of", "to", "times", "years-old", "season", "season's"])
_COUNTED_AMONG = re.compile(r"\b(?:the|its|his|her|first|last|of|at|aged?|No) $")
_TIME = re.compile(r" (?:from \d{4} (?:to|until) \d{4}|(?:in|since|until|from) \d{4})")
_AFTER_STOP = re.compile(r",| and | but | which | who | where | while | with | as | after | when |; ")


@frozen(kw_only=True)
class Fact:
    """A question with ``{}`` for the subject, its answer, and the sentence that states it; a lower rank reads better."""

    question: str
    answer: str
    answer_type: str
    sentence: str
    statement: str  #: with ``{}`` for the subject
    rank: int


def facts(profile: Profile) -> list[Fact]:
    """What can be asked of the document's subject, best first."""
    found: list[Fact] = []
    person = profile.kind is not None and profile.kind.is_person
    place = profile.kind is not None and profile.kind.is_place
    for clause in profile.clauses:
        found += _of_clause(clause, person=person, place=place)
    found += _of_life(profile, person=person)
    unique: dict[tuple[str, str], Fact] = {}
    for fact in found:
        if len(fact.answer) > 1 and fact.answer not in fact.question and not fact.answer.endswith(("U.S", "St")):
            unique.setdefault((fact.question, fact.answer), fact)
    return sorted(unique.values(), key=lambda fact: fact.rank)


def _of_life(profile: Profile, *, person: bool) -> Iterator[Fact]:
    first = next(iter(sentences(profile.text)), "")
    head = first[:240]
    if not person:
        return
    if (years := _YEARS.search(head)) and not _BORN.search(head):
        yield Fact(
            question="In what year was {} born?",
            answer=years["answer"],
            answer_type="date",
            sentence=first,
            statement=f"{{}} was born in {years['answer']}",
            rank=2,
        )
    if (native := _BORN.search(head)) and native["place"]:
        yield Fact(
            question="Where was {} born?",
            answer=native["place"],
            answer_type="place",
            sentence=first,
            statement=f"{{}} was born in {native['place']}",
            rank=0,
        )
    if born := _BORN.search(head) or _BORN_FIRST.search(head):
        yield Fact(
            question="On what date was {} born?",
            answer=born["answer"],
            answer_type="date",
            sentence=first,
            statement=f"{{}} was born on {born['answer']}",
            rank=1,
        )
    if lived := _LIVED.search(head):
        yield Fact(
            question="On what date did {} die?",
            answer=lived["end"],
            answer_type="date",
            sentence=first,
            statement=f"{{}} died on {lived['end']}",
            rank=2,
        )


def _of_clause(clause: Clause, *, person: bool, place: bool) -> Iterator[Fact]:
    phrase = re.sub(r"\bthe U\.S\. state of ", "", clause.phrase)

    def fact(question: str, answer: str, kind: str, rank: int) -> Fact:
        return Fact(
            question=" ".join(question.split()).replace(" ?", "?"),
            answer=re.sub(r"^the ", "", answer.strip(" ,.")),
            answer_type=kind,
            sentence=clause.sentence,
            statement=f"{{}} {phrase}",
            rank=rank,
        )

    if found := _BORN_IN.match(phrase):
        yield fact(f"Where was {{}} {found['verb']}?", found["answer"], "place", 0)
    if found := _DIED_IN.match(phrase):
        yield fact("Where did {} die?", found["answer"], "place", 0)
    if found := _CAPITAL_IS.search(phrase):
        yield fact("What is the capital of {}?", found["answer"], "place", 0)
    if found := _NAMED_AFTER.match(phrase):
        yield fact("After whom or what is {} named?", found["answer"], "entity", 0)
    elif found := _BY.match(phrase):
        yield from _by_whom(found, fact, person=person)
    if found := _KNOWN_AS.match(phrase):
        yield fact(f"What {found['aux']} {{}} known as{_after(found['after'])}?", found["answer"], "entity", 1)
    if (found := _COMES_FROM.match(phrase)) and not place:
        yield fact(
            "Where does {} come from?" if phrase.startswith("is") else "Where did {} come from?",
            found["answer"],
            "place",
            2,
        )
    if (found := _LIES_IN.match(phrase)) and place:
        yield fact("Where is {}?", found["answer"], "place", 3)
    if found := _SPAN.match(phrase):
        yield from _during(found, fact)
    if found := _HAS_DONE.match(phrase):
        question = f"How many {found['what']} {found['aux']} {{}} {found['part']}{_after(found['after'])}?"
        yield fact(question, found["answer"], "number", 1)
    if (found := _NATION.match(phrase)) and person:
        yield fact("What is the nationality of {}?", found["answer"], "entity", 4)
    if (found := _SITS.match(phrase)) and found["where"] != "near":
        yield from _where(found, fact)
    if found := _ATOMIC.search(phrase):
        yield fact("What is the atomic number of {}?", found["answer"], "number", 0)
    elif found := _MEASURE.search(phrase):
        unit = (found["unit"] or "").strip()
        measured = unit in ("metres", "kilometres", "meters", "miles", "feet", "hectares", "acres", "km", "m", "ft")
        of = f", in {unit}" if measured else ""
        yield fact(f"What is the {found['what']} of {{}}{of}?", found["answer"], "number", 0)
    elif found := _POPULATION.search(phrase):
        yield fact("What is the population of {}?", found["answer"], "number", 0)
    if found := _COUNT.match(phrase):
        yield from _how_many(found, fact)
    elif (
        (found := _ANY_COUNT.match(phrase))
        and _is_counted(found["what"])
        and not _COUNTED_AMONG.search(found["before"])
    ):
        question = f"{{}} {found['before']}how many {found['what']}{_after(found['after'])}?"
        yield fact(question, found["answer"], "number", 4)
    if found := _BASED_ON.match(phrase):
        yield fact(f"What {found['aux']} {{}} {found['verb']}?", found["answer"], "entity", 2)
    if found := _OBJECT.match(phrase):
        base = base_form(found["verb"])
        if base and not _AFTER_STOP.match(found["after"]):
            yield fact(f"What did {{}} {base}{_after(found['after'])}?", found["answer"], "entity", 2)
    if found := _ON_DATE.match(phrase):
        yield from _when(found, "On what date", "date", fact, 0)
    if found := _IN_YEAR.match(phrase):
        yield from _when(found, "In what year", "date", fact, 1)


def _is_counted(noun: str) -> bool:
    return noun not in _NOT_COUNTED and not is_function_word(noun) and noun not in PREPOSITIONS


def _by_whom(found: re.Match[str], fact: _Make, *, person: bool) -> Iterator[Fact]:
    past, name = past_form(found["part"]), _ENDS_WITH_NAME.search(found["who"])
    after = found["after"] or ""
    if past is None or name is None or person or after.startswith(" and ") or re.match(r", (?:and )?[A-Z]", after):
        return
    if len(name["answer"]) > 3 and not _NATIONAL.fullmatch(name["answer"]):
        yield fact(f"Who {past} {{}}{found['middle']}{_after(after)}?", name["answer"], "entity", 0)


def _after(text: str) -> str:
    """What follows the answer, up to the next clause."""
    stop = _AFTER_STOP.search(text)
    if stop is not None and (stop[0] == "," or stop[0] == " and "):
        # perhaps a list, of which nothing may be cut off; a time is no list
        return text[: stop.start()] if _TIME.fullmatch(text[: stop.start()]) else ""
    rest = (text if stop is None else text[: stop.start()]).rstrip(" ,;").removesuffix(" for use")
    return rest if len(rest.split()) <= 10 and not re.match(r" ?[a-z]+ed\b", rest) else ""


def _when(found: re.Match[str], asks: str, kind: str, fact: _Make, rank: int) -> Iterator[Fact]:
    before, after = found["before"], _after(found["after"])
    words = before.split()
    if len(words) > 16 or _AFTER_STOP.search(before.replace(" as ", " ").replace(" with ", " ")):
        return
    verb, rest = words[0], " ".join(words[1:])
    if verb in AUXILIARIES and rest:
        defines = rest.split()[0] in ("a", "an", "the", "one")
        if not defines:
            yield fact(f"{asks} {verb} {{}} {rest}{after}?", found["answer"], kind, rank)
    elif (base := base_form(verb)) is not None:
        yield fact(f"{asks} did {{}} {base} {rest}{after}?", found["answer"], kind, rank)
    elif verb.endswith("ed") and rest:
        yield fact(f"{{}} {before} {asks.lower()}{after}?", found["answer"], kind, rank + 2)


def _during(found: re.Match[str], fact: _Make) -> Iterator[Fact]:
    words = found["before"].split()
    verb, rest = words[0], " ".join(words[1:])
    if len(words) > 14 or "," in found["before"] or " and " in found["before"]:
        return
    if verb in AUXILIARIES and rest:
        yield fact(f"During which years {verb} {{}} {rest}?", found["answer"], "date", 1)
    elif base := base_form(verb):
        yield fact(f"During which years did {{}} {base} {rest}?", found["answer"], "date", 1)


def _where(found: re.Match[str], fact: _Make) -> Iterator[Fact]:
    verb, where = found["verb"], found["where"]
    after = _after(found["after"])
    follows = found["after"].split()
    if (
        follows
        and follows[0][0].islower()
        and follows[0] not in PREPOSITIONS
        and follows[0] not in ("and", "but", "which")
    ):
        return
    first, _, rest = verb.partition(" ")
    if first in AUXILIARIES:
        yield fact(f"Where {first} {{}} {rest}{after}?", found["answer"], "place", 1)
    elif verb == "flows" or verb == "empties":
        if where == "into":
            yield fact(
                f"Into which body of water does {{}} {'flow' if verb == 'flows' else 'empty'}{after}?",
                found["answer"],
                "place",
                0,
            )
    elif verb == "lies" and where == "on":
        yield fact(f"On which river or body of water does {{}} lie{after}?", found["answer"], "place", 1)
    elif verb in ("takes place", "rises", "begins", "hangs", "stands", "lies"):
        base = {"takes place": "take place", "lies": "lie"}.get(verb, verb.removesuffix("s"))
        yield fact(f"Where does {{}} {base}{after}?", found["answer"], "place", 1)


def _how_many(found: re.Match[str], fact: _Make) -> Iterator[Fact]:
    verb, what, after = found["verb"], found["what"], _after(found["after"])
    first, _, rest = verb.partition(" ")
    if what.split()[0] in ("of", "and", "or", "to", "in"):
        return
    base = {"has": "have", "had": "have", "consists": "consist", "contains": "contain", "includes": "include"}.get(
        first, base_form(first) or first.removesuffix("s")
    )
    does = "did" if base_form(first) or first == "had" else "does"
    yield fact(f"How many {what} {does} {{}} {base} {rest}{after}?", found["answer"], "number", 1)
