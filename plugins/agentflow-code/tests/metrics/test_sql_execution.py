from __future__ import annotations

import sqlite3

import pytest

from agentflow_code.metrics.sql_execution import SqlExecution, SqlExecutionConfig
from agentflow_code.sql import verdicts
from agentflow_core.errors import SandboxError
from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.records import Task

ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"


@pytest.fixture
def shops(tmp_path):
    """Two databases of one schema, as of a test suite."""
    paths = {}
    for name, rows in (("shop", [(1, "Ulm"), (2, "Wien"), (3, "Ulm")]), ("shop-2", [(1, "Bonn"), (9, "Bonn")])):
        paths[name] = tmp_path / f"{name}.sqlite"
        connection = sqlite3.connect(paths[name])
        connection.execute("CREATE TABLE city (id INTEGER, name TEXT)")
        connection.executemany("INSERT INTO city VALUES (?, ?)", rows)
        connection.commit()
        connection.close()
    return paths


def sample(prediction, gold="SELECT id, name FROM city", references=(), **metadata):
    task = Task(id="t", question="q", metadata={"sql": gold, "db_id": "shop", **metadata}, references=tuple(references))
    return ScoredSample(task=task, prediction=prediction, references=tuple(references))


async def test_verdicts_by_both_rules(opened, shops):
    cases = [  # prediction, gold, spider, bird
        ("SELECT id, name FROM city", "SELECT id, name FROM city", 1, 1),
        ("SELECT name, id FROM city", "SELECT id, name FROM city", 1, 0),
        ("SELECT id, name FROM city ORDER BY id DESC", "SELECT id, name FROM city", 1, 1),
        ("SELECT id FROM city", "SELECT id FROM city ORDER BY id DESC", 0, 1),
        ("SELECT name FROM city", "SELECT DISTINCT name FROM city", 1, 1),
        ("SELECT name FROM city LIMIT 2", "SELECT name FROM city", 0, 1),
        ("SELECT 1.0", "SELECT 1", 1, 1),
        ("SELECT '1'", "SELECT 1", 0, 0),
        ("SELECT id FROM city WHERE 0", "SELECT name FROM city WHERE 0", 1, 1),
        ("SELECT nothing FROM city", "SELECT id FROM city", 0, 0),
        ("SELECT id FROM city; SELECT 1", "SELECT id FROM city", 1, 0),
        ("```sql\nSELECT id FROM city\n```", "SELECT id FROM city", 1, 1),
        ("DELETE FROM city", "SELECT id FROM city", 0, 0),
        ("SELECT CAST(x'C341' AS TEXT)", "SELECT 'A'", 1, 0),
    ]
    async with opened(databases=shops) as sandbox:
        for prediction, gold, *expected in cases:
            for rules, value in zip(("spider", "bird"), expected, strict=True):
                metric = SqlExecution(SqlExecutionConfig(rules=rules))
                score = await metric.score(sample(prediction, gold), MetricContext(sandbox=sandbox))
                assert (score.value, score.graded) == (value, True), (prediction, gold, rules, score.reason)
        assert not await sandbox.list_sessions()


async def test_faults_are_the_predictions_or_leave_the_sample_ungraded(opened, shops):
    metric = SqlExecution(SqlExecutionConfig(timeout_s=0.5))
    huge = "SELECT hex(randomblob(1000000)) FROM city, (WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t)"
    async with opened(databases=shops) as sandbox:
        context = MetricContext(sandbox=sandbox)
        assert (await metric.score(sample(ENDLESS), context)).value == 0
        patient = SqlExecution(SqlExecutionConfig(timeout_s=60))
        died = await patient.score(sample(huge), context)
        assert (died.value, died.graded) == (0, True), died.reason
        for wrong in (sample("SELECT 1", ENDLESS), sample("SELECT 1", "SELEC"), sample("SELECT 1", db_id="nowhere")):
            score = await metric.score(wrong, context)
            assert (score.value, score.graded) == (0, False), score.reason
        unnamed = ScoredSample(
            task=Task(id="t", question="q", metadata={"sql": "SELECT 1"}), prediction="SELECT 1", references=()
        )
        assert "names none of the 2" in (await metric.score(unnamed, context)).reason


async def test_a_suite_of_databases_wants_the_prediction_right_on_each(opened, shops):
    metric = SqlExecution()
    async with opened(databases=shops) as sandbox:
        context = MetricContext(sandbox=sandbox)
        lucky = sample("SELECT id FROM city WHERE id < 4", "SELECT id FROM city")
        assert (await metric.score(lucky, context)).value == 1
        suite = sample("SELECT id FROM city WHERE id < 4", "SELECT id FROM city", databases=["shop", "shop-2"])
        assert (await metric.score(suite, context)).value == 0
        right = sample("SELECT id FROM city", "SELECT id FROM city", databases=["shop", "shop-2"])
        assert (await metric.score(right, context)).value == 1


async def test_distinct_counts_where_it_is_kept(opened, shops):
    pair = sample("SELECT name FROM city", "SELECT DISTINCT name FROM city")
    async with opened(databases=shops) as sandbox:
        context = MetricContext(sandbox=sandbox)
        assert (await SqlExecution().score(pair, context)).value == 1
        assert (await SqlExecution(SqlExecutionConfig(keep_distinct=True)).score(pair, context)).value == 0


async def test_a_task_without_gold_takes_its_references(opened, shops):
    task = Task(id="t", question="q", references=("SELECT 5", "SELECT id FROM city"))
    both = ScoredSample(task=task, prediction="SELECT id FROM city ORDER BY 1 DESC", references=task.references)
    metric = SqlExecution(SqlExecutionConfig(database="shop"))
    async with opened(databases=shops) as sandbox:
        assert (await metric.score(both, MetricContext(sandbox=sandbox))).value == 1


class Broken:
    """A sandbox that fails."""

    def worker(self, label):
        return self

    async def create_session(self, backends, *, call_id=None):
        raise SandboxError("the server is gone", code="provider_unavailable")

    async def aclose(self):
        """Nothing."""


async def test_a_sandbox_that_fails_leaves_the_sample_ungraded():
    score = await SqlExecution().score(sample("SELECT 1"), MetricContext(sandbox=Broken()))
    assert (score.graded, score.reason) == (False, "the sandbox failed (provider_unavailable): the server is gone")


@pytest.mark.parametrize(
    ("given", "value", "graded"),
    [
        (sample(None), 0, True),
        (sample(""), 0, True),
        (sample("SELECT 1"), 0, False),
        (sample("SELECT 1", ""), 0, False),
    ],
)
async def test_what_needs_no_sandbox_is_decided_without(given, value, graded):
    score = await SqlExecution().score(given, MetricContext())
    assert (score.value, score.graded) == (value, graded)


def test_bird_gives_both_queries_one_time_together(shops):
    payload = {"path": str(shops["shop"]), "rules": "bird", "keep_distinct": False, "timeout_s": 5.0}
    assert verdicts.run_gold({**payload, "sql": "SELECT 1"}) == {"rows": 1}
    verdicts._gold["seconds"] = 4.9
    assert not verdicts.compare({**payload, "sql": ENDLESS})["equal"]


@pytest.mark.parametrize("rules", ["spider", "bird"])
def test_queries_are_compared_on_other_engines_too(tmp_path, rules):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,[1]\n", encoding="utf-8")
    payload = {"name": "t", "path": str(path), "rules": rules, "keep_distinct": False, "timeout_s": 20.0}
    assert verdicts.run_gold({**payload, "sql": "SELECT [a], {'x': a} FROM t"}) == {"rows": 1}
    assert verdicts.compare({**payload, "sql": "SELECT [1], {'x': 1}"})["equal"]
