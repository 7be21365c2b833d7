"""The variables of the user: what there is, and what a cell has made, changed or deleted."""

from __future__ import annotations

import ast
import types
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["assigned", "changes", "described", "marks"]

#: How many are told at most, and how much of a value.
COUNT: Final = 200
CHARS: Final = 80
_SIMPLE: Final = (bool, int, float, complex, str, bytes, type(None))
_LOOK: Final = 200  # items of a container that are compared

Mark = tuple[Any, ...]


def visible(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, Any]:
    """The user's own variables: no modules, no names with an underscore, nothing that was there from the start."""
    return {
        name: value
        for name, value in list(namespace.items())
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and not (name in hidden and hidden[name] is value)
    }


def marks(variables: Mapping[str, Any]) -> dict[str, Mark]:
    """What to know each by, cheaply: identity, and of small builtin containers the contents."""
    return {name: _mark(value) for name, value in variables.items()}


def _mark(value: Any, depth: int = 2) -> Mark:
    kind = type(value)
    if kind in _SIMPLE:
        return (kind, value if kind not in (str, bytes) or len(value) < 4096 else id(value))
    if depth and kind in (list, tuple, set, frozenset):
        items = tuple(_mark(item, depth - 1) for item in list(value)[:_LOOK]) if kind in (list, tuple) else ()
        return (kind, id(value), len(value), items)
    if depth and kind is dict:
        entries = list(value.items())[:_LOOK]
        return (kind, id(value), len(value), tuple((_mark(key, 0), _mark(item, depth - 1)) for key, item in entries))
    if _top(kind.__module__) == "pandas" and hasattr(value, "shape") and hasattr(value, "columns"):
        return (kind, id(value), value.shape, tuple(map(str, list(value.columns)[:_LOOK])))
    if kind.__module__ == "numpy" and hasattr(value, "shape"):
        return (kind, id(value), value.shape)
    return (kind, id(value))


def assigned(code: str) -> set[str]:
    """The names that a cell gives values to at its top level, whether or not the values are new."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        pending.extend(ast.iter_child_nodes(node))
    return names


def changes(before: Mapping[str, Mark], variables: Mapping[str, Any], stored: set[str]) -> dict[str, Any]:
    """``new``, ``changed`` and ``deleted`` by name; of the first two with what they are."""
    after = marks(variables)
    new = [name for name in variables if name not in before]
    changed = [name for name in variables if name in before and (before[name] != after[name] or name in stored)]
    deleted = [name for name in before if name not in variables]
    return {
        "new": {name: described(variables[name]) for name in new[:COUNT]},
        "changed": {name: described(variables[name]) for name in changed[:COUNT]},
        "deleted": deleted[:COUNT],
    }


def described(value: Any) -> str:
    """What a value is, in one short line: its type, and its size or its value where that is cheap to say."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ in ("builtins", "__main__") else f"{_top(kind.__module__)}.{kind.__name__}"
    if kind in (bool, float, complex, type(None)):
        return f"{name} = {value!r}"
    if kind is int:
        return f"int = {value!r}" if value.bit_length() < 256 else f"int of {value.bit_length()} bits"
    if kind in (str, bytes):
        return f"{name} = {value!r}" if len(value) <= CHARS else f"{name} of {len(value)} = {value[:CHARS]!r}…"
    if kind in (list, tuple, set, frozenset, dict):
        return f"{name} of {len(value)}"
    if _top(kind.__module__) in ("pandas", "numpy") and isinstance(shape := getattr(value, "shape", None), tuple):
        return f"{name} {' x '.join(map(str, shape))}"
    if isinstance(value, type):
        return f"class {value.__name__}"
    return f"function {value.__name__}" if isinstance(value, types.FunctionType) else name


def _top(module: str) -> str:
    return module.partition(".")[0]
