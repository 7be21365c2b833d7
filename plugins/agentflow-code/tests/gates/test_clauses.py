from __future__ import annotations

import sqlite3

import pytest

from agentflow_code.gates.clauses import Unreadable, rendered, variants


def found(sql, dialect="sqlite"):
    return {variant.without: variant for variant in variants(sql, dialect)}


def test_every_clause_goes_once():
    sql = (
        "SELECT DISTINCT g.Name, COUNT(*) AS n FROM Track t JOIN Genre g ON t.GenreId = g.GenreId "
        "WHERE t.Milliseconds > 5 AND (g.Name = 'x' OR g.Name = 'y') GROUP BY g.Name HAVING COUNT(*) > 2 "
        "ORDER BY n DESC LIMIT 3 OFFSET 1"
    )
    assert sorted(found(sql)) == [
        "(g.Name = 'x' OR g.Name = 'y')",
        "DISTINCT",
        "HAVING COUNT(*) > 2",
        "JOIN Genre AS g ON t.GenreId = g.GenreId",
        "LIMIT 3",
        "OFFSET 1",
        "ORDER BY n DESC",
        "g.Name = 'x'",
        "g.Name = 'y'",
        "t.Milliseconds > 5",
    ]


@pytest.mark.parametrize(
    ("sql", "without", "left"),
    [
        ("SELECT a FROM t WHERE a = 1", "WHERE a = 1", "SELECT a FROM t"),
        ("SELECT a FROM t WHERE a = 1 AND b = 2 AND c = 3", "b = 2", "SELECT a FROM t WHERE a = 1 AND c = 3"),
        ("SELECT a FROM t, u WHERE t.x = u.x", "CROSS JOIN u", "SELECT a FROM t WHERE t.x = u.x"),
        ("SELECT COUNT(DISTINCT a) FROM t", "DISTINCT a", "SELECT COUNT(a) FROM t"),
        (
            "SELECT a FROM t UNION SELECT b FROM u ORDER BY 1 LIMIT 2",
            "UNION SELECT b FROM u",
            "SELECT a FROM t ORDER BY 1 LIMIT 2",
        ),
        (
            "WITH r AS (SELECT a FROM t WHERE a > 1) SELECT MAX(a) FROM r",
            "WHERE a > 1",
            "WITH r AS (SELECT a FROM t) SELECT MAX(a) FROM r",
        ),
        (
            "SELECT a FROM t WHERE b IN (SELECT b FROM u WHERE c = 1)",
            "WHERE c = 1",
            "SELECT a FROM t WHERE b IN (SELECT b FROM u)",
        ),
    ],
)
def test_what_is_left_without_a_clause(sql, without, left):
    assert found(sql)[without].sql == left


def test_an_order_alone_is_told_from_one_that_a_limit_cuts():
    assert found("SELECT a FROM t ORDER BY a")["ORDER BY a"].is_order
    assert not found("SELECT a FROM t ORDER BY a LIMIT 1")["ORDER BY a"].is_order


def test_a_condition_inside_an_expression_stays():
    assert list(variants("SELECT a = 1 AND b = 2 FROM t", "sqlite")) == []
    assert sorted(found("SELECT a FROM t WHERE NOT (a = 1 AND b = 2)")) == ["WHERE NOT (a = 1 AND b = 2)"]


@pytest.mark.parametrize("sql", ["DELETE FROM t", "SELECT 1; SELECT 2", "selec x from y z w", "", "(((((("])
def test_what_is_no_query_is_unreadable(sql):
    with pytest.raises(Unreadable):
        list(variants(sql, "sqlite"))


def test_chinooks_queries_are_written_without_a_change():
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (NULL, 'z')")
    for sql in (
        "SELECT b FROM t ORDER BY a DESC", "SELECT a / 2, a || b FROM t", "SELECT CAST(a AS REAL) FROM t WHERE b LIKE 'x%'",
        "SELECT strftime('%Y', '2024-02-29'), substr(b, 1, 1), ifnull(a, 0) FROM t", "SELECT [a] FROM [t] WHERE \"b\" <> 'x'",
    ):  # fmt: skip
        assert connection.execute(sql).fetchall() == connection.execute(rendered(sql, "sqlite")).fetchall()
    connection.close()
