from __future__ import annotations

import json
import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentflow_code.sql.rendering import rows_text, table_text
from agentflow_code.sql.values import COUNTED, Window, collect, plain

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.datetimes()
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(VALUES)
def test_every_value_is_json_without_nan(value):
    json.dumps(plain(value), allow_nan=False)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_a_decimal_reads_back_exactly(value):
    assert Decimal(str(plain(value))) == value


@given(st.lists(st.tuples(st.integers(), st.text(max_size=30))), st.integers(1, 5), st.integers(0, 5))
def test_a_window_is_a_slice_of_the_result(rows, limit, offset):
    found = collect(["a", "b"], ["INTEGER", "TEXT"], [rows[:3], rows[3:]], Window(limit, offset))
    assert found["row_count"] == len(rows)
    assert len(found["rows"]) == len(rows[offset : offset + limit])
    assert found["truncated"] == (offset + len(found["rows"]) < len(rows))


def test_rows_are_counted_up_to_a_bound():
    assert collect(["a"], None, [[(n,) for n in range(COUNTED)]], Window())["row_count"] == COUNTED
    assert collect(["a"], None, ([(1,)] for _ in range(COUNTED + 1)), Window())["row_count"] is None


def test_types_come_from_the_values_where_the_engine_has_none():
    found = collect(["a", "b", "c"], None, [[(1, None, None), (2.5, "x", None)]], Window())
    assert [column["type"] for column in found["columns"]] == ["INTEGER/REAL", "TEXT", "NULL"]


def test_a_long_cell_is_cut():
    assert plain("x" * 5000) == "x" * 4000 + "…"
    assert math.isclose(len(plain(b"x" * 5000)), 4001)


def test_a_table_is_markdown_whatever_its_cells_hold():
    text = table_text(["n", "a|b"], [[1, "x|y\nz"], [None, "é"]])
    assert text.splitlines() == [
        "|    n | a\\|b    |",
        "|-----:|---------|",
        "|    1 | x\\|y\\nz |",
        "| NULL | é       |",
    ]


def test_the_text_says_what_is_left_out():
    columns = [{"name": "a", "type": "INTEGER"}]
    whole = {"columns": columns, "rows": [[1]], "row_count": 1, "offset": 0, "truncated": False}
    assert rows_text(whole).endswith("(1 row)")
    assert rows_text({**whole, "row_count": 5, "truncated": True}).endswith("(rows 1–1 of 5; offset=1 shows the next)")
    assert "more than 2,000" in rows_text({**whole, "row_count": None, "truncated": True})
    assert rows_text({**whole, "rows": [], "row_count": 0}).endswith("(0 rows)")
