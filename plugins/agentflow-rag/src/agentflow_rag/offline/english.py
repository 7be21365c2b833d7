"""The English that the rules know: verb forms, nouns for people and places, and what a noun is made by."""

from __future__ import annotations

import re

__all__ = [
    "AUXILIARIES",
    "CREATION",
    "MAKERS",
    "PREPOSITIONS",
    "WORKS",
    "base_form",
    "is_finite",
    "is_participle",
    "is_person_noun",
    "is_place_noun",
    "past_form",
]

AUXILIARIES = frozenset({"is", "was", "are", "were"})
PREPOSITIONS = frozenset(
    "at by for from in into near off on onto over through to under upon with within across along around between "
    "against after behind below beside".split()
)
#: past form: base form, past participle where it differs from the past
_IRREGULAR = {
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
_PARTICIPLE_TO_PAST = {participle: past for past, (_, participle) in _IRREGULAR.items()}
_REGULAR = (
    "abandon add adopt air announce appear arrange arrive assassinate attend award base bury calculate capture carve "
    "celebrate change climb co-found collaborate collect command commission compete complete compose conclude conduct "
    "conquer construct contain coin cover create cross crown debut decide dedicate defeat demonstrate describe design "
    "develop dictate die direct discover dominate edit employ end enter establish execute explore export family feature "
    "finish form found gain graduate help host illustrate introduce invade invent isolate issue join kill land last "
    "launch live lose manage marry measure merge move name narrate observe occupy obtain open operate organize own paint patent "
    "perform pioneer plan plant play predict prepare premiere produce promote propose prove publish purchase reach "
    "receive recognize record reign release rename renovate represent reside retire return reveal rule sail score serve "
    "settle sign solve star start study succeed supervise survive train translate travel use visit voice work"
).split()


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb}d"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ied"
    if verb in ("plan", "star"):
        return f"{verb}{verb[-1]}ed"
    return f"{verb}ed"


_BASE = {_past(verb): verb for verb in _REGULAR} | {past: base for past, (base, _) in _IRREGULAR.items()}
_PRESENT = frozenset(
    "begins belongs borders carries comes comprises connects consists contains covers crosses empties ends features "
    "flows forms grows hangs has holds houses includes joins leaves lies links lives measures meets occupies overlooks "
    "passes plays produces reaches represents rises runs serves shows sits spans stands stars takes tells works".split()
)
_NOT_VERBS = frozenset({"united", "red", "hundred", "indeed", "seed", "bed", "speed", "sacred", "need", "embed"})
_PERSON = frozenset(
    "man woman king queen emperor empress prince princess duke poet chemist physicist architect president politician "
    "athlete chef critic guard host judge knight monk nun pilot pope priest saint scientist spy star tsar violinist "
    "wife husband actress governor senator congressman businessman businesswoman statesman nobleman noblewoman clergyman "
    "footballer cricketer quarterback boxer model activist feminist diplomat aristocrat midfielder goalkeeper defender "
    "vice-president general admiral colonel captain drummer bassist guitarist vocalist producer officer leader "
    "ace aviator entrepreneur magician comedian mathematician musician historian physician politician librarian "
    "technician tactician theologian singer-songwriter".split()
)
_PERSON_ENDINGS = ("ist", "or", "er", "ian", "eer", "woman", "man", "grapher", "ologist")
_NOT_PERSONS = frozenset(
    "river theater theatre center computer newspaper tower letter number order chapter paper water power layer cluster "
    "motor corridor harbor harbour factor sector error minor major interior exterior transistor tractor reactor motor "
    "flower border quarter master poster folder charter meter member thriller killer fighter bomber cruiser carrier "
    "user server router tracker container helicopter sister brother other chamber summer winter dinner supper laser "
    "conifer skyscraper glacier crater geyser tributary spider tiger beaver cover river-power trailer soccer cancer register".split()
) - {"sister", "brother"}
_PLACE = frozenset(
    "city town village country state province county region island capital municipality district borough suburb "
    "settlement hamlet parish territory kingdom republic empire colony continent commune seat port neighborhood "
    "neighbourhood community township peninsula archipelago park valley mountain volcano range lake sea ocean "
    "university college school museum church cathedral castle palace theatre theater hospital airport station "
    "building house hotel hall abbey monastery observatory library stadium arena".split()
)
#: What somebody did by whom a thing is: ``a novel by X`` was written by X.
CREATION = {
    "novel": "wrote", "novella": "wrote", "book": "wrote", "poem": "wrote", "play": "wrote", "story": "wrote",
    "trilogy": "wrote", "comedy": "wrote", "tragedy": "wrote", "epic": "wrote", "essay": "wrote", "memoir": "wrote",
    "opera": "wrote", "symphony": "wrote", "oratorio": "wrote", "ballet": "wrote", "concerto": "wrote",
    "quintet": "wrote", "waltz": "wrote", "suite": "wrote", "cantata": "wrote", "overture": "wrote",
    "painting": "painted", "portrait": "painted", "fresco": "painted", "sculpture": "made", "statue": "made",
    "song": "recorded", "single": "recorded", "album": "recorded", "film": "made", "documentary": "made",
    "series": "created", "manga": "created", "comic": "created", "soundtrack": "recorded", "ballad": "recorded",
    "track": "recorded", "score": "composed", "aria": "composed", "EP": "recorded",
}  # fmt: skip
#: Sorts of works: a noun of one does not name a thing of another.
WORKS = (
    frozenset({"song", "single", "track", "ballad", "aria", "hit"}),
    frozenset({"album", "ep", "soundtrack", "compilation", "lp"}),
    frozenset({"film", "movie", "drama", "featurette", "documentary", "series", "comedy", "thriller", "episode", "show"}),
    frozenset({"novel", "novella", "book", "poem", "trilogy", "memoir", "biography"}),
)
#: What is not a person and makes such things all the same.
MAKERS = frozenset({"band", "group", "duo", "trio", "orchestra", "company", "studio", "publisher", "act", "quartet"}) | frozenset(
    {"organization", "organisation", "university", "agency", "government", "label", "corporation", "team", "boyband"}
)


def base_form(past: str) -> str | None:
    """``write`` for ``wrote``, where the form is known."""
    return _BASE.get(past)


def past_form(participle: str) -> str | None:
    """``wrote`` for ``written``; a regular form is its own past."""
    if participle in _PARTICIPLE_TO_PAST:
        return _PARTICIPLE_TO_PAST[participle]
    return participle if is_participle(participle) else None


def is_participle(word: str) -> bool:
    """Can the word follow ``was``, as in ``was built``?"""
    if word in _PARTICIPLE_TO_PAST:
        return True
    return len(word) > 4 and word.endswith("ed") and word not in _NOT_VERBS


def is_finite(word: str) -> bool:
    """Can the word begin a verb phrase after its subject?"""
    return (
        word in AUXILIARIES
        or word in _PRESENT
        or word in _BASE
        or word == "had"
        or (len(word) > 4 and word.endswith("ed") and word not in _NOT_VERBS)
    )


def is_person_noun(noun: str) -> bool:
    """Does the noun name a person by what they do?"""
    word = noun.casefold()
    if word in _PERSON:
        return True
    return len(word) > 4 and word.endswith(_PERSON_ENDINGS) and word not in _NOT_PERSONS


def is_place_noun(noun: str) -> bool:
    """Does the noun name a place one can be born, live or lie in?"""
    return noun.casefold() in _PLACE
