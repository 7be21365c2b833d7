"""Explore documents from a subject: find where it stands, read that page, then read in other documents what it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentflow_core.policies import untaken
from agentflow_core.prose import content_words
from agentflow_core.records import Action
from agentflow_core.text import normalize
from agentflow_doc.offline.knowledge import Knowledge
from agentflow_doc.offline.seen import IMAGE, LIST, OUTLINE, READ, SEARCH, TABLE, Seen, owner, seen_on_path
from agentflow_doc.offline.wording import columns_of, noun_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from agentflow_core.records import ProposeInputs
    from agentflow_doc.offline.seen import Section, TableSeen

__all__ = ["propose"]

_GROUP: Final = "doc:"
_AHEAD: Final = 1  # steps before another environment has its turn
_FEW_HITS: Final = 3
_FEW_NAMES: Final = 2
_READ_FIRST: Final = 3  # pages that are read before a figure is looked at
_FRONT: Final = frozenset(content_words("contents cover index references appendix glossary imprint"))


def propose(inputs: ProposeInputs) -> list[Action]:
    """Up to ``inputs.k`` different actions that are not taken and that the offered tools allow, best first."""
    return [] if _is_turn_of_others(inputs) else untaken(_wishes(inputs), inputs)


def _is_turn_of_others(inputs: ProposeInputs) -> bool:
    """Whether another environment, of which the tree has seen something, has had fewer steps of this path."""
    own, others = (
        sum(node.tool is not None and node.tool.startswith(_GROUP) == is_own for node in inputs.path)
        for is_own in (True, False)
    )
    return own > others + _AHEAD and any(not action.tool.startswith(_GROUP) for action in inputs.taken)


def _wishes(inputs: ProposeInputs) -> Iterator[Action]:
    topic = inputs.seed.content
    seen = seen_on_path(inputs.path)
    known = Knowledge(seen)
    if not seen.titles:
        yield _outline()
        yield _search(topic)
        yield _list()
    if not seen.read:
        for doc, page in _hits(seen):
            yield from _read(seen, doc, page)
        for section in _sections(seen, topic):
            yield from _read(seen, section.doc, section.page)
    yield from _look_closer(seen)
    yield from _follow(seen, known)
    yield from _same_measures(seen)
    if not seen.sections:
        yield _outline()
    for section in _sections(seen, topic):
        yield from _read(seen, section.doc, section.page)
    for doc, page in seen.hits:
        yield from _read(seen, doc, page)
    for doc in _by_topic(seen, topic):
        if doc not in seen.sections:
            yield _outline(doc, seen.titles[doc])
    yield _search(topic)
    yield _list()


def _look_closer(seen: Seen) -> Iterator[Action]:
    """An image of a page that was read, if it has a figure and none was looked at yet on this path."""
    if seen.looked or len(seen.read) < _READ_FIRST:
        return
    for doc, page in sorted((place for place in seen.figures if place in seen.read), reverse=True):
        said = seen.figures[doc, page]
        yield Action(tool=IMAGE, params={"doc": doc, "page": page}, intent=f"Look at {said[:80].rstrip('.')}.")


def _follow(seen: Seen, known: Knowledge) -> Iterator[Action]:
    """Read in other documents what the cells that were read name: by outlines that are known, else by a search."""
    docs = {doc for doc, _ in seen.read}
    heads = [head for table in reversed(known.tables) for head in _leading(known, table)]
    if seen.tools[-1:] == [SEARCH]:
        shown = {(table.doc, table.page) for table in seen.tables}
        for doc, page in _hits(seen, {_last_word(head) for head in heads}):
            if doc not in docs and (doc, page) in shown:
                yield from _read(seen, doc, page)
    for head in heads:
        for section in _all_sections(seen):
            if section.doc not in docs and _last_word(head) in content_words(section.title):
                yield from _read(seen, section.doc, section.page)
    for table in reversed(known.tables):
        for doc in (doc for doc, title in seen.titles.items() if doc not in docs and _names(table, owner(title))):
            for section in reversed(seen.sections.get(doc, [])):
                yield from _read(seen, doc, section.page)
    if not seen.sections:
        yield _outline()
    for table in reversed(known.tables):
        for column in columns_of(table)[1:]:
            if column.base in heads:
                cells = dict.fromkeys(row.cells[column.at] for row in table.rows)
                yield _search(", ".join((column.base, *list(cells)[:_FEW_NAMES])))


def _hits(seen: Seen, nouns: AbstractSet[str] = frozenset()) -> list[tuple[str, int]]:
    """Pages that were found, first those with a table about one of the nouns, then those with any table."""
    kinds: dict[tuple[str, int], int] = {}
    for table in seen.tables:
        is_about = bool(nouns & set(content_words(noun_of(table))))
        kinds[table.doc, table.page] = min(kinds.get((table.doc, table.page), 1), 0 if is_about else 1)
    return sorted(seen.hits, key=lambda place: kinds.get(place, 2))


def _last_word(head: str) -> str:
    """What a column's cells are: of ``home harbour``, harbour."""
    return (content_words(head) or ("",))[-1]


def _leading(known: Knowledge, table: TableSeen) -> Iterator[str]:
    """The heads of text columns whose cells no table that was read is about."""
    for column in columns_of(table)[1:]:
        cells = {row.cells[column.at] for row in table.rows}
        if column.kind == "text" and column.is_noun and not any(known.is_known(cell) for cell in cells):
            yield column.base


def _names(table: TableSeen, name: str) -> bool:
    return any(normalize(cell) == normalize(name) for row in table.rows for cell in row.cells)


def _same_measures(seen: Seen) -> Iterator[Action]:
    """The section of another document that is called like one that was read: organisations count the same things."""
    titles = [one.title for doc, page in sorted(seen.read) if (one := seen.section_of(doc, page)) is not None]
    for title in reversed(titles):
        for section in _all_sections(seen):
            if (section.doc, section.page) not in seen.read and _plain(section.title) == _plain(title):
                yield from _read(seen, section.doc, section.page)


def _plain(title: str) -> str:
    return " ".join(word for word in content_words(title) if not word.isdigit())


def _sections(seen: Seen, topic: str) -> list[Section]:
    """Sections that were not read: of documents that were not read first, then by the words shared with the topic."""
    wanted = set(content_words(topic))
    docs = {doc for doc, _ in seen.read}
    unread = [
        one
        for one in _all_sections(seen)
        if _is_body(seen, one) and not any((one.doc, page) in seen.read for page in range(one.page, one.end + 1))
    ]

    def shared(text: str) -> int:
        return len(wanted & set(content_words(text)))

    return sorted(unread, key=lambda one: (one.doc in docs, -2 * shared(one.title) - shared(seen.titles[one.doc])))


def _by_topic(seen: Seen, topic: str) -> list[str]:
    """Documents, those whose titles share most words with the topic first."""
    wanted = set(content_words(topic))
    return sorted(seen.titles, key=lambda doc: -len(wanted & set(content_words(seen.titles[doc]))))


def _all_sections(seen: Seen) -> Iterator[Section]:
    for sections in seen.sections.values():
        yield from sections


def _is_body(seen: Seen, section: Section) -> bool:
    """Whether it is neither the title of the document nor what stands around its text."""
    is_title = normalize(section.title) == normalize(seen.titles.get(section.doc, ""))
    return not is_title and not _FRONT & set(content_words(section.title))


def _list() -> Action:
    return Action(tool=LIST, params={}, intent="See which documents there are.")


def _outline(doc: str | None = None, title: str = "the documents") -> Action:
    params = {} if doc is None else {"doc": doc}
    return Action(tool=OUTLINE, params=params, intent=f"See the sections of {title}.")


def _search(query: str) -> Action:
    return Action(tool=SEARCH, params={"query": query, "k": _FEW_HITS}, intent=f"Find where {query} is told of.")


def _read(seen: Seen, doc: str, page: int) -> Iterator[Action]:
    """Read a page; or, since no call is made twice in a tree, its first table."""
    if (doc, page) in seen.read:
        return
    title = seen.titles.get(doc, doc)
    yield Action(tool=READ, params={"doc": doc, "pages": str(page)}, intent=f"Read page {page} of {title}.")
    section = seen.section_of(doc, page)
    if (section is not None and _is_body(seen, section)) or any(
        (doc, page) == (one.doc, one.page) for one in seen.tables
    ):
        params = {"doc": doc, "page": page, "index": 1}
        yield Action(tool=TABLE, params=params, intent=f"Get the table on page {page} of {title}.")
