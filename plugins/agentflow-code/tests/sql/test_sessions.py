"""The data tools in real sessions."""

from __future__ import annotations

import time

from agentflow_code.config import DatabaseConfig
from agentflow_core.records import Observation


async def test_the_tools_answer_with_data_and_with_text(opened, shop, tables):
    async with opened(databases={"shop": shop}, files=tables) as sandbox:
        listed = await sandbox.execute("code:list_databases", {})
        assert {one["name"] for one in listed.data["databases"]} == {"files", "shop"}
        found = await sandbox.execute(
            "code:sql", {"query": "SELECT name FROM city ORDER BY id", "database": "shop", "limit": 2}
        )
        assert found.data["rows"] == [["Ulm"], ["Wien"]]
        assert found.text.endswith("(rows 1–2 of 3; offset=2 shows the next)")
        assert "→ city.id" in (await sandbox.execute("code:schema", {"database": "shop"})).text
        joined = "SELECT country, sum(amount) AS total FROM sale JOIN city USING (name) GROUP BY 1 ORDER BY 1"
        assert (await sandbox.execute("code:sql", {"query": joined, "database": "files"})).data["rows"] == [
            ["AT", 3.0],
            ["DE", 10.5],
        ]
        assert "top DE ×2" in (await sandbox.execute("code:profile", {"path": "city.csv"})).text


async def test_data_moves_between_python_and_sql(opened, tables):
    async with opened(files=tables) as sandbox:
        code = "import pandas as pd\ndf = pd.read_csv('data/city.csv')\ndf.to_csv('out.csv', index=False)"
        assert (await sandbox.execute("code:run", {"code": code})).data["error"] is None
        assert (await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM df"})).data["rows"] == [[3]]
        assert (await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM 'out.csv'"})).data["rows"] == [[3]]
        linked = await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM 'data/city.csv'"})
        assert linked.data["rows"] == [[3]]
        assert (await sandbox.execute("code:profile", {"variable": "df"})).data["row_count"] == 3


async def test_a_session_outlives_what_is_too_long_or_too_large(opened, shop, tables):
    async with opened(databases={"shop": shop}, files=tables) as sandbox:
        await sandbox.execute("code:run", {"code": "kept = 7"})
        endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
        for database in ("shop", "files"):
            found = await sandbox.execute("code:sql", {"query": endless, "database": database, "timeout_s": 0.5})
            assert found.code == "timeout"
        large = await sandbox.execute("code:sql", {"query": "SELECT repeat('x', 3000000000)", "database": "files"})
        assert large.code == "memory_limit"
        read = await sandbox.execute("code:sql", {"query": "FROM read_text('/etc/passwd')", "database": "files"})
        assert read.code == "policy_denied"
        assert (await sandbox.execute("code:run", {"code": "kept"})).text == "7"


async def test_a_call_that_is_given_up_leaves_the_session_as_it_was(opened, shop):
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    async with opened(databases={"shop": shop}) as sandbox:
        await sandbox.execute("code:run", {"code": "kept = 7"})
        began = time.monotonic()
        given_up = await sandbox.execute("code:sql", {"query": endless}, timeout_s=1)
        assert given_up.code == "timeout"
        assert (await sandbox.execute("code:run", {"code": "kept"})).text == "7"
        assert time.monotonic() - began < 30


async def test_writable_databases_are_of_each_session_its_own(opened, shop):
    databases = {"shop": DatabaseConfig(path=shop, writable=True)}
    async with opened(databases=databases) as sandbox:
        one, two = sandbox.worker("one"), sandbox.worker("two")
        assert (await one.execute("code:sql", {"query": "DELETE FROM sale"})).data["rows"] == [[3]]
        assert (await one.execute("code:sql", {"query": "SELECT count(*) FROM sale"})).data["rows"] == [[0]]
        assert (await two.execute("code:sql", {"query": "SELECT count(*) FROM sale"})).data["rows"] == [[3]]


async def test_the_same_query_counts_as_the_same_whatever_the_order_of_its_rows(opened, shop):
    async with opened(databases={"shop": shop}) as sandbox:
        compare = sandbox.tool_traits("code:sql")["compare"]
        assert compare(Observation(text="| a |\n| b |"), Observation(text="| b |\n| a |"))
        assert not compare(Observation(text="| a |"), Observation(text="| b |"))


async def test_sql_works_where_nothing_is_confined(opened, shop, tables):
    async with opened(kind="none", databases={"shop": shop}, files=tables) as sandbox:
        assert (await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM city", "database": "shop"})).data[
            "rows"
        ] == [[3]]
        assert (await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM city", "database": "files"})).data[
            "rows"
        ] == [[3]]
        denied = await sandbox.execute("code:sql", {"query": "FROM read_text('/etc/passwd')", "database": "files"})
        assert denied.code == "policy_denied"


async def test_chinook_is_described_with_its_joins(opened, chinook):
    async with opened(databases={"chinook": chinook}) as sandbox:
        found = await sandbox.execute("code:schema", {})
        tables = {table["name"]: table for table in found.data["tables"]}
        assert len(tables) == 11
        assert {key["table"] for key in tables["Track"]["foreign_keys"]} == {"Album", "Genre", "MediaType"}
        total = await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM Track"})
        assert total.data["rows"] == [[3503]]


async def test_an_interpreter_that_answers_anything_is_not_believed(opened, shop):
    code = (
        "import agentflow_code.sql.inside as i\ni.query = lambda payload: {'rows': 3}\ni.schema = lambda payload: [1]"
    )
    async with opened(databases={"shop": shop}) as sandbox:
        await sandbox.execute("code:run", {"code": code})
        assert (await sandbox.execute("code:sql", {"query": "SELECT 1"})).code == "internal"
        assert (await sandbox.execute("code:schema", {})).code == "internal"
        await sandbox.execute("code:reset", {})
        assert (await sandbox.execute("code:sql", {"query": "SELECT 1"})).ok


async def test_a_fork_has_a_copy_of_what_was_changed(opened, shop):
    async with opened(databases={"shop": DatabaseConfig(path=shop, writable=True)}) as sandbox:
        await sandbox.execute("code:sql", {"query": "DELETE FROM sale"})
        [session] = await sandbox.list_sessions()
        forked = await sandbox.fork(session.id)
        found = await sandbox.execute("code:sql", {"query": "SELECT count(*) FROM sale"}, session=forked.id)
        assert found.data["rows"] == [[0]]
