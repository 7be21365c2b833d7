"""Find tables, captions and sentences in the Markdown that the tools return; quotes are verbatim."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.prose import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MarkdownTable", "Row", "charts_of", "sentences_of", "tables_of"]

_LINE: Final = re.compile(r"^\|.*\|[ \t]*$", re.MULTILINE)
_RULE: Final = re.compile(r"^\|(?:\s*:?-{2,}:?\s*\|)+\s*$")
_CELL: Final = re.compile(r"(?<!\\)\|")
_SUMMED: Final = re.compile(r"(?:sub-?)?totals?\b|(?:sum|all|overall|together|average|mean|median)$", re.IGNORECASE)
_CAPTION: Final = re.compile(r"^[*_]*(?:table|tab\.)\s*\d[\d.]*[.:]?\s*(?P<said>.*?)[*_]*$", re.IGNORECASE)
_FIGURE: Final = re.compile(r"^\[figure \d+ on page \d+\](?P<labels>.*)$", re.MULTILINE)
_LEGEND: Final = re.compile(r"^[*_]*fig(?:ure|\.)\s*\d[\d.]*[.:]?\s*(?P<said>.*?)[*_]*$", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[-+−]?[\d.,]*\d ?%?")
_YEAR: Final = re.compile(r"1[5-9]\d\d|20\d\d")
_NEAR: Final = 200  # characters between a table and its caption
_NO_PROSE: Final = re.compile(r"^(?:\||#|!\[|\[\d+\] |[-*] )|^[*_]*(?:fig(?:ure|\.)|table|tab\.)\s*\d", re.IGNORECASE)


@frozen(kw_only=True)
class Row:
    """A row: its cells as texts, and the line that it is written in."""

    cells: tuple[str, ...]
    quote: str
    start: int  #: of the line in the text


@frozen(kw_only=True)
class MarkdownTable:
    """A table with a head; rows of another length than the head are left out, and those that sum up others."""

    head: Row
    rows: tuple[Row, ...]
    end: int  #: the character behind it
    caption: str = ""


def tables_of(text: str) -> Iterator[MarkdownTable]:
    """The tables of a text, in order."""
    lines = [(found.start(), found[0].rstrip()) for found in _LINE.finditer(text)]
    at = 0
    while at + 1 < len(lines):
        (start, head), (_, rule) = lines[at], lines[at + 1]
        if not _RULE.match(rule) or text[start + len(head) :].lstrip(" \t")[:1] != "\n":
            at += 1
            continue
        end = at + 2
        while end < len(lines) and _follows(text, lines[end - 1], lines[end]):
            end += 1
        columns = _cells(head)
        rows = [Row(cells=_cells(line), quote=line, start=place) for place, line in lines[at + 2 : end]]
        after = lines[end - 1][0] + len(lines[end - 1][1])
        yield MarkdownTable(
            head=Row(cells=columns, quote=head, start=start),
            rows=tuple(row for row in rows if len(row.cells) == len(columns) and not _SUMMED.match(row.cells[0])),
            end=after,
            caption=_caption(text[max(0, start - _NEAR) : start], text[after : after + _NEAR]),
        )
        at = end


def charts_of(text: str) -> Iterator[MarkdownTable]:
    """The bar charts whose bars are labelled, as tables of two columns: what each bar is, and what it is labelled with.

    The labels of such a chart are as many numbers, then as many names, then the numbers of its axis.
    """
    for found in _FIGURE.finditer(text):
        labels = [label.strip() for label in found["labels"].split(" | ")]
        named = [at for at, label in enumerate(labels) if not _is_number(label) or _YEAR.fullmatch(label)]
        count = named[0] if named else 0
        values, names = labels[:count], labels[count : 2 * count]
        rest = labels[2 * count :]
        are_alike = len({_is_number(name) for name in names}) == 1
        if count < 2 or len(set(names)) < count or not are_alike or not all(map(_is_number, rest)):
            continue
        said = next((line for line in text[found.end() :].split("\n") if line.strip()), "")
        legend = _LEGEND.match(said)
        quote = found[0].rstrip()
        head = Row(cells=("bar", legend["said"] if legend else "value"), quote=quote, start=found.start())
        rows = (Row(cells=pair, quote=quote, start=found.start()) for pair in zip(names, values, strict=True))
        yield MarkdownTable(head=head, rows=tuple(rows), caption=head.cells[1], end=found.end())


def _is_number(label: str) -> bool:
    return _NUMBER.fullmatch(label) is not None


def _follows(text: str, line: tuple[int, str], following: tuple[int, str]) -> bool:
    return text[line[0] + len(line[1]) : following[0]].strip(" \t") == "\n"


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(" ".join(cell.replace("\\|", "|").split()) for cell in _CELL.split(inner))


def _caption(before: str, after: str) -> str:
    """What a caption next to the table says, without its number: of the line above it, else of the one below it."""
    above = [line.strip() for line in before.splitlines() if line.strip()][-1:]
    below = [line.strip() for line in after.splitlines() if line.strip()][:1]
    for line in (*above, *below):
        if found := _CAPTION.match(line):
            return found["said"].strip()
    return ""


def sentences_of(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of the prose of a text with their places; headings, tables, captions and lists are none."""
    for paragraph in re.finditer(r"[^\n]+(?:\n[^\n]+)*", text):
        if _NO_PROSE.match(paragraph[0]) or not re.search(r"[.!?][\"”)]?\s*$", paragraph[0]):
            continue
        for span in sentence_spans(paragraph[0], is_wrapped=True):
            yield paragraph.start() + span.start, paragraph[0][span.start : span.end]
