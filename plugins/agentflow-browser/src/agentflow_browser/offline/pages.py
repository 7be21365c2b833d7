"""What a page tells: its subject, the facts of it, its tables, its links and its fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

from attrs import define, field, frozen

from agentflow_browser.offline.elements import Element, read_elements

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FIELDS", "Fact", "Page", "Row", "Table", "read_page"]

#: The roles of what text is typed into.
FIELDS: Final = frozenset({"textbox", "searchbox", "spinbutton"})
#: The parameters of a URL that change the order of a list or the part that is shown, and not what is in it.
_ORDERING: Final = frozenset({"page", "p", "sort", "order", "by", "dir", "direction", "offset", "start"})
_PAGE_OF: Final = re.compile(r"\bpage (\d+) of (\d+)\b", re.IGNORECASE)
_HEADED: Final = 3  #: cells of a first row that are taken for headings where nothing says so
_TURN: Final = re.compile(r"^(?:next|previous|older|newer|more|›|»|‹|«)(?: page)?$", re.IGNORECASE)


@frozen(kw_only=True, eq=False)
class Fact:
    """A subject has a value under a name, as a page tells."""

    subject: str
    name: str
    value: str
    page: Page = field(repr=False)
    quotes: tuple[str, ...] = field(repr=False)  #: the name and the value, verbatim
    element: Element = field(repr=False)  #: that holds the value
    table: Table | None = field(default=None, repr=False)  #: of which the subject is a row

    @property
    def link(self) -> Element | None:
        """The link that the value is, or holds."""
        return next((each for each in self.element.walk() if each.role == "link"), None)


@frozen(kw_only=True, eq=False)
class Row:
    """A row of a table: its first cell names it."""

    name: str
    cells: Mapping[str, Element]  #: by column
    page: Page = field(repr=False)

    @property
    def link(self) -> Element | None:
        """Where its name leads."""
        return next(iter(self.cells.values())).first("link")


@frozen(kw_only=True, eq=False)
class Table:
    """A table with a heading over each column."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    page: Page = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """What is equal for the parts of one table that stand on several pages."""
        return (urlsplit(self.page.url)[2], self.caption)

    @property
    def part(self) -> tuple[int, int] | None:
        """Which part this is of how many; None where something is left out and it is not said how much."""
        names = {name for name, _ in parse_qsl(urlsplit(self.page.url).query)}
        if names - _ORDERING:
            return None
        told = _PAGE_OF.search(self.page.text)
        if told:
            return int(told[1]), int(told[2])
        return None if any(_TURN.match(link.label.strip()) for link in self.page.links) else (1, 1)


@define(eq=False)
class Page:
    """A page as one observation shows it."""

    where: str  #: the node or step
    url: str
    title: str
    text: str = field(repr=False)  #: the whole observation
    elements: list[Element] = field(repr=False)
    disturbed: bool = False  #: a button was pressed before it was seen, so that it may tell of what was done

    def walk(self) -> Iterator[Element]:
        """All elements, in order."""
        for element in self.elements:
            yield from element.walk()

    def element(self, ref: str) -> Element | None:
        """The element of a reference."""
        return next((each for each in self.walk() if each.ref == ref), None)

    @cached_property
    def heading(self) -> str:
        """What the page is about: its first heading, else its title."""
        headings = [each for each in self.walk() if each.role == "heading"]
        first = next((each for each in headings if each.states.get("level") == "1"), None) or next(iter(headings), None)
        return first.label if first is not None else self.title

    @cached_property
    def heading_quote(self) -> str:
        """The heading, verbatim."""
        return next((each.quote for each in self.walk() if each.role == "heading" and each.label == self.heading), "")

    @cached_property
    def links(self) -> list[Element]:
        """Links that lead to pages and have a label."""
        return [each for each in self.walk() if each.role == "link" and each.label.strip() and self.address(each)]

    def address(self, link: Element) -> str:
        """Where a link leads, as a whole URL; empty where that is no page."""
        try:
            url = urljoin(self.url, link.url or "#")
        except ValueError:  # such as http://[
            return ""
        return url if url.startswith(("http://", "https://")) else ""

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that have headed columns."""
        return [table for each in self.walk() if each.role in ("table", "grid") and (table := self._table(each))]

    def _table(self, element: Element) -> Table | None:
        rows = [each for each in element.walk() if each.role == "row"]
        heads = [[cell.label for cell in row.children if cell.role == "columnheader"] for row in rows]
        columns = next((head for head in heads if len(head) > 1), None)
        if columns is None:
            if not rows or len(rows[0].children) < _HEADED or any(cell.role != "cell" for cell in rows[0].children):
                return None
            columns = [cell.label for cell in rows[0].children]
            rows = rows[1:]
        made = []
        for row in rows:
            cells = [cell for cell in row.children if cell.role in ("cell", "gridcell", "rowheader")]
            if len(cells) == len(columns) and cells[0].label:
                made.append(Row(name=cells[0].label, cells=dict(zip(columns, cells, strict=True)), page=self))
        return Table(caption=self._caption(element), columns=tuple(columns), rows=tuple(made), page=self)

    def _caption(self, element: Element) -> str:
        return element.name or self.heading

    @cached_property
    def facts(self) -> list[Fact]:
        """What it tells of its subject in rows of a name and a value, or in a list of terms; and of each row of a table."""
        return [*self._own_facts(), *self._row_facts()]

    def _own_facts(self) -> Iterator[Fact]:
        term: Element | None = None
        for each in self.walk():
            if each.role == "row":
                cells = [cell for cell in each.children if cell.label]
                roles = [cell.role for cell in cells]
                if roles == ["rowheader", "cell"] or (roles == ["cell", "cell"] and not self._is_headed(each)):
                    yield self._fact(cells[0], cells[1])
            elif each.role == "term":
                term = each
            elif each.role == "definition" and term is not None and each.label:
                yield self._fact(term, each)

    def _is_headed(self, row: Element) -> bool:
        table = row.within("table", "grid")
        return table is not None and table.first("columnheader") is not None

    def _fact(self, name: Element, value: Element) -> Fact:
        return Fact(
            subject=self.heading,
            name=name.label,
            value=value.label,
            page=self,
            quotes=_quotes(name, value),
            element=value,
        )

    def _row_facts(self) -> Iterator[Fact]:
        for table in self.tables:
            for row in table.rows:
                for column in table.columns[1:]:
                    cell = row.cells[column]
                    if cell.label:
                        quotes = _quotes(row.cells[table.columns[0]], cell)
                        yield Fact(
                            subject=row.name,
                            name=column,
                            value=cell.label,
                            page=self,
                            quotes=quotes,
                            element=cell,
                            table=table,
                        )


def _quotes(*elements: Element) -> tuple[str, ...]:
    """Parts of the snapshot that show the labels of the elements, each once."""
    quotes = (next((each.quote for each in element.walk() if each.quote), "") for element in elements)
    return tuple(dict.fromkeys(filter(None, quotes)))


def read_page(text: str, url: str, title: str, where: str) -> Page:
    """The page that an observation shows."""
    return Page(where=where, url=url, title=title, text=text, elements=read_elements(text))
