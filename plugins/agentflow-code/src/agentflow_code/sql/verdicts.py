"""Run a gold query and a predicted one in a session and compare them there, on the values that the engine gives.

``sql_execution`` sends two cells, one for each query, so that it can tell whose fault an end of the interpreter is::

    from agentflow_code.sql import verdicts
    verdicts.tell(verdicts.run_gold({...}))
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.engine import Connection, Database, Rows
from agentflow_code.sql.opening import Place, connect
from agentflow_code.sql.rules import as_official, bird_equal, comparable, order_matters, spider_equal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MARK", "compare", "run_gold", "tell", "verdict"]

#: Begins the line that holds the answer of a cell.
MARK: Final = "agentflow-verdict "

_gold: dict[str, Any] = {}


def tell(answer: Mapping[str, Any]) -> None:
    """Print the answer for whoever sent the cell."""
    print(f"\n{MARK}{json.dumps(answer)}", flush=True)  # noqa: T201


def run_gold(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Run the gold query and keep its rows.

    Args:
        payload: ``path`` of the database, ``sql``, ``rules``, ``keep_distinct``, ``timeout_s``.

    Returns:
        ``{rows: how many}``, or ``{error}``.
    """
    _gold.clear()
    began = time.monotonic()
    try:
        rows = _rows(payload, payload["timeout_s"])
    except Refused as refused:
        return {"error": f"{refused.code}: {refused.message}"}
    _gold.update(rows=rows, sql=_as_run(payload), seconds=time.monotonic() - began)
    return {"rows": len(rows)}


def compare(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Run the predicted query and compare its rows with those of gold.

    BIRD gives both queries one time together, so the prediction has what gold has left.

    Returns:
        ``{equal, reason}``.
    """
    is_bird = payload["rules"] == "bird"
    seconds = payload["timeout_s"] - (_gold["seconds"] if is_bird else 0.0)
    try:
        rows = _rows(payload, max(0.01, seconds))
    except Refused as refused:
        return {"equal": False, "reason": f"the prediction fails ({refused.code}): {refused.message}"}
    return verdict(_gold["rows"], rows, rules=payload["rules"], gold_sql=_gold["sql"])


def verdict(
    gold: Sequence[tuple[Any, ...]], predicted: Sequence[tuple[Any, ...]], *, rules: str, gold_sql: str
) -> dict[str, Any]:
    """``equal`` by the rules, and the ``reason`` in a sentence."""
    ordered = order_matters(gold_sql)
    if rules == "bird":
        equal, how = bird_equal(gold, predicted), "as sets of rows"
    else:
        equal = spider_equal(gold, predicted, ordered=ordered)
        how = "with their rows in order" if ordered else "with their rows in any order"
    size = f"{len(predicted)} rows of {len(predicted[0]) if predicted else 0} columns"
    wanted = f"{len(gold)} of {len(gold[0]) if gold else 0}"
    return {"equal": equal, "reason": f"{size} {'are' if equal else 'are not'} the {wanted} of gold, {how}"}


def _as_run(payload: Mapping[str, Any]) -> str:
    sql: str = payload["sql"]
    return sql if payload["rules"] == "bird" else as_official(sql, keep_distinct=payload["keep_distinct"])


def _rows(payload: Mapping[str, Any], seconds: float) -> list[tuple[Any, ...]]:
    place = Place({"workspace": os.getcwd(), "databases": {}, "files": {}, "timeout_s": seconds})
    connection = connect(place, Database(payload.get("name", "data"), payload["path"]))
    _decode_as_official(connection, payload["rules"])
    try:
        return connection.run(_as_run(payload), None, seconds, _comparable)
    finally:
        connection.close()


def _decode_as_official(connection: Connection, rules: str) -> None:
    """Spider's script drops bytes that are not UTF-8; in BIRD's they are an error."""
    if connection.dialect == "sqlite":
        connection.decoding = "strict" if rules == "bird" else "ignore"  # type: ignore[attr-defined]


def _comparable(rows: Rows) -> list[tuple[Any, ...]]:
    return comparable(list(rows))
