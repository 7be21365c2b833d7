"""The forms of English verbs that the rules know."""

from __future__ import annotations

import re
from typing import Final

from agentflow_core.prose.vocabulary import REGULAR_VERBS, THIRD_PERSONS

__all__ = [
    "AUXILIARIES",
    "base_form",
    "is_finite",
    "is_participle",
    "may_be_finite",
    "past_form",
]

AUXILIARIES: Final = frozenset({"is", "was", "are", "were"})
#: past form: base form, past participle where it differs from the past
_IRREGULAR: Final = {
    "became": ("become", "become"), "began": ("begin", "begun"), "bore": ("bear", "borne"), "bought": ("buy", "bought"),
    "brought": ("bring", "brought"), "built": ("build", "built"), "came": ("come", "come"), "chose": ("choose", "chosen"),
    "drew": ("draw", "drawn"), "fell": ("fall", "fallen"), "felt": ("feel", "felt"), "found": ("find", "found"),
    "fought": ("fight", "fought"), "gave": ("give", "given"), "grew": ("grow", "grown"), "held": ("hold", "held"),
    "kept": ("keep", "kept"), "knew": ("know", "known"), "led": ("lead", "led"), "left": ("leave", "left"),
    "lost": ("lose", "lost"), "made": ("make", "made"), "met": ("meet", "met"), "ran": ("run", "run"),
    "rose": ("rise", "risen"), "said": ("say", "said"), "sang": ("sing", "sung"), "saw": ("see", "seen"),
    "sent": ("send", "sent"), "set": ("set", "set"), "sold": ("sell", "sold"), "spent": ("spend", "spent"),
    "spoke": ("speak", "spoken"), "stood": ("stand", "stood"), "struck": ("strike", "struck"), "sank": ("sink", "sunk"),
    "taught": ("teach", "taught"), "thought": ("think", "thought"), "told": ("tell", "told"), "took": ("take", "taken"),
    "went": ("go", "gone"), "won": ("win", "won"), "wore": ("wear", "worn"), "wrote": ("write", "written"),
    "lay": ("lie", "lain"), "flew": ("fly", "flown"), "drove": ("drive", "driven"), "swam": ("swim", "swum"),
}  # fmt: skip
_PARTICIPLE_TO_PAST: Final = {participle: past for past, (_, participle) in _IRREGULAR.items()}
_NOT_PAST: Final = frozenset({"united", "red", "hundred", "indeed", "seed", "bed", "speed", "sacred", "need", "embed"})
_THIRD_PERSON: Final = re.compile(r"[a-z]{2,}s")
#: Words in ``-s`` that are no third person, and endings that are none.
_NOT_THIRD_PERSON: Final = frozenset(
    {"its", "hers", "ours", "theirs", "always", "perhaps", "besides", "towards", "does"}
)
_NOT_THIRD_PERSON_ENDINGS: Final = ("ss", "is", "us", "ics")


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb}d"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ied"
    if verb in ("plan", "star"):
        return f"{verb}{verb[-1]}ed"
    return f"{verb}ed"


_BASE: Final = {_past(verb): verb for verb in REGULAR_VERBS} | {past: base for past, (base, _) in _IRREGULAR.items()}


def base_form(past: str) -> str | None:
    """``write`` for ``wrote``, where the form is known."""
    return _BASE.get(past)


def past_form(participle: str) -> str | None:
    """``wrote`` for ``written``; a regular form is its own past."""
    if participle in _PARTICIPLE_TO_PAST:
        return _PARTICIPLE_TO_PAST[participle]
    return participle if is_participle(participle) else None


def is_participle(word: str) -> bool:
    """Whether the word can follow ``was``, as in ``was built``."""
    return word in _PARTICIPLE_TO_PAST or _is_regular_past(word)


def is_finite(word: str) -> bool:
    """Whether the word is known to begin a verb phrase after its subject."""
    return word in AUXILIARIES or word in THIRD_PERSONS or word in _BASE or word == "had" or _is_regular_past(word)


def may_be_finite(word: str) -> bool:
    """Whether the word begins a verb phrase if it stands where one begins, for all that its form tells: ``guards``."""
    if is_finite(word) or word == "have":
        return True
    if word in _NOT_THIRD_PERSON or word.endswith(_NOT_THIRD_PERSON_ENDINGS):
        return False
    return _THIRD_PERSON.fullmatch(word) is not None


def _is_regular_past(word: str) -> bool:
    return len(word) > 4 and word.endswith("ed") and word not in _NOT_PAST
