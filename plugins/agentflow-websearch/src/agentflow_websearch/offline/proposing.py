"""Explore the web from a seed: search it, open what is about it, follow the links that a page's statements make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.policies import calls_on_path, untaken
from agentflow_core.prose import mentions_name, name_key
from agentflow_core.records import Action
from agentflow_core.text import canonical_url, contains, proper_names, tokens
from agentflow_websearch.offline.pages import name_of, seen_of
from agentflow_websearch.offline.portraits import plain, portrait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.records import ProposeInputs
    from agentflow_websearch.offline.pages import Page, Seen

__all__ = ["followed", "propose"]

_SEARCH = "web:search"
_VISIT = "web:visit"
_FIND = "web:find"
_NUM = 8
_NAMES_AT_ONCE = 3
_LIST = 8  #: links in one sentence that make it a list, which says little of each


def propose(inputs: ProposeInputs) -> list[Action]:
    """Up to ``inputs.k`` different actions that are not taken and that the offered tools allow, best first."""
    return untaken(_wishes(inputs), inputs)


def _wishes(inputs: ProposeInputs) -> Iterator[Action]:
    topic = inputs.seed.content.strip()
    seen = seen_of(calls_on_path(inputs.path))
    if not seen.queries and not seen.pages:
        yield _search(topic, f"Find pages about {topic}.")
    yield from _own(seen, topic)
    for page in reversed(seen.pages):
        if not page.is_whole and name_key(page.name) != name_key(topic):
            yield _find(page, topic)
        yield from _follow(seen, page)
    yield from _results(seen)
    for page in reversed(seen.pages):
        yield from _look_up(seen, page)
    yield _search(topic, f"Find pages about {topic}.")
    yield Action(
        tool=_SEARCH, params={"query": topic, "num": _NUM, "page": 2}, intent=f"Find more pages about {topic}."
    )
    for page in reversed(seen.pages):
        if page.links:
            yield _find(page, topic)


def _search(query: str, intent: str) -> Action:
    return Action(tool=_SEARCH, params={"query": query, "num": _NUM}, intent=intent)


def _visit(url: str, name: str, why: str = "") -> Action:
    return Action(tool=_VISIT, params={"url": url}, intent=f"Read about {name}{why}.")


def _find(page: Page, topic: str) -> Action:
    return Action(tool=_FIND, params={"url": page.key, "pattern": topic}, intent=f"Find {topic} in {page.name}.")


def _own(seen: Seen, topic: str) -> Iterator[Action]:
    """The results that are named like the seed, then those whose names stand in it."""
    about = sorted(
        (hit for hit in seen.hits.values() if not seen.was_visited(hit.url)),
        key=lambda hit: name_key(name_of(hit.title)) != name_key(topic),
    )
    for hit in about:
        if contains(tokens(topic), tokens(name_of(hit.title))):
            yield _visit(hit.url, name_of(hit.title))


def _follow(seen: Seen, page: Page) -> Iterator[Action]:
    """The links of a page, those first that stand in what it says of its subject."""
    for text, url in followed(page):
        if not seen.was_visited(url):
            yield _visit(url, text, f", which {page.name} links to")


def followed(page: Page) -> list[tuple[str, str]]:
    """The links whose texts stand in the page's prose: in statements on its subject, in other sentences, in lists."""
    about = [clause.sentence for clause in portrait(page).clauses]
    said = portrait(page).sentences
    ranked: list[tuple[int, int, str, str]] = []
    for place, (text, url) in enumerate(page.links):
        if len(text) < 3 or not text[0].isupper() or canonical_url(url) == canonical_url(page.key):
            continue
        holding = [sentence for sentence in said if mentions_name(text, plain(sentence))]
        if not holding:
            continue
        many = min(sum(mentions_name(other, plain(sentence)) for other, _ in page.links) for sentence in holding)
        rank = 2 if many >= _LIST else 0 if any(sentence in about for sentence in holding) and many < _LIST // 2 else 1
        ranked.append((rank, place, text, url))
    return [(text, url) for _, _, text, url in sorted(ranked)]


def _results(seen: Seen) -> Iterator[Action]:
    """Results that were not read, those first that a page which was read names."""
    unread = [hit for hit in seen.hits.values() if not seen.was_visited(hit.url)]
    named = [hit for hit in unread if any(mentions_name(name_of(hit.title), page.text) for page in seen.pages)]
    for hit in dict.fromkeys((*named, *unread)):
        yield _visit(hit.url, name_of(hit.title))


def _look_up(seen: Seen, page: Page) -> Iterator[Action]:
    """Search the names in a text that has no links."""
    if page.links:
        return
    known = {name_key(query) for query in seen.queries} | {name_key(page.name)}
    names = [name for name in proper_names(page.text) if name_key(name) not in known and len(name) > 3]
    for name in list(dict.fromkeys(names))[:_NAMES_AT_ONCE]:
        yield _search(name, f"Find out more about {name}, which {page.name} mentions.")
