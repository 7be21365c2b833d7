"""Read a Google docstring: what a model is told about a tool and its parameters."""

from __future__ import annotations

import inspect
import re

from attrs import frozen

__all__ = ["Docstring", "parse_docstring"]

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Yields|Raises):\s*")
_ARGUMENT = re.compile(r"(\*{0,2}\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


@frozen(kw_only=True)
class Docstring:
    """The description without its sections on arguments, results and exceptions, and the arguments by name."""

    description: str
    arguments: dict[str, str]


def parse_docstring(text: str | None) -> Docstring:
    """Split a docstring; one that is missing is empty."""
    description: list[str] = []
    arguments: dict[str, str] = {}
    section = ""
    current = ""
    indent = 0
    for line in inspect.cleandoc(text or "").splitlines():
        stripped = line.strip()
        depth = len(line) - len(line.lstrip())
        if found := _SECTION.fullmatch(line):
            section, current, indent = found[1], "", 0
        elif not section or (stripped and depth == 0):
            section = ""
            description.append(line)
        elif section in ("Args", "Arguments", "Parameters") and stripped:
            indent = indent or depth
            entry = _ARGUMENT.fullmatch(stripped) if depth <= indent else None
            if entry:
                current = entry[1]
                arguments[current] = entry[2]
            elif current:
                arguments[current] = f"{arguments[current]} {stripped}".strip()
    return Docstring(description="\n".join(description).strip(), arguments=arguments)
