"""Chains of pages that name one another, and the words of a question that what they say explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.prose import content_words, is_named_in, mentions_name, name_key
from agentflow_websearch.offline.portraits import Portrait, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentflow_websearch.offline.pages import Page

__all__ = ["Way", "phrases", "ways", "whole_pages"]

_HOPS_MOST = 4
_WAYS_MOST = 4000


@frozen(kw_only=True)
class Way:
    """A chain of pages that ends at ``last``, and what it explains of the question."""

    last: Portrait
    hops: int
    explained: frozenset[str]


def whole_pages(pages: Iterable[Page]) -> list[Page]:
    """Each page once: its parts one after the other, in the order of being read."""
    found: dict[str, Page] = {}
    for page in pages:
        before = found.get(page.key)
        if before is None:
            found[page.key] = page
        elif page.text not in before.text:
            links = tuple(dict.fromkeys((*before.links, *page.links)))
            found[page.key] = evolve(before, text=f"{before.text}\n\n{page.text}", links=links)
    return list(found.values())


def phrases(subject: Portrait) -> Iterator[tuple[str, str]]:
    """What the page states of its subject, piece by piece, then its other sentences; each with its sentence."""
    stated = set()
    for clause in subject.clauses:
        stated.add(clause.sentence)
        yield clause.phrase, clause.sentence
    for sentence in subject.sentences:
        if sentence not in stated:
            yield plain(sentence), sentence


def ways(question: str, subjects: Sequence[Portrait], asked: frozenset[str]) -> Iterator[Way]:
    """Chains from the pages that the question names (from all, if it names none), the shortest first.

    Of chains that end alike and explain the same words, the first is given.
    """
    links = {item.page.key: list(_neighbours(item, subjects, asked)) for item in subjects}
    starts = [item for item in subjects if is_named_in(item.name, question)] or list(subjects)
    frontier = [
        Way(last=item, hops=1, explained=asked.intersection((*content_words(item.name), *_kind_words(item))))
        for item in starts
    ]
    known: set[tuple[str, frozenset[str]]] = set()
    while frontier:
        following = []
        for way in frontier:
            key = (way.last.page.key, way.explained)
            if key in known or len(known) >= _WAYS_MOST:
                continue
            known.add(key)
            yield way
            if way.hops < _HOPS_MOST:
                following += [
                    Way(last=other, hops=way.hops + 1, explained=way.explained | explained)
                    for other, explained in links[way.last.page.key]
                ]
        frontier = following


def _neighbours(
    subject: Portrait, subjects: Sequence[Portrait], asked: frozenset[str]
) -> Iterator[tuple[Portrait, frozenset[str]]]:
    """Pages that this one names or that name it, each with the words of the question that are said with the name."""
    for other in subjects:
        if other is subject or name_key(other.name) == name_key(subject.name):
            continue
        said = [phrase for phrase, _ in phrases(subject) if mentions_name(other.name, phrase)]
        said += [phrase for phrase, _ in phrases(other) if mentions_name(subject.name, phrase)]
        kind = _kind_words(other)
        explained = {asked.intersection((*content_words(phrase), *kind)) for phrase in said}
        for words in sorted(explained, key=sorted):
            if not any(words < more for more in explained):
                yield other, words


def _kind_words(subject: Portrait) -> tuple[str, ...]:
    return content_words(subject.kind.phrase) if subject.kind is not None else ()
