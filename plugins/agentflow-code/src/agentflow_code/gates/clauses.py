"""Take the clauses out of a query, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

# Nodes are Any: how sqlglot calls their base differs between its versions.

__all__ = ["Unreadable", "Variant", "rendered", "variants"]

_SHOWN = 80


class Unreadable(Exception):
    """The query cannot be read as SQL of its dialect."""


@frozen(kw_only=True)
class Variant:
    """The query without one of its clauses; ``is_order``: all that went is an order."""

    without: str
    sql: str
    is_order: bool = False


def rendered(sql: str, dialect: str) -> str:
    """The whole query as the variants are written. Raises `Unreadable`."""
    return str(_tree(sql, dialect).sql(dialect=dialect))


def variants(sql: str, dialect: str) -> Iterator[Variant]:
    """The query without each join, each condition of WHERE, HAVING and QUALIFY (of AND and of OR), each DISTINCT,
    ORDER BY, LIMIT and OFFSET, and without each side of a UNION, INTERSECT or EXCEPT; in subqueries too.

    GROUP BY stays: what is selected asks for it.

    Args:
        sql: one query.
        dialect: sqlite, duckdb or postgres.

    Raises:
        Unreadable: it is none.
    """
    tree = _tree(sql, dialect)
    for number, node in enumerate(list(tree.walk())):
        for what, is_order, remove in _removals(node):
            copy = tree.copy()
            twin = list(copy.walk())[number]
            changed = remove(twin, copy)
            shown = " ".join(what.split())
            shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
            yield Variant(without=shown, sql=changed.sql(dialect=dialect), is_order=is_order)


def _tree(sql: str, dialect: str) -> Any:
    import sqlglot  # 100 ms; only when a gate judges SQL
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect=dialect) if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise Unreadable(str(error).partition("\n")[0][:200]) from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise Unreadable("it is not one query")
    return trees[0]


Removal = Callable[[Any, Any], Any]


def _removals(node: Any) -> Iterator[tuple[str, bool, Removal]]:
    """What can be taken out at a node: its text, whether it is only an order, and how."""
    from sqlglot import exp

    if isinstance(node, exp.Join | exp.Limit | exp.Offset | exp.Fetch) and node.parent is not None:
        yield _text(node), False, _pop
    elif isinstance(node, exp.Order) and isinstance(node.parent, exp.Query):
        alone = not (node.parent.args.get("limit") or node.parent.args.get("offset"))
        yield _text(node), alone and node.parent.parent is None, _pop
    elif isinstance(node, exp.Distinct) and isinstance(node.parent, exp.Select):
        yield "DISTINCT", False, _pop
    elif isinstance(node, exp.Distinct):
        yield _text(node), False, _without_distinct
    elif isinstance(node, exp.Where | exp.Having | exp.Qualify):
        if not isinstance(node.this, exp.And | exp.Or):
            yield _text(node), False, _pop
    elif isinstance(node, exp.And | exp.Or) and _is_condition(node):
        for side, other in (("this", "expression"), ("expression", "this")):
            if not isinstance(node.args[side], exp.And | exp.Or):
                yield _text(node.args[side]), False, _keeping(other)
    elif isinstance(node, exp.SetOperation):
        word = type(node).__name__.upper()
        yield f"{word} {_text(node.expression)}", False, _keeping("this")
        yield f"{_text(node.this)} {word}", False, _keeping("expression")


def _is_condition(node: Any) -> bool:
    """Whether it decides alone which rows a WHERE, HAVING or QUALIFY keeps."""
    from sqlglot import exp

    above = node.parent
    while isinstance(above, exp.And | exp.Or | exp.Paren):
        above = above.parent
    return isinstance(above, exp.Where | exp.Having | exp.Qualify)


def _text(node: Any) -> str:
    return str(node.sql())


def _pop(node: Any, tree: Any) -> Any:
    node.pop()
    return tree


def _without_distinct(node: Any, tree: Any) -> Any:
    node.replace(node.expressions[0])
    return tree


def _keeping(side: str) -> Removal:
    def keep(node: Any, tree: Any) -> Any:
        kept = node.args[side]
        if node is tree:
            kept = kept.copy()
            for name in ("with_", "order", "limit", "offset"):  # they belong to the whole
                if node.args.get(name) is not None and kept.args.get(name) is None:
                    kept.set(name, node.args[name].copy())
            return kept
        node.replace(kept)
        return tree

    return keep
