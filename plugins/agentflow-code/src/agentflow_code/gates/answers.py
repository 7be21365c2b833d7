"""Whether the rows of a result are the answer that a draft states."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from agentflow_core.gates.reading import answer_forms, list_items
from agentflow_core.text import dates, normalize_answer, only_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from agentflow_core.records import QA

__all__ = ["gives_answer", "same_value"]

_YES = frozenset({"yes", "true"})
_NO = frozenset({"no", "false"})


def gives_answer(rows: Sequence[Sequence[Any]], draft: QA, *, ordered: bool) -> bool:
    """Whether the cells of the rows, in order or in any, are the answer or an alias.

    One cell is compared as a value: numbers by what they are (not rounded), dates in any form, texts apart from case,
    punctuation and articles, truth with yes and no. Several are compared with the items of the answer: those of a JSON
    list, or what commas, semicolons, lines and ``and`` part, where no cell holds such a mark itself.
    """
    cells = [cell for row in rows for cell in row if cell is not None]
    if not cells:
        return False
    return any(_is(cells, form, ordered=ordered) for form in answer_forms(draft))


def _is(cells: Sequence[Any], form: str, *, ordered: bool) -> bool:
    if len(cells) == 1 and same_value(cells[0], form):
        return True
    items = _json_items(form)
    if items is not None:
        return _match(cells, items, ordered=ordered)
    if _match(cells, list_items(form), ordered=ordered):
        return True
    return _consumed(cells, form, ordered=ordered)


def _json_items(form: str) -> list[str] | None:
    if not form.lstrip().startswith("["):
        return None
    try:
        value = json.loads(form)
    except ValueError:
        return None
    cells = [cell for item in value for cell in (item if isinstance(item, list) else [item])]
    return [cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]


def _match(cells: Sequence[Any], items: Sequence[str], *, ordered: bool) -> bool:
    if len(cells) != len(items):
        return False
    if ordered:
        return all(same_value(cell, item) for cell, item in zip(cells, items, strict=True))
    left = list(items)
    for cell in cells:
        at = next((at for at, item in enumerate(left) if same_value(cell, item)), None)
        if at is None:
            return False
        del left[at]
    return True


def _consumed(cells: Sequence[Any], form: str, *, ordered: bool) -> bool:
    """Whether the answer is nothing but the cells, of which some hold what else parts items."""
    rest = f" {normalize_answer(form)} "
    texts = [f" {normalize_answer(_text(cell))} " for cell in cells]
    if ordered:
        return " ".join("".join(texts).split()) == " ".join(rest.replace(" and ", " ").split())
    for text in sorted(texts, key=len, reverse=True):
        if text.strip() and text not in rest:
            return False
        rest = rest.replace(text, "  ", 1)
    return not rest.replace(" and ", " ").strip()


def same_value(cell: Any, form: str) -> bool:
    """Whether one cell and one text are the same value."""
    said = normalize_answer(form)
    if said in _YES | _NO and (isinstance(cell, bool) or cell in (0, 1)):
        return bool(cell) == (said in _YES)
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        value = only_number(form)
        return value is not None and _is_number(value, cell)
    text = _text(cell)
    if normalize_answer(text) == said:
        return bool(said) or text.strip() == form.strip()
    mine, its = list(dates(text)), list(dates(form))
    if len(mine) == 1 and mine == its and _is_only_date(text):
        return True
    number, other = only_number(text), only_number(form)
    return number is not None and number == other and _is_only_number(text) and _is_only_number(form)


def _is_number(value: Decimal, cell: float) -> bool:
    """Equal; of a floating point number but for what adding up in another order makes of its last digits."""
    if isinstance(cell, int):
        return value == cell
    return math.isclose(float(value), cell, rel_tol=1e-11, abs_tol=1e-12)


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return text.removesuffix("T00:00:00").removesuffix(" 00:00:00")


def _is_only_date(text: str) -> bool:
    return len(text.strip()) <= 10


def _is_only_number(text: str) -> bool:
    try:
        float(text.strip().replace(",", ""))
    except ValueError:
        return False
    return True
