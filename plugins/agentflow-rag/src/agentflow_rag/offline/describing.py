"""Describe one document's subject by what another document says of it: ``the painter who painted Guernica``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_rag.offline.english import AUXILIARIES, CREATION, PREPOSITIONS, is_finite, past_form
from agentflow_rag.offline.names import mentions_name, word_pattern
from agentflow_rag.offline.sentences import sentences, without_asides

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_rag.offline.clauses import Clause, Kind, Profile

__all__ = ["Description", "descriptions"]

_AGENT = re.compile(
    r"^(?P<aux>is|was|are|were) (?:\w+ly )?(?:\w+(?:ed|ten), )?(?:\w+(?:ed|ten) and )?(?P<part>\w+)(?P<middle>(?: [^,]*?)?) by "
    r"(?P<who>(?:the |an? )?(?:[\w’'./–-]+ ){0,7})$"
)
_MADE_BY = re.compile(r"^(?:is|was) (?:an?|the) (?P<what>[^,]*?) (?:by|from) (?P<who>(?:the |an? )?(?:[\w’'./–-]+ ){0,6})$")
_ROLE_OF = re.compile(r"^(?P<aux>is|was) the (?P<role>(?:[\w’'-]+ ){1,4})of (?:the )?$")
_LIST = re.compile(r"^(?:,| and | or | & )")
_RIGHT_STOP = re.compile(r",| and | but | or | who | which | that | where | while | although | whose |; |: | – ")
_PLACE_PREPOSITIONS = frozenset({"in", "at"})
_WORDS_MOST = 28


@frozen(kw_only=True)
class Description:
    """``text`` names the target without its name; ``sentence`` says so; a lower ``rank`` reads better."""

    text: str
    sentence: str
    rank: int


def descriptions(source: Profile, target: Profile) -> list[Description]:
    """How the source describes the target, best first; empty where the rules find no good words."""
    if target.kind is None or source.doc_id == target.doc_id:
        return []
    found = [
        *(item for clause in source.clauses for item in _of_clause(clause, source, target, target.kind)),
        *_as_subject(source, target, target.kind),
    ]
    good = [item for item in found if len(item.text.split()) <= _WORDS_MOST and not mentions_name(target.name, item.text)]
    return sorted(good, key=lambda item: (item.rank, len(item.text)))


def _of_clause(clause: Clause, source: Profile, target: Profile, kind: Kind) -> Iterator[Description]:
    place = word_pattern(target.name).search(clause.phrase)
    if place is None:
        return
    left = re.sub(r"[\"“'‘]$", "", clause.phrase[: place.start()])
    right = re.sub(r"^[\"”'’]", "", clause.phrase[place.end() :])
    if right.startswith(("'s", "’s", "-")) or _LIST.match(right) and not right.startswith(","):
        return
    if re.match(r",? [A-Z]", right) and not right.startswith(", "):
        return  # a part of a longer name
    rest = _tail(right)
    name = _named(source)
    for text, rank in _phrases(left, rest, name, kind):
        yield Description(text=" ".join(text.split()), sentence=clause.sentence, rank=rank)


def _tail(right: str) -> str:
    """What may follow in the description: up to the first clause border."""
    stop = _RIGHT_STOP.search(right)
    rest = right if stop is None else right[: stop.start()]
    words = rest.split()
    return f" {' '.join(words)}" if words and (words[0] in PREPOSITIONS or words[0] in ("as", "when", "during")) else ""


def _named(profile: Profile) -> str:
    """The source's name as it stands in a sentence."""
    if profile.kind is None or profile.kind.is_person or profile.name.startswith("The "):
        return profile.name
    in_text = re.search(rf"(?<!\w)[Tt]he {re.escape(profile.name)}(?!\w)", profile.text)
    return f"the {profile.name}" if in_text else profile.name


def _phrases(left: str, rest: str, name: str, kind: Kind) -> Iterator[tuple[str, int]]:
    what = f"the {kind.phrase}"
    if agent := _AGENT.match(left):
        past = past_form(agent["part"])
        if past is not None and _describes(agent["who"]):
            yield f"{what} {kind.relative} {past} {name}{agent['middle']}{rest}", 0
        return
    if (made := _MADE_BY.match(left)) and _describes(made["who"]):
        nouns = re.findall(r"\w+", made["what"].split(" from ")[0].split(" of ")[0])
        verb = next((CREATION[noun] for noun in reversed(nouns) if noun in CREATION), None)
        if verb is not None:
            yield f"{what} {kind.relative} {verb} {name}", 0
        return
    if "," in left or " and " in left or '"' in left:
        return
    if role := _ROLE_OF.match(left):
        yield f"{what} whose {role['role'].strip()} {role['aux']} {name}", 1
        return
    words = left.split()
    if left.startswith("stars "):
        if len(words) == 1 and kind.is_person:
            yield f"{what} who stars in {name}{rest}", 1
        return
    article = bool(words) and words[-1] in ("the", "a", "an")
    if article:
        words = words[:-1]
    while words and kind.is_person and words[-1].casefold() in _titles(kind):
        words = words[:-1]
    if len(words) < 1 or any(word[0].isupper() and word[-1] == "." for word in words):
        return
    if words[-1] in PREPOSITIONS and len(words) >= 2:
        yield _by_preposition(words, rest, name, kind)
    elif words[-1] == "of" and len(words) >= 3:
        pronoun = "whom" if kind.is_person else "which"
        yield f"{what} of {pronoun} {name} {' '.join(words[:-1])}{rest}", 4
    elif len(words) == 1 and words[0] not in AUXILIARIES and is_finite(words[0]):
        yield f"{what} that {name} {words[0]}{rest}", 1


def _titles(kind: Kind) -> set[str]:
    return {word.casefold() for word in kind.phrase.split()}


def _describes(who: str) -> bool:
    """Whether the words before a name only say what kind of person it is: ``English singer-songwriter``."""
    words = who.split()
    return not any(word in ("and", "of", "for", "to", "with") for word in words)


def _by_preposition(words: list[str], rest: str, name: str, kind: Kind) -> tuple[str, int]:
    before = " ".join(words[:-1])
    preposition = words[-1]
    what = f"the {kind.phrase}"
    if kind.is_place and preposition in _PLACE_PREPOSITIONS:
        return f"{what} where {name} {before}{rest}", 1
    pronoun = "whom" if kind.is_person else "which"
    return f"{what} {preposition} {pronoun} {name} {before}{rest}", 2


def _as_subject(source: Profile, target: Profile, kind: Kind) -> Iterator[Description]:
    """Sentences of the source that begin with the target: ``Albert Einstein was born in Ulm``."""
    start = re.compile(rf"^(?:The |the )?{re.escape(target.name)} (.+)$")
    for sentence in sentences(source.text):
        plain = without_asides(sentence).rstrip(".!?\"” ")
        found = start.match(plain)
        if found is None:
            continue
        phrase = re.split(r"(?:, (?:and|but|where|while|who|which|in|an?|the) | and (?=\w+ (?:in|on|at|by|the) )|; )", found[1])[0]
        words = phrase.split()
        if 3 <= len(words) <= 18 and is_finite(words[0]) and mentions_name(source.name, phrase):
            yield Description(text=f"the {kind.phrase} {kind.relative} {phrase}", sentence=sentence, rank=1)
