"""Describe a page's subject by what another page says of it: ``the river that the Ostrel Bridge crosses``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.prose import PREPOSITIONS, mentions_name, name_key
from agentflow_websearch.offline.portraits import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.prose import Kind
    from agentflow_websearch.offline.portraits import Portrait

__all__ = ["Description", "descriptions"]

_PAST = re.compile(r"[a-z]+ed|built|made|held|led|won|found|sold|kept")
_PASSIVE_BY = re.compile(r"^(?P<be>is|was|are|were) (?P<part>[a-z]+) by$")
_IS_A = re.compile(r"^(?:is|was|are|were) (?:an?|the) ")
_TAIL = re.compile(r"^ (?:in|on|at|from|by|for|with|aboard|during|since) [\w ,'’-]+$")
_VERBS = re.compile(r"^(?:is|was|are|were|has|had|[a-z]+ed|[a-z]+s|built|made|held|led|won) ")
_TAIL_WORDS = 6
_WORDS_MOST = 26


@frozen(kw_only=True)
class Description:
    """``text`` names the target without its name, ``sentence`` of the source says so; a lower ``rank`` reads better."""

    text: str
    sentence: str
    rank: int


def descriptions(source: Portrait, target: Portrait) -> list[Description]:
    """How the source describes the target, best first; nothing that fits another thing on the source's page too."""
    if target.kind is None or name_key(source.name) == name_key(target.name):
        return []
    found = [*_as_object(source, target, target.kind), *_as_subject(source, target, target.kind)]
    good = [
        item for item in found if len(item.text.split()) <= _WORDS_MOST and not mentions_name(target.name, item.text)
    ]
    return sorted(good, key=lambda item: (item.rank, len(item.text), item.text))


def _as_object(source: Portrait, target: Portrait, kind: Kind) -> Iterator[Description]:
    """``S crosses the River T``, ``S was built by T``, ``S lies on T``."""
    for clause in source.clauses:
        left, name, right = clause.phrase.partition(target.name)
        if not name or not mentions_name(target.name, clause.phrase) or _extends(left, right):
            continue
        if right and not (_TAIL.match(right) and len(right.split()) <= _TAIL_WORDS):
            continue
        lead = _without_noun(left, kind)
        if any(_is_alike(other.phrase, lead, target.name) for other in source.clauses):
            continue
        text = _relative(lead, right, source.shown, kind)
        if text:
            yield Description(text=text, sentence=clause.sentence, rank=1 if right else 0)


def _relative(lead: str, right: str, name: str, kind: Kind) -> str:
    what, words = f"the {kind.phrase}", lead.split()
    if not words or "," in lead:
        return ""
    if (by := _PASSIVE_BY.match(lead)) is not None:
        part, is_past = by["part"], by["be"] in ("was", "were")
        if is_past and _PAST.fullmatch(part):
            return f"{what} {kind.relative} {part} {name}{right}"
        return f"{what} by {'whom' if kind.relative == 'who' else 'which'} {name} {by['be']} {part}{right}"
    last, before = words[-1], " ".join(words[:-1])
    pronoun = "whom" if kind.relative == "who" else "which"
    if last in PREPOSITIONS and before:
        if _IS_A.match(lead):
            is_in = last in ("in", "on", "at") and not any(word in PREPOSITIONS for word in words[:-1])
            return f"{what} of {name}" if is_in and not right and pronoun == "which" else ""
        return f"{what} {last} {pronoun} {name} {before}{right}"
    if len(words) == 1 and _VERBS.match(f"{last} ") and last not in ("is", "was", "are", "were"):
        return f"{what} that {name} {last}{right}"
    return ""


def _as_subject(source: Portrait, target: Portrait, kind: Kind) -> Iterator[Description]:
    """``T is based in S``, ``the river is crossed by T`` said on the page of S."""
    for sentence in source.sentences:
        said = plain(sentence).rstrip(".!?")
        start = re.match(rf"(?:The |the )?(?:[A-Z][a-z]+ )?{re.escape(target.name)} ", said)
        if start is None or not mentions_name(source.name, said[start.end() :]):
            continue
        phrase = said[start.end() :]
        others = [plain(other).rstrip(".!?") for other in source.sentences if other != sentence]
        if (
            _VERBS.match(phrase)
            and not any(other.endswith(f" {phrase}") for other in others)
            and len(phrase.split()) <= 12
        ):
            yield Description(text=f"the {kind.phrase} {kind.relative} {phrase}", sentence=sentence, rank=1)


def _extends(left: str, right: str) -> bool:
    """Whether the name is only a part of a longer one, or of a list."""
    return (
        right.startswith((",", " and ", "'s", "’s", "-"))
        or re.match(r" [A-Z]", right) is not None
        or left.rstrip().endswith((",", " and"))
    )


def _without_noun(left: str, kind: Kind) -> str:
    """Without the article and the noun that go with the name: ``lies on the River`` → ``lies on``."""
    words = left.split()
    if words and words[-1].casefold() == kind.head.casefold():
        words = words[:-1]
    if len(words) > 2 and words[-1] == "of" and words[-2].casefold() == kind.head.casefold():
        words = words[:-2]
    if words and words[-1] in ("the", "a", "an"):
        words = words[:-1]
    return " ".join(words)


def _is_alike(phrase: str, lead: str, name: str) -> bool:
    """Whether a phrase says the same of another name."""
    rest = phrase.removeprefix(lead).lstrip()
    return (
        bool(lead)
        and phrase.startswith(f"{lead} ")
        and not mentions_name(name, phrase)
        and re.match(r"(?:the )?[A-Z]", rest) is not None
    )
