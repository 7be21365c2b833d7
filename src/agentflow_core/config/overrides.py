"""Apply ``--set a.b=value`` to a document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import evolve

from agentflow_core.config.nodes import Lines, Node, Refused, describe, encodable
from agentflow_core.config.problems import Mark, Problems, quote, show_path
from agentflow_core.config.scalars import parse_scalar
from agentflow_core.config.yaml_text import read_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["apply_sets"]

_SEGMENT: Final = re.compile(r'"([^"]*)"|([^".=\s]+)')
_MAX_SEGMENTS: Final = 32


class _Misplaced(Exception):
    """Why a value cannot be put where it should go."""


def apply_sets(root: Node, sets: Sequence[str], problems: Problems) -> Node:
    """The document with each ``a.b=value`` applied, in order.

    Missing mappings on the way are made; a number names an element of a list, the one after the last appends.
    A value that starts with one of ``[{"'`` is YAML, any other an unquoted YAML scalar. A key that holds a dot is
    quoted: ``roles."a.b"=x``.
    """
    for override in sets:
        segments, value = _split(override)
        if not segments:
            problems.add(f"{quote(override)} is not of the form key=value", Mark("--set"))
            continue
        mark = Mark(f"--set {show_path(segments)}")
        node = _value(value, mark, problems)
        if node is None:
            continue
        try:
            root = _put(root, segments, 0, node, mark)
        except _Misplaced as reason:
            problems.add(str(reason), mark, segments)
    return root


def _split(override: str) -> tuple[tuple[str, ...], str]:
    """Path and value; no path where the form is wrong."""
    segments: list[str] = []
    at = 0
    while len(segments) < _MAX_SEGMENTS and (match := _SEGMENT.match(override, at)):
        segments.append(match.group(1) if match.group(1) is not None else match.group(2))
        at = match.end()
        if override.startswith("=", at):
            found = tuple(segments)
            return (found if all(encodable(part) for part in found) else ()), override[at + 1 :]
        if not override.startswith(".", at):
            break
        at += 1
    return (), ""


def _value(text: str, mark: Mark, problems: Problems) -> Node | None:
    """The node of an override's value, or None after a problem."""
    text = text.strip()
    try:
        if not encodable(text):
            raise Refused("text that UTF-8 cannot carry")
        if text[:1] in ("[", "{", '"', "'"):
            return read_yaml(text, Lines(text, mark.file), None, problems)
        value = parse_scalar(text)
    except (Refused, ValueError) as error:
        problems.add(str(error), mark)
        return None
    return Node(value=value, mark=mark, written="" if isinstance(value, str) else text)


def _put(node: Node, segments: tuple[str, ...], depth: int, value: Node, mark: Mark) -> Node:
    """The node with ``value`` at ``segments[depth:]`` below it."""
    if depth == len(segments):
        return value
    segment = segments[depth]
    if node.value is None:
        node = Node(value={}, mark=mark)
    if isinstance(node.value, dict):
        inner = _put(node.value.get(segment, Node(value=None, mark=mark)), segments, depth + 1, value, mark)
        marks = node.key_marks if segment in node.value else {**node.key_marks, segment: mark}
        return evolve(node, value={**node.value, segment: inner}, key_marks=marks)
    if isinstance(node.value, tuple):
        parts = node.value
        if not segment.isascii() or not segment.isdecimal() or int(segment[:9]) > len(parts):
            raise _Misplaced(f"a list of {len(parts)} has no element {quote(segment)}; they count from 0")
        index = int(segment)
        old = parts[index] if index < len(parts) else Node(value=None, mark=mark)
        return evolve(node, value=(*parts[:index], _put(old, segments, depth + 1, value, mark), *parts[index + 1 :]))
    where = show_path(segments[:depth])
    raise _Misplaced(f"{where} is {describe(node)}, which has no keys")
