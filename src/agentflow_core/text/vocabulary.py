"""Lists of English words: those with grammar and no content, those that begin a request, those too common to link texts."""

from __future__ import annotations

__all__ = ["COMMON_NAMES", "FUNCTION_WORDS", "NAME_CONNECTORS", "NUMBER_WORDS", "REQUESTS"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words with grammar and no content.
FUNCTION_WORDS = _words(
    """
    a about above after again against all also am among an and any are as at be because been before being below between
    both but by can could did do does doing down during each either else ever every few for from further had has have
    having he her here hers him his how however i if in into is it its itself just let many may me might more most much
    must my neither no nor not now of off on once one only or other our out over own per same she should since so some
    such than that the their them then there these they this those though through thus to too under until up upon us
    very was we were what when where whether which while who whom whose why will with within without would yes yet you
    your aside besides according following given two three first second
    """
)
#: Words that begin a request; at the start of a sentence their capital means nothing.
REQUESTS = _words(
    """
    add answer calculate choose classify compare compute convert count create describe determine estimate evaluate
    explain express extract fetch fill find fix get give identify implement list locate look make measure name order
    output pick please print produce provide query rank read report retrieve return run say search select show sort
    specify state summarize suppose tell translate use using verify what work write
    """
)
#: Capitalised words that stand in so many texts that they tie nothing together.
COMMON_NAMES = _words(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday american british english french german italian spanish european canadian australian
    japanese chinese indian russian irish scottish dutch mexican latin greek jewish christian north south east west
    northern southern eastern western world international national new united states u.s uk us i mr mrs ms dr jr sr st
    inc ltd co corp doc_id title
    """
)
#: Words that join two capitalised words to one name. ``and`` and ``in`` join two names as often.
NAME_CONNECTORS = _words("of the de la le du des del della da di van von der den el al bin ibn y")
#: Words that say a number.
NUMBER_WORDS = _words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion once twice
    """
)
