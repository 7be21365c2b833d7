"""Plans: which there are, that SQL and Python mean the same by them, and that a question stands for one of them."""

from __future__ import annotations

import ast
import math
from collections import defaultdict

import duckdb
import pytest

from agentflow_code.offline.composing import compose
from agentflow_code.offline.english import question_of
from agentflow_code.offline.python import code_of
from agentflow_code.offline.sql import query_of
from agentflow_code.offline.tables import Known, known_of_profiles, known_of_schema
from agentflow_code.offline.words import article, plural, singular, words_of
from agentflow_core.records import Action


@pytest.fixture
def known(database):
    return known_of_schema(database(Action(tool="code:schema")).data, Known())


@pytest.fixture
def profiled(files):
    names = ("albums", "artists", "tracks")
    paths = [f"data/{name}.csv" for name in names]
    return known_of_profiles([(path, files(Action(tool="code:profile", params={"path": path})).data) for path in paths])


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("category", "categories"),
        ("box", "boxes"),
        ("person", "people"),
        ("invoice line", "invoice lines"),
        ("day", "days"),
    ],
)
def test_words_know_one_from_many(one, many):
    assert (plural(one), singular(many), singular(one)) == (many, one, one)


def test_names_are_cut_into_words():
    assert words_of("InvoiceLine") == words_of("invoice_line") == ["invoice", "line"]
    assert words_of("HTTPStatus2") == ["http", "status", "2"]
    assert (article("unit price"), article("invoice")) == ("a unit price", "an invoice")


def test_the_schema_tells_keys_labels_and_bridges(known):
    assert {(link.table, link.parent) for link in known.links} == {
        ("album", "artist"),
        ("track", "album"),
        ("playlist_track", "playlist"),
        ("playlist_track", "track"),
    }
    assert known.tables["artist"].label.name == "name"
    assert known.tables["album"].label.name == "title"
    assert [name for name in known.tables if known.is_bridge(name)] == ["playlist_track"]
    kinds = {column.name: column.kind for column in known.tables["track"].columns}
    assert kinds == {
        "track_id": "key",
        "name": "text",
        "album_id": "key",
        "genre": "text",
        "seconds": "number",
        "price": "number",
        "released": "date",
    }


def test_profiles_tell_keys_by_names_and_values(profiled):
    assert {(link.table, link.column, link.parent) for link in profiled.links} == {
        ("albums", "artist_id", "artists"),
        ("tracks", "album_id", "albums"),
    }
    assert profiled.tables["artists"].label.name == "artist"


def test_every_plan_is_a_query_that_runs(database, known):
    plans = compose(known, "tracks")
    assert {plan.kind for plan in plans} == {"number", "ranking", "groups", "lookup"}
    assert max(len(plan.links) for plan in plans) == 3
    for plan in plans:
        assert database(Action(tool="code:sql", params={"query": query_of(plan, known)})).ok


def test_a_bridge_counts_each_thing_once(database, known):
    plans = [plan for plan in compose(known, "playlists") if plan.base == "playlist_track" and plan.kind == "number"]
    assert plans
    for plan in plans:
        assert f"COUNT(DISTINCT playlist_track.{plan.subject}_id)" in query_of(plan, known)


def test_one_question_stands_for_one_plan(known):
    by_question = defaultdict(set)
    for plan in compose(known, "music"):
        if plan.kind != "ranking":
            by_question[question_of(plan, known)].add(query_of(plan, known))
    assert [question for question, queries in by_question.items() if len(queries) > 1] == []


def test_python_and_sql_mean_the_same_by_a_plan(files, profiled):
    plans = [plan for plan in compose(profiled, "tracks") if plan.kind != "ranking"]
    assert len(plans) > 100
    connection = duckdb.connect()
    for name in profiled.tables:
        connection.execute(f"CREATE TABLE {name} AS FROM read_csv('data/{name}.csv')")
    for plan in plans[::4]:
        printed = files(Action(tool="code:run", params={"code": code_of(plan, profiled)})).text
        [[value]] = connection.execute(query_of(plan, profiled)).fetchall()
        assert same(printed, value), (question_of(plan, profiled), printed, value)


def same(printed, value):
    if value is None:
        return printed in ("nan", "0", "0.0")  # of no rows at all; pandas says that they add up to 0
    if isinstance(value, str):
        return printed == value
    # both round half a cent, but not from the same binary fraction
    return math.isclose(float(ast.literal_eval(printed)), value, abs_tol=0.0101)


def test_the_order_of_plans_depends_on_the_salt_and_the_plans_do_not(known):
    one, other = (compose(known, "tracks", salt) for salt in ("a", "b"))
    assert one != other
    assert set(one) == set(other)
    assert one == compose(known, "tracks", "a")


def test_names_that_sql_would_take_apart_are_quoted():
    data = {
        "database": "d",
        "dialect": "sqlite",
        "tables": [
            {
                "name": "order",
                "row_count": 3,
                "primary_key": ["id"],
                "foreign_keys": [{"columns": ["group id"], "table": "group", "references": ["id"]}],
                "columns": [
                    {"name": "id", "type": "INTEGER", "distinct": 3},
                    {"name": "group id", "type": "INTEGER", "distinct": 1},
                ],
            },
            {
                "name": "group",
                "row_count": 1,
                "primary_key": ["id"],
                "foreign_keys": [],
                "columns": [
                    {"name": "id", "type": "INTEGER", "distinct": 1},
                    {"name": "name", "type": "TEXT", "distinct": 1, "samples": ["it's"]},
                ],
            },
        ],
    }
    known = known_of_schema(data, Known())
    plan = next(plan for plan in compose(known, "") if plan.filters)
    query = (
        'SELECT COUNT(*) FROM "order" JOIN "group" ON "order"."group id" = "group".id WHERE "group".name = \'it\'\'s\''
    )
    assert query_of(plan, known) == query
    assert question_of(plan, known) == 'How many orders of the group "it\'s" are there?'
