"""Decide which link to follow next, so that the pages tell what a question or task asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentflow_browser.offline.answering import Asked, reached
from agentflow_browser.offline.seen import Seen, entity
from agentflow_browser.offline.words import holds
from agentflow_core.records import Action
from agentflow_core.text import canonical_url, proper_names, quoted, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_browser.offline.elements import Element
    from agentflow_browser.offline.pages import Page

__all__ = ["follow", "look_on", "names_in", "search"]

_NAMED: Final = 3.0  #: a link whose label is what the words lead to
_MORE: Final = 2.0  #: the next part of a table that is asked about
_SEARCH: Final = 1.8  #: a search for a name that no page has told of
_ROW: Final = 1.5  #: a row of which its own page may tell what the table does not
_LIKE: Final = 1.0  #: a link that shares words with the question
_ANY: Final = 0.1  #: a link of the menu of which nothing is known


def look_on(question: str, seen: Seen, *, anywhere: bool = False) -> Action | None:
    """The most promising action to learn more; None where nothing speaks for any.

    Args:
        question: or what is looked for, in words.
        seen: what was seen.
        anywhere: where nothing speaks for any link, take one of the menu.
    """
    asked = Asked(question, seen.site)
    found = sorted(_ways(asked, seen), key=lambda way: -way[0])
    if not anywhere:
        found = [way for way in found if way[0] > _ANY]
    return found[0][1] if found else None


def _ways(asked: Asked, seen: Seen) -> Iterator[tuple[float, Action]]:
    page = seen.now
    if page is None:
        return
    unseen = {url: at for url, at in seen.links.items() if url not in seen.visited and not _is_reordering(at[1])}
    labels = {entity(link.label): url for url, (_, link) in reversed(unseen.items())}
    for each in reached(asked, seen):
        url = labels.get(entity(each.text))
        if url is not None:
            yield _NAMED + asked.share(each.explained), follow(seen, *unseen[url])
    for url, (where, link) in unseen.items():
        words = asked.of(link.label)
        if asked.has(link.label) and holds(asked.text, link.label):
            yield _NAMED + asked.share(words), follow(seen, *unseen[url])
        elif link.within("navigation", "banner") is not None:
            yield (_LIKE if words else _ANY) + asked.share(words), follow(seen, where, link)
    yield from _further(asked, seen)
    yield from _rows(asked, seen)
    for name in names_in(asked.text):
        if entity(name) not in seen.names and (searching := search(page, name, seen)) is not None:
            yield _SEARCH, searching


def _is_reordering(link: Element) -> bool:
    return link.within("columnheader") is not None


def _further(asked: Asked, seen: Seen) -> Iterator[tuple[float, Action]]:
    """The part of a table that follows, where its rows may be what is asked about."""
    for table in seen.tables:
        about = asked.of(table.caption, table.columns[0], *table.columns)
        if table.is_whole or not about:
            continue
        for part in table.parts:
            for link in part.page.links:
                address = canonical_url(part.page.address(link))
                if tokens(link.label)[:1] == ["next"] and address not in seen.visited:
                    yield _MORE + asked.share(about), follow(seen, part.page, link)


def _rows(asked: Asked, seen: Seen) -> Iterator[tuple[float, Action]]:
    """Where the first of a table is asked for by what no column of it says: each row's own page."""
    for table in seen.tables if asked.way else ():
        about = asked.of(table.caption, table.columns[0])
        if about and not any(asked.has(column) for column in table.columns[1:]):
            for row in table.rows:
                link = row.link
                if link is not None and canonical_url(row.page.address(link)) not in seen.visited:
                    yield _ROW + asked.share(about), follow(seen, row.page, link)


def follow(seen: Seen, page: Page, link: Element) -> Action:
    """Click a link of the page that is open; go to where one of an earlier page leads."""
    intent = f"Follow {link.label!r}."
    if page is seen.now and link.ref is not None:
        return Action(tool="browser:click", params={"ref": link.ref}, intent=intent)
    return Action(tool="browser:navigate", params={"url": page.address(link)}, intent=intent)


def names_in(text: str) -> list[str]:
    """The names in a question: what is quoted, and capitalised words but for the first."""
    found = [*quoted(text), *proper_names(text)]
    return [name for name in dict.fromkeys(found) if not text.startswith(name) or " " in name]


def search(page: Page, words: str, seen: Seen) -> Action | None:
    """Type words into the search field of the page, if it has one and was not asked for them before."""
    box = next((each for each in page.walk() if each.role == "searchbox" and each.ref), None) or next(
        (each for each in page.walk() if each.role == "textbox" and each.ref and "search" in each.label.lower()), None
    )
    if box is None or any(_typed(params) == words for tool, params in seen.done if tool == "browser:type"):
        return None
    params = {"ref": box.ref, "text": words, "submit": True}
    return Action(tool="browser:type", params=params, intent=f"Search for {words!r}.")


def _typed(params: Any) -> str:
    return str(params.get("text", ""))
