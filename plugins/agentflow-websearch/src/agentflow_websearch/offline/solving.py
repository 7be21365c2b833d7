"""Answer a question with searches and visits: look it and its names up, read, follow the links that fit, answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.interfaces import Move
from agentflow_core.policies import calls_in_steps, undone
from agentflow_core.prose import content_words, mentions_name, name_key
from agentflow_core.records import Action
from agentflow_core.text import is_function_word, proper_names, quoted, tokens
from agentflow_websearch.offline.answering import answer
from agentflow_websearch.offline.pages import name_of, seen_of
from agentflow_websearch.offline.portraits import plain, portrait
from agentflow_websearch.offline.proposing import followed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.records import SolveInputs
    from agentflow_websearch.offline.pages import Page, Seen

__all__ = ["solve"]

_SEARCH = "web:search"
_VISIT = "web:visit"
_FIND = "web:find"
_AT_ONCE = 3
_PAGES_MOST = 24
_NAMES_MOST = 5
_SURE = 0.9
_PER_HOP = 0.2
_FAR = 4
_QUERY_CHARS = 1000


def solve(inputs: SolveInputs) -> Move:
    """The next calls, or the answer; on the last turn always an answer."""
    seen = seen_of(calls_in_steps(inputs.steps))
    best = answer(inputs.question, seen.pages)
    is_last = inputs.turn >= inputs.max_turns - 1
    if not is_last and not (best.confidence >= _SURE and len(seen.pages) > 1):
        chosen = tuple(undone(_next(inputs.question, seen), inputs)[:_AT_ONCE])
        if chosen:
            return Move(actions=chosen, reasoning=chosen[0].intent)
    if best.text:
        return Move(
            answer=best.text, confidence=best.confidence, reasoning=f"Because: {best.because}" if best.because else ""
        )
    return Move(answer=next((name_of(hit.title) for hit in seen.hits.values()), None), confidence=0.05)


def _next(question: str, seen: Seen) -> Iterator[Action]:
    if not seen.queries:
        yield Action(tool=_SEARCH, params={"query": question[:_QUERY_CHARS]}, intent="Search for the question.")
        for name in _names(question)[:_NAMES_MOST]:
            yield Action(tool=_SEARCH, params={"query": name, "num": 3}, intent=f"Search for {name}.")
        return
    for hit in seen.hits.values():
        if mentions_name(name_of(hit.title), question) and not seen.was_visited(hit.url):
            yield _visit(hit.url, name_of(hit.title))
    if len(seen.pages) >= _PAGES_MOST:
        return
    links = [_visit(url, text) for _, text, url in sorted(_to_follow(question, seen), key=lambda item: -item[0])]
    links = list({str(link.params["url"]): link for link in links}.values())
    yield from links[: _AT_ONCE - 1]
    yield from _ask_about(question, seen)
    yield from links[_AT_ONCE - 1 :]
    if not seen.pages:
        for hit in seen.hits.values():
            if not seen.was_visited(hit.url):
                yield _visit(hit.url, name_of(hit.title))
    for page in seen.pages:
        if not page.is_whole:
            for name in _names(question):
                intent = f"Find {name} in the rest of {page.name}."
                yield Action(tool=_FIND, params={"url": page.key, "pattern": name}, intent=intent)


def _ask_about(question: str, seen: Seen) -> Iterator[Action]:
    """Search a page's name with what the question says in words of its own, the nearest page first."""
    far = _distances(question, seen)
    said = " ".join(word for word in tokens(question) if not is_function_word(word) and word in question)
    for page in sorted(seen.pages, key=lambda page: far[page.key]):
        if far[page.key] and not any(query.startswith(f"{page.name} ") for query in seen.queries):
            query = f"{page.name} {said}"[:_QUERY_CHARS]
            yield Action(
                tool=_SEARCH, params={"query": query, "num": 4}, intent=f"Search for {page.name} in this respect."
            )


def _names(question: str) -> list[str]:
    return list(dict.fromkeys((*quoted(question), *proper_names(question))))


def _visit(url: str, name: str) -> Action:
    return Action(tool=_VISIT, params={"url": url}, intent=f"Read about {name}.")


def _to_follow(question: str, seen: Seen) -> Iterator[tuple[float, str, str]]:
    """Links that were not followed, and results that were not read, each with how well the words around it fit."""
    asked = set(content_words(question))
    hits = {name_key(name_of(hit.title)): hit.url for hit in seen.hits.values()}
    far = _distances(question, seen)
    for page in seen.pages:
        links = followed(page) or [(name_of(hit.title), hit.url) for hit in seen.hits.values()]
        for text, url in links:
            if seen.was_visited(url) or seen.was_visited(hits.get(name_key(text), url)):
                continue
            fit = max((_fit(sentence, text, asked) for sentence in _holding(page, text)), default=0.0)
            if fit or not far[page.key]:
                yield fit - _PER_HOP * far[page.key], text, url
    known = [page for page in seen.pages if far[page.key] < _FAR]
    for hit in seen.hits.values():
        if not seen.was_visited(hit.url):
            fit = _fit(f"{hit.snippet} {hit.title}", name_of(hit.title), asked) / 2
            near = min((far[page.key] for page in known if mentions_name(page.name, hit.snippet)), default=_FAR)
            yield fit - _PER_HOP * near, name_of(hit.title), hit.url


def _distances(question: str, seen: Seen) -> dict[str, int]:
    """How many names lead from a page that the question names to each page that was read."""
    pages = {page.key: page for page in seen.pages}
    found = {key: 0 for key, page in pages.items() if mentions_name(page.name, question)}
    frontier = list(found)
    while frontier:
        reached = [
            key
            for key, page in pages.items()
            if key not in found and any(_names_one_another(page, pages[other]) for other in frontier)
        ]
        for key in reached:
            found[key] = found[frontier[0]] + 1
        frontier = reached
    return {key: min(found.get(key, _FAR), _FAR) for key in pages}


def _names_one_another(left: Page, right: Page) -> bool:
    return mentions_name(left.name, right.text) or mentions_name(right.name, left.text)


def _holding(page: Page, text: str) -> list[str]:
    return [plain(sentence) for sentence in portrait(page).sentences if mentions_name(text, plain(sentence))]


def _fit(sentence: str, name: str, asked: set[str]) -> float:
    """How much of the question the words beside a name hold; of a long sentence less."""
    words = set(content_words(sentence)) - set(content_words(name))
    shared = len(words & asked) + 0.5 * len(set(content_words(name)) & asked)
    return shared / (1 + 0.05 * len(words))
