"""Understand what a call names: pages, and sections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.names import did_you_mean
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.records import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_doc.records import Block, Head, Page

__all__ = ["Chosen", "choose_pages", "choose_section", "in_section", "said_pages"]

_RANGE: Final = re.compile(r"(\d{1,9})(?:\s*(?:-|–|to|\.\.)\s*(\d{1,9})?)?")
_NUMBER: Final = re.compile(r"^(?:section|chapter|part|§)?\s*[\dA-Z]{1,3}(?:\.\d+)*[.):]?\s+", re.IGNORECASE)


@frozen(kw_only=True)
class Chosen:
    """A section, and the one that ends it."""

    section: Section
    following: Section | None


def choose_pages(said: str, head: Head) -> list[int]:
    """The pages of ``3``, ``3-5``, ``7-`` or ``1,4-6``, sorted.

    Raises:
        Unreadable: it is none of these, or names pages that are not there.
    """
    numbers: set[int] = set()
    for part in said.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise Unreadable(
                "invalid_argument",
                "missing",
                f"pages: {said!r} names no pages",
                hint='for example "3", "3-5" or "1,4-6"',
            )
        first = int(match[1])
        last = int(match[2]) if match[2] else (first if part.strip().isdigit() else head.pages)
        if not 1 <= first <= last <= head.pages:
            there = "1 page" if head.pages == 1 else f"pages 1-{head.pages}"
            raise Unreadable(
                "invalid_argument", "missing", f"pages: there is no {part.strip()}", hint=f"the document has {there}"
            )
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def said_pages(numbers: Sequence[int]) -> str:
    """Pages as one says them: ``page 3``, ``pages 3-5``, ``pages 1, 4-6``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    said = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"{'page' if len(numbers) == 1 else 'pages'} {said}"


def choose_section(said: str, head: Head) -> Chosen:
    """The section of that title, with or without its number; or of that number.

    Raises:
        Unreadable: there is none, or several.
    """
    wanted = _key(said)
    sections = head.sections
    for fits in (_is_title, _is_bare_title, _is_number, _is_part):
        found = [at for at, section in enumerate(sections) if fits(_key(section.title), wanted)]
        if len(found) > 1 and len({_key(sections[at].title) for at in found}) == 1:
            found = found[:1]
        if len(found) == 1:
            at = found[0]
            following = next((one for one in sections[at + 1 :] if one.level <= sections[at].level), None)
            return Chosen(section=sections[at], following=following)
        if found:
            named = "; ".join(f"{sections[at].title!r} on page {sections[at].page}" for at in found[:5])
            raise Unreadable("ambiguous_target", "missing", f"several sections fit {said!r}", hint=f"there is {named}")
    if not sections:
        raise Unreadable("not_found", "missing", "the document has no sections", hint="name pages instead")
    titles = [section.title for section in sections]
    raise Unreadable(
        "not_found",
        "missing",
        f"no section {said!r}{did_you_mean(said, titles)}",
        hint=f"doc_outline lists them; the first are: {'; '.join(titles[:5])}",
    )


def in_section(pages: Sequence[Page], chosen: Chosen) -> list[tuple[Page, tuple[Block, ...]]]:
    """The blocks of the section on each of its pages."""
    found = []
    for page in pages:
        start, end = 0, len(page.blocks)
        if page.number == chosen.section.page:
            start = _place(page, chosen.section.title, 0) or 0
        if chosen.following is not None and page.number == chosen.following.page:
            place = _place(page, chosen.following.title, start + (page.number == chosen.section.page))
            end = end if place is None else place
        if start < end:
            found.append((page, page.blocks[start:end]))
    return found


def _place(page: Page, title: str, start: int) -> int | None:
    wanted = _bare(title)
    for at, block in enumerate(page.blocks[start:], start):
        text = _bare(block.text[: len(title) + 40])
        if block.kind in ("heading", "text") and (
            text == wanted or (text.endswith(wanted) and len(text) < len(wanted) + 12)
        ):
            return at
    return None


def _is_title(title: str, wanted: str) -> bool:
    return title == wanted


def _is_bare_title(title: str, wanted: str) -> bool:
    return _NUMBER.sub("", title) == wanted


def _is_number(title: str, wanted: str) -> bool:
    return re.match(rf"{re.escape(wanted)}[.):]?(?:\s|$)", title) is not None


def _is_part(title: str, wanted: str) -> bool:
    return wanted in title


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
