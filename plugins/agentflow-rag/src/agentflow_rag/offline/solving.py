"""Answer a question with searches: look the question and its names up, read, follow a name further, answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.interfaces import Move
from agentflow_core.policies import calls_in_steps, undone
from agentflow_core.prose import base_title, content_words, mentions_name, name_key, sentences
from agentflow_core.records import Action
from agentflow_rag.offline.answering import answer
from agentflow_rag.offline.names import salient_names
from agentflow_rag.offline.reading import GET, SEARCH, Seen, seen_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.records import SolveInputs

__all__ = ["solve"]

_READ_AT_ONCE = 4
_READ_MOST = 12
_NAMES_AT_ONCE = 8
_SURE = 0.9
_QUERY_CHARS = 2000


def solve(inputs: SolveInputs) -> Move:
    """The next calls, or the answer; on the last turn always an answer."""
    seen = seen_of(calls_in_steps(inputs.steps))
    best = answer(inputs.question, seen.read)
    is_last = inputs.turn >= inputs.max_turns - 1
    sure = best.confidence >= _SURE and len(seen.read) > 1
    if not is_last and not sure:
        actions = undone(_next(inputs.question, seen), inputs)
        if actions:
            return Move(actions=tuple(actions[:_READ_AT_ONCE]), reasoning=actions[0].intent)
    if best.text:
        because = f"Because: {best.because}" if best.because else ""
        return Move(answer=best.text, confidence=best.confidence, reasoning=because)
    return Move(answer=next((base_title(title) for title in seen.hits.values()), None), confidence=0.05)


def _next(question: str, seen: Seen) -> list[Action]:
    """What to do now: begin, read what was found, then follow the names in the sentences that fit best."""
    if not seen.queries:
        return list(_begin(question))
    reading = list(_to_read(question, seen))
    if reading and len(seen.read) < _READ_MOST and (not seen.read or seen.last_hits):
        return reading
    return list(_follow(question, seen)) or reading


def _begin(question: str) -> Iterator[Action]:
    text = question[:_QUERY_CHARS]
    yield Action(tool=SEARCH, params={"query": text, "k": 8, "snippet_chars": 160}, intent="Search for the question.")
    names = salient_names(question)[:_NAMES_AT_ONCE]
    if len(names) > 1:
        yield Action(
            tool=SEARCH, params={"queries": names, "k": 2, "snippet_chars": 0}, intent="Search for each name in it."
        )
    elif names:
        yield Action(tool=SEARCH, params={"query": names[0], "k": 4, "snippet_chars": 0}, intent="Search for its name.")


def _to_read(question: str, seen: Seen) -> Iterator[Action]:
    """Unread hits: named in the question, then named in what was read, then by rank."""
    unread = [doc_id for doc_id in seen.hits if not seen.has_read(doc_id)]
    in_question = [doc_id for doc_id in unread if mentions_name(base_title(seen.hits[doc_id]), question)]
    in_texts = [
        doc_id
        for doc_id in unread
        if any(mentions_name(base_title(seen.hits[doc_id]), text.text) for text in seen.read)
    ]
    ranked = [] if GET in seen.tools else unread[:_READ_AT_ONCE]
    for doc_id in dict.fromkeys((*in_question, *in_texts, *ranked)):
        yield Action(tool=GET, params={"doc_id": doc_id}, intent=f"Read about {base_title(seen.hits[doc_id])}.")


def _follow(question: str, seen: Seen) -> Iterator[Action]:
    """Look up the names of the sentences that share most with the question and are not known yet."""
    asked = set(content_words(question))
    known = {name_key(query) for query in seen.queries} | set(seen.by_name())
    rows = [
        (len(asked & set(content_words(sentence))), sentence) for text in seen.read for sentence in sentences(text.text)
    ]
    best = [sentence for _, sentence in sorted(rows, key=lambda row: -row[0])[:4]]
    names = [name for sentence in best for name in salient_names(sentence) if name_key(name) not in known]
    names = list(dict.fromkeys(names))[:_NAMES_AT_ONCE]
    if len(names) > 1:
        intent = "See what is known of the names that the best sentences mention."
        yield Action(tool=SEARCH, params={"queries": names, "k": 1, "snippet_chars": 0}, intent=intent)
    elif names:
        yield Action(
            tool=SEARCH, params={"query": names[0], "k": 2, "snippet_chars": 0}, intent=f"Search for {names[0]}."
        )
