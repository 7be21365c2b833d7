"""A document as the index keeps it, made from one row or file of a corpus."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from agentflow_core.errors import DataError, Problem
from agentflow_core.records import clean_text

__all__ = ["Document", "ReadReport", "Row", "make_document"]

MAX_NAMED_PROBLEMS = 20
MAX_ID_CHARS = 512
MAX_TITLE_CHARS = 300
TITLE_WORDS = 8
STRICT_HINT = "correct the line, or set strict: false to leave it out"
_SPACE = re.compile(r"\s+")


@frozen(kw_only=True)
class Row:
    """What a reader found, before it is checked. ``line`` is counted from 1; 0 means the whole file."""

    file: str
    line: int
    fields: Mapping[str, Any]
    key: str  #: a stable id from the place, for rows that bring none


@frozen(kw_only=True)
class Document:
    """One document; its text is NFC and holds no ANSI sequences, lone surrogates, NULs or carriage returns."""

    id: str
    title: str
    text: str
    filters: Mapping[str, tuple[str, ...]] = field(factory=dict)
    file: str = ""
    line: int = 0


@define
class ReadReport:
    """What was read and what was left out: all are counted, the first ones are named."""

    strict: bool = False
    documents: int = 0
    skipped: int = 0
    problems: list[Problem] = field(factory=list)

    def skip(self, problem: Problem) -> None:
        """Count a bad line.

        Raises:
            DataError: the corpus is read strictly.
        """
        if self.strict:
            raise DataError(str(problem), hint=STRICT_HINT)
        self.skipped += 1
        if len(self.problems) < MAX_NAMED_PROBLEMS:
            self.problems.append(problem)

    def describe(self) -> str:
        """The bad lines for people: the first ones with file and line, and how many there are."""
        lines = [str(problem) for problem in self.problems]
        if self.skipped > len(lines):
            lines.append(f"… and {self.skipped - len(lines)} more")
        return "\n".join(lines)


def make_document(row: Row, *, id_field: str, title_field: str, text_field: str, filters: tuple[str, ...]) -> Document:
    """The document of a row.

    Raises:
        ValueError: with what is wrong with it, in words for the user.
    """
    if text_field not in row.fields:
        there = ", ".join(list(row.fields)[:8])
        raise ValueError(f"no field {text_field!r} (there is: {there or 'nothing'})")
    text = _text(row.fields[text_field], text_field)
    if not text.strip():
        raise ValueError(f"no text: {text_field!r} is empty")
    raw_id = row.fields.get(id_field)
    identifier = row.key if raw_id is None or raw_id == "" else _line(_scalar(raw_id, id_field))
    if not identifier or len(identifier) > MAX_ID_CHARS:
        raise ValueError(f"the id is empty or longer than {MAX_ID_CHARS} characters")
    raw_title = row.fields.get(title_field)
    title = "" if raw_title is None else _line(_scalar(raw_title, title_field))
    if not title:
        words = _line(text[: 40 * TITLE_WORDS]).split(" ")
        title = " ".join(words[:TITLE_WORDS]) + ("…" if len(words) > TITLE_WORDS else "")
    kept = {name: _values(row.fields[name], name) for name in filters if row.fields.get(name) is not None}
    return Document(id=identifier, title=title[:MAX_TITLE_CHARS], text=text, filters=kept, file=row.file, line=row.line)


def _text(value: Any, name: str) -> str:
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    if not isinstance(value, str):
        raise ValueError(f"no text: {name!r} is {type(value).__name__}, not a string")
    text = unicodedata.normalize("NFC", clean_text(value))
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "�") if "\0" in text else text


def _scalar(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{name!r} is {type(value).__name__}, not a string")
    return str(value)


def _line(text: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFC", clean_text(text)).replace("\0", "�")).strip()


def _values(value: Any, name: str) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else (value,)
    if any(isinstance(item, dict | list | tuple) or item is None for item in values):
        raise ValueError(f"{name!r} cannot be filtered by: neither a value nor a list of values")
    return tuple(_line(str(item)) for item in values)
