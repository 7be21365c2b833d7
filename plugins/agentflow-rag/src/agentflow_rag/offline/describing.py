"""Describe one document's subject by what another document says of it: ``the painter who painted Guernica``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.prose import (
    AUXILIARIES,
    CREATION,
    MAKERS,
    PREPOSITIONS,
    WORKS,
    is_finite,
    is_person_noun,
    mentions_name,
    name_pattern,
    past_form,
    sentences,
    with_article,
    without_asides,
)
from agentflow_core.text import is_function_word, mentions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.prose import Clause, Kind
    from agentflow_rag.offline.profiles import Profile

__all__ = ["Description", "descriptions"]

_AGENT = re.compile(
    r"^(?:is|was|are|were) (?:\w+ly )?(?:\w+(?:ed|ten), )?(?:\w+(?:ed|ten) and )?(?P<part>\w+)(?P<middle>(?: [^,]*?)?) by "
    r"(?P<who>(?:the |an? )?(?:[\w’'./–-]+,? ){0,8})$"
)
_MADE_BY = re.compile(
    r"^(?:is|was) (?:an?|the) (?P<what>[^,]*?) (?:recorded |performed |written |sung )?by (?P<who>(?:the |an? )?(?:[\w’'./–-]+ ){0,6})$"
)
_COMES_FROM = re.compile(
    r"^(?:is|was) (?:an?|the) (?P<what>[\w -]*?)(?: taken)? from (?:the |an? )?(?:[\w’'./–-]+ ){0,5}$"
)
_ROLE_OF = re.compile(
    r"^(?P<aux>is|was) (?P<article>the|an?) (?P<role>(?:[\w’'-]+ ){1,3})of (?:the )?(?P<who>(?:[\w’'./–-]+ ){0,8})$"
)
_KINSHIP = frozenset(
    [
        "son",
        "daughter",
        "brother",
        "sister",
        "father",
        "mother",
        "wife",
        "husband",
        "grandson",
        "granddaughter",
        "nephew",
        "niece",
        "cousin",
        "successor",
        "predecessor",
        "student",
        "pupil",
        "founder",
        "co-founder",
        "spin-off",
        "sequel",
        "prequel",
        "daughter-in-law",
        "son-in-law",
    ]
)
_DEFINITION = re.compile(r"^(?:is|was|are|were) (?:an?|the|one of the) ")
_LIST = re.compile(r"^(?:,| and | or | & )")
_RIGHT_STOP = re.compile(r",(?!\d)| and | but | or | who | which | that | where | while | although | whose |; |: | – ")
_PLACE_PREPOSITIONS = frozenset({"in", "at"})
_POSSESSIVES = frozenset({"his", "her", "its", "their"})
_PERSON_PREPOSITIONS = frozenset({"under", "with", "for", "against", "to", "after"})
_TAIL = re.compile(r"[.!?;:,\s]+$")
_VAGUE = re.compile(
    r"(?:This|These|That|Those|Such|Here|There|The (?:[a-z]+ )?[a-z]+(?:,| is| was| were| are| has| had| also)) ?"
)
_WORDS_MOST = 28
_CLUE_WORDS_MOST = 40


@frozen(kw_only=True)
class Description:
    """``text`` names the target without its name; ``sentence`` says so; a lower ``rank`` reads better.

    Where there is a ``clue``, that sentence goes before the question, and ``text`` refers to it.
    """

    text: str
    sentence: str
    rank: int
    clue: str = ""


def descriptions(source: Profile, target: Profile) -> list[Description]:
    """How the source describes the target, best first; empty where the rules find no good words."""
    if target.kind is None or source.doc_id == target.doc_id:
        return []
    found = [
        *(item for clause in source.clauses for item in _of_clause(clause, source, target, target.kind)),
        *_as_subject(source, target, target.kind),
        *(item for clause in source.clauses for item in _as_clue(clause, source, target, target.kind)),
        *_as_sentence(source, target, target.kind),
    ]
    good = [
        item for item in found if len(item.text.split()) <= _WORDS_MOST and not mentions_name(target.name, item.text)
    ]
    return sorted(good, key=lambda item: (item.rank, len(item.text)))


def _of_clause(clause: Clause, source: Profile, target: Profile, kind: Kind) -> Iterator[Description]:
    place = _whole_mention(target.name, clause.phrase)
    if place is None:
        return
    left, right = _around(clause.phrase, place)
    rest = _tail(right)
    if rest is None:
        return
    listed = _LIST.match(right) is not None
    for text, rank in _phrases(left, "" if listed else rest, source, kind):
        if listed and rank not in (0, 3, 4):
            continue  # one of several, and nothing tells which
        yield Description(text=" ".join(text.split()), sentence=clause.sentence, rank=rank + 3 * listed)


def _whole_mention(name: str, phrase: str) -> re.Match[str] | None:
    """Where the name stands by itself: not as a part of a longer name, such as ``Army`` in ``Red Army``."""
    found = name_pattern(name).search(phrase)
    if found is None:
        return None
    left, right = phrase[: found.start()], phrase[found.end() :]
    is_quoted = left.endswith(('"', "“")) and right.startswith(('"', "”", ',"', ",”"))
    if right.startswith("-") or re.match(r"(?:['’]s)? [A-Z]| & ", right):
        return None
    before = left.split()
    if not is_quoted and " " not in name and before and before[-1][0].isupper():
        return None
    return found


def _around(phrase: str, place: re.Match[str]) -> tuple[str, str]:
    """What stands before and after, without the quotation marks of the name."""
    left, right = phrase[: place.start()], phrase[place.end() :]
    if left.endswith(('"', "“")):
        return left[:-1], re.sub(r'^(,?)["”]', r"\1", right)
    return left, right


def _tail(right: str) -> str | None:
    """What may follow in the description, up to the first clause border; None if it would be cut off too early."""
    if right.startswith(("'s", "’s")):
        return None
    stop = _RIGHT_STOP.search(right)
    if stop is not None and stop[0] == " that ":
        return None
    words = (right if stop is None else right[: stop.start()]).replace('"', "").split()
    return f" {' '.join(words)}" if words and (words[0] in PREPOSITIONS or words[0] in ("as", "when", "during")) else ""


def _named(profile: Profile) -> str:
    """The source's name as it stands in a sentence."""
    if profile.kind is None or profile.kind.is_person:
        return profile.name
    return with_article(profile.name, profile.text)


def _phrases(left: str, rest: str, source: Profile, kind: Kind) -> Iterator[tuple[str, int]]:
    what = f"the {kind.phrase}"
    name = _named(source)
    if (agent := _AGENT.match(left)) and (past := past_form(agent["part"])) and _describes(agent["who"]):
        middle = agent["middle"].strip()
        if not (kind.is_person or kind.head in MAKERS):
            return
        if not middle or middle.split()[0] in PREPOSITIONS:
            yield f"{what} {kind.relative} {past} {name} {middle}{rest}", 0 if "," not in agent["who"] else 3
        return
    if (made := _MADE_BY.match(left)) and _describes(made["who"]):
        nouns = re.findall(r"\w+", re.split(r" (?:from|of|in|about|based) ", made["what"])[0])
        verb = next((CREATION[noun] for noun in reversed(nouns) if noun in CREATION), None)
        if verb is not None and (kind.is_person or kind.head in MAKERS):
            yield f"{what} {kind.relative} {verb} {name}", 0
        return
    if (role := _ROLE_OF.match(left)) and _describes(role["who"]):
        noun = role["role"].split()[-1]
        if noun in _KINSHIP or (role["article"] == "the" and not role["who"]):
            yield f"{what} whose {role['role'].strip()} {role['aux']} {name}", 1
        return
    if left.startswith(("stars ", "guest stars ")):
        if kind.is_person:
            lone = left in ("stars ", "guest stars ")
            yield f"{what} who {left.partition('stars ')[0]}stars in {name}{rest if lone else ''}", 1 if lone else 4
        return
    if "," in left or " and " in left or '"' in left:
        return
    if _COMES_FROM.match(left) and not kind.is_person and not kind.is_place:
        yield f"{what} from which {name} comes", 2
        return
    yield from _by_grammar(left.split(), rest, source, kind)


def _by_grammar(words: list[str], rest: str, source: Profile, kind: Kind) -> Iterator[tuple[str, int]]:
    """``flows into the`` → the river into which it flows; ``discovered`` → the element that he discovered in 1898."""
    what = f"the {kind.phrase}"
    name = _named(source)
    if words and words[-1] in ("the", "a", "an"):
        words = words[:-1]
    while words and kind.is_person and words[-1].casefold() in _titles(kind):
        words = words[:-1]
    if not words:
        return
    last, before = words[-1], words[:-1]
    if last in PREPOSITIONS and before:
        nested = any(word in PREPOSITIONS or word == "of" for word in before)
        if _DEFINITION.match(" ".join(words)):
            if not nested and source.kind is not None and (source.kind.is_place or last in ("on", "over")):
                place = "where" if kind.is_place and last in _PLACE_PREPOSITIONS else f"{last} which"
                yield f"{what} {place} {name} {'lies' if place != 'where' else 'is located'}{rest}", 2
            return
        if last == "by" or (last in ("on", "near") and nested):
            return
        if kind.is_person:
            if last in _PERSON_PREPOSITIONS:
                yield f"{what} {last} whom {name} {' '.join(before)}{rest}", 2
        elif kind.is_place and last in _PLACE_PREPOSITIONS:
            yield f"{what} where {name} {' '.join(before)}{rest}", 1
        else:
            yield f"{what} {last} which {name} {' '.join(before)}{rest}", 2
    elif not before and last not in AUXILIARIES and is_finite(last) and rest:
        yield f"{what} {'whom' if kind.is_person else 'that'} {name} {last}{rest}", 1


def _titles(kind: Kind) -> set[str]:
    return {word.casefold() for word in kind.phrase.split()}


def _describes(who: str) -> bool:
    """Whether the words before a name only say what kind of person it is: ``English singer-songwriter``."""
    words = who.split()
    return not any(word in ("and", "of", "for", "to", "with") for word in words)


def _as_clue(clause: Clause, source: Profile, target: Profile, kind: Kind) -> Iterator[Description]:
    """The clause as it stands, the target hidden: ``X was played by a certain American actress.``"""
    place = _whole_mention(target.name, clause.phrase)
    if place is None:
        return
    left, right = _around(clause.phrase, place)
    if _modifies(right, kind):
        return
    stop = re.search(r"[;:]| who | which | where | while | although | whose ", right)
    rest = (right if stop is None else right[: stop.start()]).removesuffix(" and")
    shown = _introduced(left, kind)
    if shown is None:
        return
    if shown.endswith(f"a certain {kind.phrase}"):
        rest = re.sub(rf"^ {re.escape(kind.head)}\b", "", rest)
    said = f"{_named(source)} {shown}{rest}"
    said = re.sub(r"\s+([,.;:])", r"\1", " ".join(said.split())).rstrip(" ,")
    if len(said.split()) <= _CLUE_WORDS_MOST and not mentions_name(target.name, said) and said.count('"') % 2 == 0:
        yield Description(
            text=f"that {kind.head}", sentence=clause.sentence, rank=6, clue=f"{said[0].upper()}{said[1:]}."
        )


def _as_sentence(source: Profile, target: Profile, kind: Kind) -> Iterator[Description]:
    """A whole sentence of the source with the target hidden, where it can be understood by itself."""
    for sentence in sentences(source.text):
        plain = re.sub(r"[.!?]([\"”])$", r"\1", _TAIL.sub("", without_asides(sentence)))
        place = _whole_mention(target.name, plain)
        if place is None or len(plain.split()) > _CLUE_WORDS_MOST:
            continue
        left, right = _around(plain, place)
        if _modifies(right, kind):
            continue
        shown = _introduced(left, kind) if left.strip() else f"A certain {kind.phrase}"
        if shown is None:
            continue
        said = _by_name(f"{shown}{right}", source)
        if said is None or mentions_name(target.name, said) or said.count('"') % 2:
            continue
        others = [item for item in mentions(said) if not item.weak]
        if sum(len(item.words) for item in others) >= 3 and said[0].isupper():
            said = re.sub(r"\s+([,.;:])", r"\1", said)
            yield Description(text=f"that {kind.head}", sentence=sentence, rank=7, clue=f"{said}.")


def _modifies(right: str, kind: Kind) -> bool:
    """Whether the name only describes the noun after it: ``Ed Wood films``."""
    following = re.match(r" ([a-z]+)", right)
    if following is None or following[1] == kind.head.casefold():
        return False
    word = following[1]
    return not (is_function_word(word) or is_finite(word) or word in PREPOSITIONS or word.endswith(("ing", "ly")))


def _by_name(said: str, source: Profile) -> str | None:
    """The sentence with the source's name for its first pronoun; None if it would not be clear who is meant."""
    owner = _named(source)
    owner = f"{owner[0].upper()}{owner[1:]}"
    if own := re.match(r"(?:His|Her|Its|Their) ", said):
        return f"{owner}'s {said[own.end() :]}"
    if mentions_name(source.name, said):
        return None if _VAGUE.match(said) else said
    if subject := re.match(r"(?:He|She|It|They) ", said):
        return f"{owner} {said[subject.end() :]}"
    if _VAGUE.match(said):
        return None
    return re.sub(r"(?<=, )(?:he|she|it|they) ", f"{_named(source)} ", said, count=1)


def _introduced(left: str, kind: Kind) -> str | None:
    """What stands before the name, with words for the name put in its place; None if another thing is meant.

    ``directed by cult filmmaker`` → ``directed by a certain American filmmaker``; ``her third studio album,`` →
    ``her third studio album``; ``his brother`` → ``his brother, a certain American musician``.
    """
    words = left.split()
    certain = f"a certain {kind.phrase}"
    role = words[-1].rstrip(",") if words else ""
    if _other_work(role, kind.head):
        return None
    end = len(words)
    if end and words[-1].endswith(",") and role.casefold() != kind.head.casefold():
        return f"{' '.join(words)} {certain}"
    if end:
        words[-1] = role
    while end and not _bounds_role(words[end - 1]):
        end -= 1
    bound = words[end - 1] if end else ""
    owned = bound in _POSSESSIVES or bound.endswith(("'s", "’s"))
    if role.casefold() == kind.head.casefold() and end < len(words) and (owned or bound == "the"):
        return " ".join(words)
    if owned:
        return f"{' '.join(words)}, {certain}" if end < len(words) else f"{' '.join(words)} {kind.phrase}"
    if bound in ("the", "a", "an"):
        end -= 1
    return f"{' '.join(words[:end])} {certain}"


def _other_work(role: str, head: str) -> bool:
    """Whether two nouns name different sorts of works: an album is not its title song."""
    mine, other = (next((group for group in WORKS if noun.casefold() in group), None) for noun in (role, head))
    return mine is not None and other is not None and mine != other


def _bounds_role(word: str) -> bool:
    if word.endswith((",", "'s", "’s", ":")):
        return True
    plain = word.strip('"“”')
    if is_function_word(plain) or plain in PREPOSITIONS or plain in AUXILIARIES or plain in _POSSESSIVES:
        return True
    return plain.islower() and not is_person_noun(plain) and (is_finite(plain) or plain.endswith("ing"))


def _as_subject(source: Profile, target: Profile, kind: Kind) -> Iterator[Description]:
    """Sentences of the source that begin with the target: ``Albert Einstein was born in Ulm``."""
    start = re.compile(rf"^(?:The |the )?{re.escape(target.name)} (.+)$")
    for sentence in sentences(source.text):
        plain = without_asides(sentence).rstrip('.!?"” ')
        found = start.match(plain)
        if found is None:
            continue
        phrase = re.split(
            r"(?:, (?:and|but|where|while|who|which|in|an?|the) | and (?=\w+ (?:in|on|at|by|the) )|; )", found[1]
        )[0]
        words = phrase.split()
        if re.search(r"\d .*\band [A-Z].*\d", phrase):
            continue  # ``was born in 1797 and Lise Meitner in 1878``
        if 3 <= len(words) <= 18 and is_finite(words[0]) and mentions_name(source.name, phrase):
            yield Description(text=f"the {kind.phrase} {kind.relative} {phrase}", sentence=sentence, rank=1)
