"""Take a page's prose apart: its sentences, what they say of the page's subject, and what that subject is."""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from agentflow_core.text import is_function_word, normalize
from agentflow_websearch.offline.pages import Page

__all__ = ["Kind", "Portrait", "Statement", "mentions_name", "name_key", "plain", "portrait", "sentences"]

_BREAK = re.compile(r"(?<=[.!?])([\"”’')\]]*)\s+(?=[\"“‘(\[]?[A-Z0-9À-ÖØ-Þ])|\n+")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Jr|Sr|St|Mt|No|vs|Dr|Mr|Mrs|Ms|Prof|Co|Inc|Ltd|ca|e\.g|i\.e|[A-Z]\.[A-Z])\.$"
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)")
_MARKUP = re.compile(r"^(?:#{1,6}|[-*+>]|\d+\.)\s+|\*\*|__|`")
_ASIDE = re.compile(r"\s*\([^()]*\)")
_END = re.compile(r"[.!?;:,\s]+$")
_ADVERB = re.compile(r"^(?:also|later|then|first|originally|currently|now|today|still|officially) ")
_DEFINES = re.compile(r"^(?:is|was|are|were) (?:an?|the|one of the) (?P<rest>.+)$")
_KIND_STOP = re.compile(
    r"[,;:]| (?:of|in|on|at|by|for|from|with|off|near|to|and|or|who|whose|which|that|where|between|over|through|\d)"
    r"(?![\w-])| (?:\w+ed|built|made|held|kept|sold|found|led|written|taken|known)(?= (?:in|on|at|by|for|from|with|to|as) )"
)
#: ``is a museum built in 1890`` says that it was built in 1890; what is based somewhere still is.
_REDUCED = re.compile(
    r" (?P<said>(?P<part>based|located|situated|held|kept|made|built|founded|designed|written|directed|published|invented|"
    r"discovered|painted|composed|created|produced|developed|owned|operated|launched) (?:in|on|at|by|near|for) .+)$"
)
_LASTING = frozenset({"based", "located", "situated", "held", "kept", "made", "owned", "operated"})
_AND = re.compile(
    r",? and (?=(?:is|was|are|were|has|had|[a-z]+ed|[a-z]+s|began|won|ran|led|made|built|wrote|held) "
    r"(?:a |an |the |its |in |on |at |by |from |into |over |with |for |about |known |held |\d|[A-Z]))"
)
_PARTICIPLE = re.compile(
    r"(?:[a-z]+ed|built|made|held|kept|sold|found|won|led|written|taken|given|known) (?:in|on|at|by|from|for|to) "
)
_VERB = re.compile(
    r"(?:is|was|are|were|has|had|have|[a-z]+ed|[a-z]{2,}s|began|won|ran|led|made|built|wrote|held|sank|rose|set|lay|took|came|went|gave)$"
)
_NOT_VERBS = frozenset(
    {"its", "this", "his", "hers", "ours", "theirs", "always", "perhaps", "across", "besides", "towards"}
)


@frozen(kw_only=True)
class Kind:
    """What a thing is: ``granite bridge``; ``head`` is its noun."""

    phrase: str
    head: str
    relative: str = "that"


@frozen(kw_only=True)
class Statement:
    """Something that is said of the subject: ``was built in 1904``, and the sentence that says it, verbatim."""

    phrase: str
    sentence: str


@frozen(kw_only=True)
class Portrait:
    """A page as the rules understand it."""

    page: Page
    name: str
    shown: str  #: the name as it stands within a sentence, with its article if it has one
    kind: Kind | None
    statements: tuple[Statement, ...]
    sentences: tuple[str, ...]

    @property
    def first(self) -> str:
        """The sentence that says what it is; nothing if there is none."""
        return self.statements[0].sentence if self.statements else ""


@lru_cache(maxsize=1024)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, verbatim; initials and common abbreviations end none."""
    found: list[str] = []
    start = 0
    for stop in _BREAK.finditer(text):
        end = stop.end(1) if stop.group(1) is not None else stop.start()
        piece = text[start:end]
        if stop.group(1) is not None and _ABBREVIATION.search(piece):
            continue
        found.append(piece.strip())
        start = stop.end()
    found.append(text[start:].strip())
    return tuple(piece for piece in found if piece)


@lru_cache(maxsize=4096)
def plain(sentence: str) -> str:
    """The sentence without links, emphasis and other marks of Markdown, and without what stands in brackets."""
    return " ".join(_ASIDE.sub("", _MARKUP.sub("", _LINK.sub(r"\1", sentence))).split())


@lru_cache(maxsize=4096)
def name_key(name: str) -> str:
    """What two spellings of one name share: case, punctuation and a leading article do not count."""
    words = re.sub(r"[^\w]+", " ", normalize(name)).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words)


@lru_cache(maxsize=4096)
def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?!\w|-\w)")


def mentions_name(name: str, text: str) -> bool:
    """Whether the name stands in the text, as whole words."""
    return bool(name) and name in text and _whole(name).search(text) is not None


@lru_cache(maxsize=512)
def portrait(page: Page) -> Portrait:
    """What the page says of its subject."""
    name = page.name
    found: list[Statement] = []
    kind: Kind | None = None
    follows = False
    every = sentences(page.text)
    for sentence in every:
        phrase = _verb_phrase(_END.sub("", plain(sentence)), name, kind, follows=follows)
        follows = phrase is not None
        if phrase is None:
            continue
        if kind is None and not found:
            kind = _kind(phrase, page.text)
        found += [Statement(phrase=piece, sentence=sentence) for piece in _pieces(phrase)]
    has_article = re.search(rf"(?<!\w)[Tt]he \[?{re.escape(name)}(?!\w| [A-Z])", page.text) and not name.startswith(
        "The "
    )
    return Portrait(
        page=page,
        name=name,
        shown=f"the {name}" if has_article else name,
        kind=kind,
        statements=tuple(found),
        sentences=every,
    )


def _verb_phrase(sentence: str, name: str, kind: Kind | None, *, follows: bool) -> str | None:
    """What follows the subject, if the sentence begins with the page's subject."""
    starts = [f"{name} ", f"The {name} "]
    if kind is not None:
        starts.append(f"The {kind.head} ")
    if follows:
        starts += ["It ", "They ", "He ", "She "]
    for start in starts:
        if sentence.startswith(start):
            phrase = _ADVERB.sub("", sentence[len(start) :].lstrip())
            verb = phrase.partition(" ")[0]
            if verb not in _NOT_VERBS and _VERB.match(verb):
                return phrase
    return None


def _kind(phrase: str, text: str) -> Kind | None:
    defines = _DEFINES.match(phrase)
    if defines is None:
        return None
    stop = _KIND_STOP.search(f" {defines['rest']}")
    words = (defines["rest"] if stop is None else defines["rest"][: max(0, stop.start() - 1)]).split()
    if not words or len(words) > 5 or not words[-1].isalpha() or is_function_word(words[-1]):
        return None
    is_person = re.search(r"(?:^|\. )(?:He|She) ", text) is not None
    return Kind(phrase=" ".join(words), head=words[-1], relative="who" if is_person else "that")


def _pieces(phrase: str) -> list[str]:
    """The phrase, taken apart into phrases that each stand by themselves after the subject."""
    found = []
    rest, verb = phrase, phrase.partition(" ")[0]
    while (stop := _AND.search(rest)) is not None:
        found.append(rest[: stop.start()])
        rest = rest[stop.end() :]
        if (
            verb in ("is", "was", "are", "were")
            and _PARTICIPLE.match(rest)
            and _PARTICIPLE.match(_after_verb(found[-1]))
        ):
            rest = f"{verb} {rest}"
        verb = rest.partition(" ")[0]
    found.append(rest)
    first = found[0]
    if _DEFINES.match(first) and (reduced := _REDUCED.search(first)) is not None:
        verb = first.partition(" ")[0]
        tense = verb if reduced["part"] in _LASTING else {"is": "was", "are": "were"}.get(verb, verb)
        found[:1] = [first[: reduced.start()], f"{tense} {reduced['said']}"]
    return [piece for piece in found if " " in piece]


def _after_verb(phrase: str) -> str:
    return f"{phrase.partition(' ')[2]} "
