from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_code.metrics.extracting import extract_sql


@pytest.mark.parametrize(
    ("answer", "sql"),
    [
        ("SELECT 1", "SELECT 1"),
        ("  SELECT 1;\n", "SELECT 1;"),
        ("Here it is:\n```sql\nSELECT 1\n```\nGood luck.", "SELECT 1"),
        ("```SQL\nSELECT 1\n```\n```sql\nSELECT 2\n```", "SELECT 2"),
        ("```python\nprint()\n```\n```sqlite\nSELECT 2\n```\n```text\nrows\n```", "SELECT 2"),
        ("```\nSELECT 3\n```", "SELECT 3"),
        ("```sql\nSELECT 4", "SELECT 4"),
        ("I tried `SELECT 0`.\n<answer>SELECT 5</answer>", "SELECT 5"),
        ("<answer>```sql\nSELECT 6\n```</answer>", "SELECT 6"),
        ("<answer>SELECT 1</answer> no: <ANSWER> SELECT 7 </ANSWER>", "SELECT 7"),
        ("`SELECT 8`", "SELECT 8"),
        ("SELECT `a` FROM `t`", "SELECT `a` FROM `t`"),
        ("The answer is SELECT 9", "The answer is SELECT 9"),
        ("", ""),
        ("<answer></answer>", ""),
        ("```sql\r\nSELECT 1\r\n```", "SELECT 1"),
    ],
)
def test_the_query_in_an_answer(answer, sql):
    assert extract_sql(answer) == sql


@given(st.text())
def test_every_text_has_some_query_or_none(answer):
    assert extract_sql(answer) in answer
