"""Take a text's sentences apart into what they say of its subject: short verb phrases, and what it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.prose.nouns import CREATION, is_person_noun, is_place_noun
from agentflow_core.prose.sentences import without_asides
from agentflow_core.prose.verbs import AUXILIARIES, is_finite, is_participle, may_be_finite
from agentflow_core.prose.vocabulary import EMPTY_KINDS, GENERAL_NOUNS
from agentflow_core.text import is_function_word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Clause", "Kind", "Told", "told_of"]

_PRONOUN: Final = re.compile(r"^(?:He|She|It|They) (?:also |later |then |first |originally )?")
#: ``After his career, he served …``: the phrase before is left out.
_LATE_PRONOUN: Final = re.compile(r"^[A-Z][^,]{4,90}, (?:he|she|it|they) (?:also |later |then |first )?")
_ADVERB: Final = re.compile(r"^(?:also|later|then|first|originally|currently|now|today|still|officially|subsequently) ")
_DEFINES: Final = re.compile(
    r"^(is|was|are|were) (?:(an?|the) |one of (?:the )?(?:\w+ )??(?:largest|most|best|first|oldest) )(.+)$"
)
_KIND_STOPS: Final = re.compile(
    r"\s(?:of|in|on|at|by|for|from|with|who|whom|whose|which|that|where|when|between|near|to|and|or|as|held|set|about|"
    r"based|located|situated|written|directed|born|made|founded|formed|used|known|starring|featuring|through|off|during|"
    r"under|over|within|whether|published|released|produced|created|developed|built|\w+ed by)\b|[,;:]|"
    r"\s\w+(?:ed|ing)(?= (?:in|on|by|with|as|to|from|at|for|of|into)\b|$)"
)
_SUPERLATIVE: Final = re.compile(
    r"(?i)\b(?:\w{3,}est|most|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|only|current|former|main|same|largest)\b"
)
_REDUCED: Final = re.compile(
    r"(?<!\bwas)(?<!\bis)(?<!\bwere)(?<!\bare)(?<!\bbeen)(?<!\bbe)\s((?:directed|written|created|composed|produced|recorded|performed|designed|built|founded|formed|established|"
    r"published|released|located|situated|based|born|owned|operated|developed|painted|discovered|hosted|held|found|made|"
    r"spoken|invented|printed|kept|completed|killed|adapted|edited|introduced|launched)\b(?: and \w+ed| and written)? .+|"
    r"starring .+)$"
)
#: Before these, a word in ``-s`` is a noun: ``breeds have``.
_BEHIND_NOUNS: Final = AUXILIARIES | {"has", "have", "had"}
_AND: Final = re.compile(r",? and (?:also |later |then |subsequently |first |originally )?(\w+)")
#: What stands behind a verb and not behind a noun; and what stands behind a verb as it does behind a noun.
_OBJECT: Final = re.compile(r" (?:(?:an?|the|its|their) |\d|[A-Z])")
_ADJUNCT: Final = re.compile(r" (?:in|on|at|by|from|into|over|with|for|about) ")
#: What a thing that is still there still is.
_LASTING: Final = frozenset(["located", "situated", "based", "owned", "operated", "held", "spoken", "kept"])
_PAST_TENSE: Final = {"is": "was", "are": "were"}
_RELATIVE: Final = re.compile(r",? (who|that|which) ((?:was|is|were|are|had|has|\w+ed|\w+) .+)$")
_SENTENCES_TO_DEFINE: Final = 2
_TAIL: Final = re.compile(r"[.!?;:,\s\"”]+$")
#: What a text calls its subject again.
_GENERAL: Final = tuple(f"The {noun}" for noun in sorted(GENERAL_NOUNS))
_KIND_NAMES: Final = {"capital": "capital city", "seat": "city", "capital and largest city": "capital city"}


@frozen(kw_only=True)
class Kind:
    """What a thing is: ``1974 British film``; ``head`` is its noun."""

    phrase: str
    head: str
    is_person: bool
    is_place: bool

    @property
    def relative(self) -> str:
        """Who, or that."""
        return "who" if self.is_person else "that"


@frozen(kw_only=True)
class Clause:
    """Something that is said of the subject: ``was born in Ulm in 1879``, and the sentence that says it."""

    phrase: str
    sentence: str


@frozen(kw_only=True)
class Told:
    """What a text tells of its subject."""

    kind: Kind | None  #: None where its first sentences do not say what it is
    clauses: tuple[Clause, ...]


def told_of(name: str, sentences: Iterable[str], *, plain: Callable[[str], str] = without_asides) -> Told:
    """What sentences tell of a subject.

    Args:
        name: the subject, as the text calls it; ``it`` and ``the bridge`` are understood too.
        sentences: the text's sentences in order, verbatim.
        plain: takes from a sentence what is no part of its grammar, such as asides and markup.
    """
    found: list[Clause] = []
    kind: Kind | None = None
    follows = False
    for number, sentence in enumerate(sentences):
        phrase = _verb_phrase(_TAIL.sub("", plain(sentence)), name, kind, first=number == 0, follows=follows)
        follows = phrase is not None
        if phrase is None:
            continue
        if kind is None and (number < _SENTENCES_TO_DEFINE or not found):
            kind = _kind(phrase)
        found += [Clause(phrase=piece, sentence=sentence) for piece in _pieces(phrase)]
    return Told(kind=kind, clauses=tuple(found))


def _verb_phrase(plain: str, name: str, kind: Kind | None, *, first: bool, follows: bool) -> str | None:
    """What follows the subject, if the sentence begins with its subject."""
    bare = plain.lstrip("\"“'")
    for start in _subjects(name, kind):
        if bare.startswith(start):
            rest = bare[len(start) :].lstrip("\"”'")
            phrase = _finite(rest)
            if phrase is not None:
                return phrase
    if follows and (pronoun := _PRONOUN.match(plain) or _LATE_PRONOUN.match(plain)):
        return _finite(" " + plain[pronoun.end() :])
    if first:
        # the full form of the name: ``Robert Childers Barton was …``
        found = re.match(r"^(.{3,120}?)[\"”]?,? ((?:is|was|are|were) (?:an?|the|one) .+)$", plain)
        if found and _same_name(found[1], name):
            return found[2]
        apposition = re.match(r"^(.{3,80}?), (an? [A-Za-z].+)$", plain)
        if apposition and _same_name(apposition[1], name):
            return f"is {apposition[2]}"
    return None


def _subjects(name: str, kind: Kind | None) -> list[str]:
    starts = [name, f"The {name}"]
    words = name.split()
    if "," in name:
        starts.append(name.partition(",")[0])
    if kind is not None:
        if kind.is_person and 2 <= len(words) <= 4 and words[-1][0].isupper() and not words[-1].endswith("."):
            starts.append(words[-1])
        starts.append(f"The {kind.head}")
    if kind is None or not kind.is_person:
        starts += _GENERAL
    return starts


def _finite(rest: str) -> str | None:
    if not rest.startswith((" ", ",")):
        return None
    if rest.startswith(","):
        aside = re.match(r"^, [^,]{2,80}, (?=[a-z])", rest)
        if aside is None:
            return None
        rest = " " + rest[aside.end() :]
    phrase = _ADVERB.sub("", rest.strip())
    if phrase.startswith(("guest stars ", "guest-stars ")):
        return f"stars {phrase[12:]}"
    verb, _, after = phrase.partition(" ")
    is_verb = is_finite(verb) or (may_be_finite(verb) and after.partition(" ")[0] not in _BEHIND_NOUNS)
    return phrase if is_verb else None


def _same_name(full: str, name: str) -> bool:
    have = [
        word for word in re.findall(r"\w+", full.partition(", ")[0].casefold()) if word not in ("jr", "sr", "ii", "iii")
    ]
    want = re.findall(r"\w+", name.casefold())
    if len(have) > 10 or not want:
        return False
    return set(want) <= set(have) or (len(want) > 1 and want[-1] == have[-1])


def _kind(phrase: str) -> Kind | None:
    defines = _DEFINES.match(phrase)
    if defines is None:
        return None
    rest = defines[3]
    words = _kind_words(rest)
    words = [word for word in words if word.lower() not in ("very", "best-known", "so-called")]
    if not words or len(words) > 7:
        words = words[-2:]
    if not words or not words[-1].isascii() or words[-1][0].isdigit():
        return None
    head = words[-1].casefold()
    if head in EMPTY_KINDS or (not head.isalpha() and "-" not in head):
        return None
    if _SUPERLATIVE.search(" ".join(words)) or re.match(r"\d+(?:st|nd|rd|th)$", words[0]):
        words = words[-1:]
    text = " ".join(words)
    return Kind(
        phrase=_KIND_NAMES.get(text, text),
        head=words[-1],
        is_person=is_person_noun(head),
        is_place=is_place_noun(head),
    )


def _kind_words(rest: str) -> list[str]:
    stop = _KIND_STOPS.search(" " + rest, 1)
    words = (rest if stop is None else rest[: max(0, stop.start() - 1)]).strip(' "“”').split()
    if stop is None or stop[0] not in (" and", " or", ",") or not words or _says_what(words[-1]):
        return words
    # ``science fiction and fantasy author``, ``black, radioactive mineral``: the noun comes later
    more = _KIND_STOPS.search(" " + rest, stop.end())
    longer = (rest if more is None else rest[: max(0, more.start() - 1)]).strip(' "“”').split()
    if not longer or len(longer) > 7:
        return words
    if stop[0] == ",":
        added = longer[len(words) :]
        fits = bool(added) and added[-1].islower() and not is_function_word(added[0])
        return [word.rstrip(",") for word in longer] if fits else words
    return longer if _says_what(longer[-1]) else words


def _says_what(noun: str) -> bool:
    return is_person_noun(noun) or is_place_noun(noun) or noun.casefold() in CREATION


def _pieces(phrase: str) -> list[str]:
    """The phrase, taken apart into phrases that each stand by themselves after the subject."""
    verb = phrase.split(" ", 1)[0]
    found = [phrase]
    if verb in AUXILIARIES and _DEFINES.match(phrase):
        relative = _RELATIVE.search(phrase)
        reduced = _REDUCED.search(phrase)
        if relative and is_finite(relative[2].split(" ", 1)[0]) and _of_subject(phrase, relative):
            found = [phrase[: relative.start()], *_coordinated(relative[2])]
        elif reduced:
            said = reduced[1]
            head = phrase[: reduced.start()].rstrip(" ,")
            if said.startswith("starring "):
                found = [head, f"stars {said[9:]}"]
            else:
                tense = verb if _lasts(said.split(" ", 1)[0], head) else _PAST_TENSE.get(verb, verb)
                found = [head, *_coordinated(f"{tense} {said}")]
        else:
            found = _coordinated(phrase)
    else:
        found = _coordinated(phrase)
    tidy = (_TAIL.sub("", re.sub(r"^(is|was|are|were|has|had) also ", r"\1 ", piece.split("; ")[0])) for piece in found)
    return [piece for piece in tidy if len(piece.split()) >= 2]


def _lasts(participle: str, head: str) -> bool:
    """Whether something that is said to be done is done still: a lamp is made by a company, a film was made."""
    return participle in _LASTING or (participle == "made" and CREATION.keys().isdisjoint(head.split()))


def _of_subject(phrase: str, relative: re.Match[str]) -> bool:
    """Whether the relative clause is about the subject and not about a name right before it."""
    named = phrase[: relative.start()].split()[-1][0].isupper()
    return not (named and (relative[1] == "who" or relative[0].startswith(",")))


def _coordinated(phrase: str) -> list[str]:
    """``was born in A and died in B``: two phrases; a participle after ``and`` takes the auxiliary of the first."""
    found: list[str] = []
    auxiliary = phrase.split(" ", 1)[0]
    rest = phrase
    position = 0
    while stop := _AND.search(rest, position):
        word = stop[1]
        before = rest[: stop.start()]
        participle = auxiliary in AUXILIARIES and is_participle(word) and _passive(before)
        if (
            _begins_clause(before, word, rest[stop.end(1) :])
            and (word in AUXILIARIES or not participle)
            and not word[0].isupper()
        ):
            found.append(before)
            rest = rest[stop.start(1) :]
            auxiliary = word
            position = 0
        elif participle:
            found.append(before)
            rest = f"{auxiliary} {rest[stop.start(1) :]}"
            position = 0
        elif word == "starring":
            found.append(before)
            rest = "stars" + rest[stop.end(1) :]
            auxiliary, position = "stars", 0
        else:
            position = stop.end()
    return [*found, rest]


def _begins_clause(before: str, word: str, after: str) -> bool:
    """Whether the word behind an ``and`` is a verb: ``rooms and receives 20 guests``, not ``references and characters in``."""
    if is_finite(word) or not may_be_finite(word):
        return is_finite(word)
    return bool(_OBJECT.match(after) or (_ADJUNCT.match(after) and not before.endswith("s")))


def _passive(phrase: str) -> bool:
    words = phrase.split()
    return len(words) > 1 and words[0] in AUXILIARIES and is_participle(words[1])
