"""Lists of English words: prepositions, verbs, nouns for people and places and for what makes works."""

from __future__ import annotations

__all__ = [
    "EMPTY_KINDS",
    "GENERAL_NOUNS",
    "MAKERS",
    "NOT_PERSONS",
    "PERSONS",
    "PLACES",
    "PREPOSITIONS",
    "REGULAR_VERBS",
    "THIRD_PERSONS",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Prepositions of place, time and company.
PREPOSITIONS = _words(
    """
    aboard at by for from in into near off on onto over through to under upon with within across along around between
    against after behind below beside
    """
)
#: Verbs with a past in ``-ed``.
REGULAR_VERBS = _words(
    """
    abandon add adopt air announce appear arrange arrive assassinate attend award base bury calculate capture carve
    celebrate change climb co-found collaborate collect command commission compete complete compose conclude conduct
    conquer construct contain coin cover create cross crown debut decide dedicate defeat demonstrate describe design
    develop dictate die direct discover dominate edit employ end enter establish execute explore export family feature
    finish form found gain graduate help host illustrate introduce invade invent isolate issue join kill land last
    launch live lose manage marry measure merge move name narrate observe occupy obtain open operate organize own
    paint patent perform pioneer plan plant play predict prepare premiere produce promote propose prove publish
    purchase reach receive recognize record reign release rename renovate represent reside retire return reveal rule
    sail score serve settle sign solve star start study succeed supervise survive train translate travel use visit
    voice work
    """
)
#: Forms of the third person that are seldom nouns behind a name.
THIRD_PERSONS = _words(
    """
    begins belongs borders carries comes comprises connects consists contains covers crosses empties ends features
    flows forms grows hangs has holds houses includes joins leaves lies links lives measures meets occupies overlooks
    passes plays produces reaches represents rises runs serves shows sits spans stands stars takes tells works
    """
)
#: Nouns for people.
PERSONS = _words(
    """
    man woman king queen emperor empress prince princess duke poet chemist physicist architect president politician
    athlete chef critic guard host judge knight monk nun pilot pope priest saint scientist spy star tsar violinist
    wife husband actress governor senator congressman businessman businesswoman statesman nobleman noblewoman
    clergyman footballer cricketer quarterback boxer model activist feminist diplomat aristocrat midfielder goalkeeper
    defender vice-president general admiral colonel captain drummer bassist guitarist vocalist producer officer leader
    ace aviator entrepreneur magician comedian mathematician musician historian physician librarian technician
    tactician theologian singer-songwriter
    """
)
#: Nouns with an ending of nouns for people that name none.
NOT_PERSONS = _words(
    """
    river theater theatre center computer newspaper tower letter number order chapter paper water power layer cluster
    motor corridor harbor harbour factor sector error minor major interior exterior transistor tractor reactor flower
    border quarter master poster folder charter meter member thriller killer fighter bomber cruiser carrier user
    server router tracker container helicopter other chamber summer winter dinner supper laser conifer skyscraper
    glacier crater geyser tributary spider tiger beaver cover river-power trailer soccer cancer register
    """
)
#: Nouns for places one can be born, live or lie in.
PLACES = _words(
    """
    city town village country state province county region island capital municipality district borough suburb
    settlement hamlet parish territory kingdom republic empire colony continent commune seat port neighborhood
    neighbourhood community township peninsula archipelago park valley mountain volcano range lake sea ocean
    university college school museum church cathedral castle palace theatre theater hospital airport station building
    house hotel hall abbey monastery observatory library stadium arena
    """
)
#: Nouns for what is not a person and makes works all the same.
MAKERS = _words(
    """
    act agency band boyband company corporation duo government group label orchestra organisation organization
    publisher quartet studio team trio university
    """
)
#: Words that are said of things but do not say what they are.
EMPTY_KINDS = _words(
    """
    one part north south east west mile name member kind type form piece set term example arm way result series'
    person thing practice office act reference couple pair number variety collection combination process means lot
    body use
    """
)
#: Nouns that a text calls its subject by again: ``the film``.
GENERAL_NOUNS = _words(
    """
    film movie album song single book novel series show episode band group company team aircraft ship game event
    festival tournament organization program award magazine newspaper building district school device
    """
)
