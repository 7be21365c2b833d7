"""Take the SQL out of what a model answers."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["extract_sql"]

_ANSWER: Final = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_FENCE: Final = re.compile(r"```[ \t]*([A-Za-z0-9_+-]*)[ \t]*\r?\n(.*?)```", re.DOTALL)
_OPEN_FENCE: Final = re.compile(r"```[ \t]*(?:sql\w*)[ \t]*\r?\n(.*)\Z", re.DOTALL | re.IGNORECASE)


def extract_sql(answer: str) -> str:
    """The query in an answer, without white space around it.

    What stands in the last ``<answer>…</answer>``, else the whole answer. Of that, the last code block marked ``sql``
    (or with a name that begins so, such as ``sqlite``; also one that is not closed), else the last code block, else all
    of it. A single pair of backquotes around it is taken off. Nothing else is guessed: prose around a query makes it
    wrong.
    """
    found = _ANSWER.findall(answer)
    text = found[-1] if found else answer
    blocks = _FENCE.findall(text)
    marked = [body for language, body in blocks if language.lower().startswith(("sql", "postgres", "duckdb"))]
    if marked:
        text = marked[-1]
    elif opened := _OPEN_FENCE.search(text) if text.count("```") % 2 else None:
        text = opened[1]
    elif blocks:
        text = blocks[-1][1]
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        text = text[1:-1].strip()
    return text
