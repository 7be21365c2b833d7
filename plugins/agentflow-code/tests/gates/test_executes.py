from __future__ import annotations

import itertools
import sqlite3

import pytest

from agentflow_code.gates.executes import Executes
from agentflow_code.gates.necessity import ClausesConfig, ClausesNecessary
from agentflow_core.errors import SandboxError
from agentflow_core.records import Action, ToolResult


async def test_the_sql_runs_twice_in_sessions_of_their_own(answering, draft, context):
    sandbox = answering([[347]])
    outcome = await Executes().check(
        draft(sql="SELECT 1", database="chinook"), context(sandbox, session={"code": {"files": []}})
    )
    assert outcome.passed
    assert [(label, params["database"]) for label, _, params in sandbox.calls] == [
        ("s/0#0/executes/sql-1", "chinook"), ("s/0#0/executes/sql-2", "chinook"),
    ]  # fmt: skip
    assert [settings for _, settings in sandbox.opened] == [{"code": {"files": []}}] * 2
    assert sandbox.closed == ["s/0#0/executes/sql-1", "s/0#0/executes/sql-2"]


async def test_the_database_is_that_of_the_paths_last_query(answering, draft, context):
    sandbox = answering([[347]])
    path = (Action(tool="code:sql", params={"query": "x", "database": "b"}), Action(tool="code:schema", params={}))
    await Executes().check(draft(sql="SELECT 1"), context(sandbox, actions=path))
    assert sandbox.calls[0][2]["database"] == "b"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([], "gives nothing"), ([[None]], "gives nothing"), ([[""]], "gives nothing"), ([[348]], "not '347'")],
)
async def test_nothing_and_something_else_are_refused(answering, draft, context, rows, reason):
    outcome = await Executes().check(draft(sql="SELECT 1"), context(answering(rows)))
    assert not outcome.passed
    assert reason in outcome.reason


async def test_what_differs_the_second_time_is_refused(answering, draft, context, result_of):
    numbers = itertools.count()
    sandbox = answering(lambda tool, params: result_of([[347 - next(numbers)]]))
    outcome = await Executes().check(draft(sql="SELECT 1"), context(sandbox))
    assert (outcome.passed, outcome.reason) == (False, "the sql gives something else the second time")


async def test_order_counts_only_where_it_is_asked_for(answering, draft, context, result_of):
    def alternating():
        turns = itertools.cycle([[["a"], ["b"]], [["b"], ["a"]]])
        return answering(lambda tool, params: result_of(next(turns)))

    unasked = draft(answer="a, b", question="Which genres are there?", sql="SELECT 1")
    asked = draft(answer="a, b", question="Which genres are there, in order?", sql="SELECT 1")
    assert (await Executes().check(unasked, context(alternating()))).passed
    assert not (await Executes().check(asked, context(alternating()))).passed


async def test_a_failing_query_is_refused_with_its_error(answering, draft, context):
    sandbox = answering(lambda tool, params: ToolResult.failure("not_found", "no table 'x'"))
    outcome = await Executes().check(draft(sql="SELECT * FROM x"), context(sandbox))
    assert (outcome.passed, outcome.reason) == (False, "the sql fails: not_found: no table 'x'")


@pytest.mark.parametrize("code", ["overloaded", "session_lost", "provider_unavailable"])
async def test_a_sandbox_that_fails_says_nothing_about_the_draft(answering, draft, context, code):
    sandbox = answering(lambda tool, params: ToolResult.failure(code, "no room"))
    with pytest.raises(SandboxError):
        await Executes().check(draft(sql="SELECT 1"), context(sandbox))
    assert sandbox.closed


async def test_without_a_sandbox_the_gate_cannot_judge(draft, context):
    with pytest.raises(SandboxError):
        await Executes().check(draft(sql="SELECT 1"), context())


async def test_a_draft_with_nothing_to_run_is_refused(answering, draft, context):
    assert not (await Executes().check(draft(), context(answering([])))).passed


@pytest.mark.parametrize(
    "data",
    [
        {"stdout": "", "results": [{"kind": "result", "mime": {"text/plain": "347"}}]},
        {"stdout": "", "results": [{"kind": "result", "mime": {"text/plain": "np.int64(347)"}}]},
        {"stdout": "working…\n347\n", "results": []},
        {
            "stdout": "",
            "results": [
                {
                    "kind": "result",
                    "mime": {},
                    "table": {"columns": [{}], "rows": [[347]], "index": ["x"], "truncated": False},
                }
            ],
        },
    ],
)
async def test_code_answers_by_its_last_value_or_by_what_it_prints(answering, draft, context, data):
    sandbox = answering(lambda tool, params: ToolResult.success({**data, "error": None}, text=""))
    assert (await Executes().check(draft(code="…"), context(sandbox))).passed


async def test_code_that_raises_is_refused(answering, draft, context):
    data = {"stdout": "347", "results": [], "error": {"name": "ValueError", "value": "no"}}
    outcome = await Executes().check(
        draft(code="…"), context(answering(lambda tool, params: ToolResult.success(data, text="")))
    )
    assert (outcome.passed, outcome.reason) == (False, "the code fails: ValueError: no")


async def test_a_draft_with_both_is_held_to_both(answering, draft, context, result_of):
    def answer(tool, params):
        return (
            result_of([[347]])
            if tool == "code:sql"
            else ToolResult.success({"stdout": "5", "results": [], "error": None}, text="")
        )

    outcome = await Executes().check(draft(sql="SELECT 1", code="5"), context(answering(answer)))
    assert "the code gives" in outcome.reason


async def test_a_clause_that_changes_nothing_is_named(answering, draft, context, result_of):
    sandbox = answering(lambda tool, params: result_of([[1 if "a = 1" in params["query"] else 2]]))
    outcome = await ClausesNecessary().check(draft(sql="SELECT x FROM t WHERE a = 1 AND b = 2"), context(sandbox))
    assert (outcome.passed, outcome.reason) == (False, "without 'b = 2' the result is the same")
    assert sandbox.closed == ["s/0#0/clauses_necessary"]


async def test_a_variant_that_fails_counts_as_changed(answering, draft, context, result_of):
    def answer(tool, params):
        return result_of([[1]]) if "JOIN" in params["query"] else ToolResult.failure("not_found", "no column")

    outcome = await ClausesNecessary().check(
        draft(sql="SELECT u.x FROM t JOIN u ON t.a = u.a"), context(answering(answer))
    )
    assert (outcome.passed, outcome.reason) == (True, "taking out any of 1 clauses changes the result")


async def test_an_order_is_compared_in_order(answering, draft, context, result_of):
    sandbox = answering(lambda tool, params: result_of([[1], [2]] if "ORDER" in params["query"] else [[2], [1]]))
    assert (await ClausesNecessary().check(draft(sql="SELECT a FROM t ORDER BY a"), context(sandbox))).passed


async def test_a_draft_without_sql_has_no_clauses(draft, context):
    assert (await ClausesNecessary().check(draft(code="1"), context())).passed


async def test_a_query_with_too_many_clauses_is_refused(answering, draft, context):
    gate = ClausesNecessary(ClausesConfig(most=2))
    outcome = await gate.check(draft(sql="SELECT a FROM t WHERE a = 1 AND b = 2 AND c = 3"), context(answering([[1]])))
    assert "too many" in outcome.reason


async def test_both_gates_hold_on_a_real_database(opened, tmp_path, draft, context):
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE city (id, name); INSERT INTO city VALUES (1, 'Ulm'), (2, 'Wien');"
        "CREATE TABLE sale (city, n); INSERT INTO sale VALUES (1, 5), (1, 6), (2, 7)"
    )
    connection.close()
    good = "SELECT sum(s.n) FROM sale s JOIN city c ON c.id = s.city WHERE c.name = 'Ulm'"
    idle = f"{good} AND s.n > 0"
    async with opened(databases={"shop": path}) as sandbox:
        assert (await Executes().check(draft(answer="11", sql=good), context(sandbox))).passed
        assert not (await Executes().check(draft(answer="12", sql=good), context(sandbox))).passed
        assert not (await Executes().check(draft(answer="0.5", sql="SELECT random()"), context(sandbox))).passed
        assert (await Executes().check(draft(answer="42", code="6 * 7"), context(sandbox))).passed
        assert (await ClausesNecessary().check(draft(answer="11", sql=good), context(sandbox))).passed
        outcome = await ClausesNecessary().check(draft(answer="11", sql=idle), context(sandbox))
        assert outcome.reason == "without 's.n > 0' the result is the same"
        assert not await sandbox.list_sessions()
