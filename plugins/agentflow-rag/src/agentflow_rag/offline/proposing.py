"""Explore a corpus from a seed: search it, read what names it, and follow names to their own documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.policies import calls_on_path, untaken
from agentflow_core.prose import base_title, mentions_name, name_key
from agentflow_core.records import Action
from agentflow_rag.offline.names import salient_names
from agentflow_rag.offline.reading import FIND, GET, SEARCH, Seen, TextRead, seen_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.records import ProposeInputs

__all__ = ["propose"]

_FIRST_HITS = 10
_SHORT = 100  #: characters of a snippet in the first search: who it is, not the whole story
_NAMES_AT_ONCE = 10
_LEFT_FOR_OWN = 2


def propose(inputs: ProposeInputs) -> list[Action]:
    """Up to ``inputs.k`` different actions that are not taken and that the offered tools allow, best first."""
    names_taken = {
        name_key(str(name))
        for action in inputs.taken
        for name in (action.params.get("query"), *(action.params.get("queries") or ()))
        if name
    }
    return untaken(_wishes(inputs, names_taken), inputs)


def _wishes(inputs: ProposeInputs, names_taken: set[str]) -> Iterator[Action]:
    topic = base_title(inputs.seed.content.strip())
    seen = seen_of(calls_on_path(inputs.path))
    if not seen.queries:
        yield from _begin(topic)
    yield from _follow_hits(seen, topic)
    yield from _look_names_up(seen, topic, names_taken)
    yield from _read_on(seen, topic)
    yield from _begin(topic)
    if seen.read:
        last = seen.read[-1]
        yield Action(tool=FIND, params={"pattern": last.name}, intent=f"Find what else mentions {last.name}.")


def _begin(topic: str) -> Iterator[Action]:
    yield Action(
        tool=SEARCH,
        params={"query": topic, "k": _FIRST_HITS, "snippet_chars": _SHORT},
        intent=f"Find documents about {topic}.",
    )
    yield Action(tool=FIND, params={"pattern": topic}, intent=f"Find documents that mention {topic}.")


def _follow_hits(seen: Seen, topic: str) -> Iterator[Action]:
    """Documents to read, best first: the topic's own, those that what was read names, those that name what was read.

    The documents that name the topic are left for the path that reads the topic's own document, for two documents make
    a question only when one path has read both.
    """
    own = _own(seen, topic)
    has_own = any(seen.has_read(doc_id) for doc_id in own)
    if own and not seen.read:
        yield from (_read(doc_id, seen.hits[doc_id]) for doc_id in own)
    left = _left(seen, topic, own)
    unread = {doc_id: title for doc_id, title in seen.hits.items() if not seen.has_read(doc_id) and doc_id not in left}
    names = [topic, *(text.name for text in seen.read)] if has_own else [text.name for text in seen.read]
    naming = [
        doc_id
        for doc_id, title in unread.items()
        if any(mentions_name(name, seen.snippets.get(doc_id, "").replace(base_title(title), "")) for name in names)
    ]
    if not own:
        naming += _naming(seen, topic, own)
    for doc_id in dict.fromkeys((*_named_in(seen.read, unread), *naming)):
        if doc_id in unread and doc_id not in own:
            yield _read(doc_id, unread[doc_id])


def _own(seen: Seen, topic: str) -> list[str]:
    return [doc_id for doc_id, title in seen.hits.items() if name_key(base_title(title)) == name_key(topic)]


def _left(seen: Seen, topic: str, own: list[str]) -> list[str]:
    """What is left for the path that reads the topic's own document; nothing on that path itself.

    A path that began with finding mentions may not have seen the topic's own document; the one that searched has.
    """
    if any(seen.has_read(doc_id) for doc_id in own) or (not own and seen.tools[:1] != [FIND]):
        return []
    return _naming(seen, topic, own)[:_LEFT_FOR_OWN]


def _naming(seen: Seen, topic: str, own: list[str]) -> list[str]:
    """Documents whose snippets name the topic, otherwise than in their own name, in the order of being seen."""
    return [
        doc_id
        for doc_id, title in seen.hits.items()
        if doc_id not in own and mentions_name(topic, seen.snippets.get(doc_id, "").replace(base_title(title), ""))
    ]


def _named_in(read: list[TextRead], unread: dict[str, str]) -> list[str]:
    """Unread documents whose names stand in the texts that were read, the last text first, in order of mention."""
    found: list[tuple[int, int, str]] = []
    for age, text in enumerate(reversed(read)):
        for doc_id, title in unread.items():
            name = base_title(title)
            if len(name) > 3 and name_key(name) != name_key(text.name) and mentions_name(name, text.text):
                found.append((age, text.text.find(name), doc_id))
    return [doc_id for *_, doc_id in sorted(found)]


def _look_names_up(seen: Seen, topic: str, names_taken: set[str]) -> Iterator[Action]:
    """Search the names of what was read that were not searched yet: which have a document of their own?"""
    known = set(seen.by_name()) | names_taken | {name_key(topic)}
    for text in reversed(seen.read):
        names = [name for name in salient_names(text.text) if name_key(name) not in known and name != text.name]
        names = names[:_NAMES_AT_ONCE]
        if len(names) > 1:
            yield Action(
                tool=SEARCH,
                params={"queries": names, "k": 2, "snippet_chars": 0},
                intent=f"See which names in {text.name} have documents of their own.",
            )
        for name in names:
            yield Action(
                tool=SEARCH,
                params={"query": name, "k": 3, "snippet_chars": _SHORT},
                intent=f"Find out more about {name}, which {text.name} mentions.",
            )


def _read_on(seen: Seen, topic: str) -> Iterator[Action]:
    """Hits that nothing spoke for, those of the last search first."""
    own = _own(seen, topic)
    left = _left(seen, topic, own)
    for doc_id in dict.fromkeys((*seen.last_hits, *seen.hits)):
        if not seen.has_read(doc_id) and doc_id not in left:
            yield _read(doc_id, seen.hits[doc_id])


def _read(doc_id: str, title: str) -> Action:
    return Action(tool=GET, params={"doc_id": doc_id}, intent=f"Read about {base_title(title)}.")
