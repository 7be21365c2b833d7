"""Canonical keys of actions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.text import action_key, canonical_params, canonical_text, canonical_url

SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string"},
        "k": {"type": "integer", "default": 5},
        "exact": {"type": "boolean", "default": False},
        "filters": {"type": "object", "properties": {"lang": {"type": "string", "default": "en"}}, "default": {}},
    },
}


def key(**params):
    return action_key("rag:search", params, SCHEMA)


def test_a_key_is_readable_and_sorted():
    assert action_key("t", {"b": 1, "a": "x"}) == 't {"a":"x","b":1}'


@pytest.mark.parametrize(
    "params",
    [
        {"query": "  Ed   Wood "},
        {"query": "Ed\tWood"},
        {"query": "Ed\u00a0Wood"},
        {"query": "Ｅd Wood"},
        {"query": "Ed Wood", "k": 5},
        {"query": "Ed Wood", "k": 5.0},
        {"query": "Ed Wood", "k": "5"},
        {"query": "Ed Wood", "exact": False},
        {"query": "Ed Wood", "filters": {}},
        {"query": "Ed Wood", "filters": {"lang": "en"}},
    ],
)
def test_forms_of_one_call_have_one_key(params):
    assert key(**params) == key(query="Ed Wood")


@pytest.mark.parametrize(
    "params",
    [
        {"query": "ed wood"},
        {"query": "Ed Wood", "k": 6},
        {"query": "Ed Wood", "exact": True},
        {"query": "Ed, Wood"},
        {},
    ],
)
def test_calls_that_may_differ_have_different_keys(params):
    assert key(**params) != key(query="Ed Wood")


def test_true_is_not_one_and_text_is_not_a_number_unless_the_schema_says_so():
    assert action_key("t", {"a": True}) != action_key("t", {"a": 1})
    assert action_key("t", {"a": "1"}) != action_key("t", {"a": 1})
    assert action_key("t", {"a": True}, {"properties": {"a": {"default": 1}}}) == 't {"a":true}'


def test_the_order_of_lists_counts_and_that_of_keys_does_not():
    assert action_key("t", {"a": [1, 2]}) != action_key("t", {"a": [2, 1]})
    assert action_key("t", {"a": {"x": 1, "y": 2}}) == action_key("t", {"a": {"y": 2, "x": 1}})


def test_not_a_number_and_infinity_have_keys_that_are_json():
    text = action_key("t", {"a": float("nan"), "b": float("inf"), "c": -0.0})
    assert json.loads(text.split(" ", 1)[1]) == {"a": "nan", "b": "inf", "c": 0}


def test_indentation_and_quoted_space_mean_something():
    assert canonical_text("if x:\n    y") != canonical_text("if x:\n  y")
    assert canonical_text("\n if x:\r\n    y  \n\n") == " if x:\n    y"
    assert canonical_text("echo 'a  b'  c") == "echo 'a  b' c"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("HTTP://Example.COM:80/", "http://example.com"),
        ("https://example.com:443/a/", "https://example.com/a"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("https://example.com/?b=2&a=1", "https://example.com?a=1&b=2"),
        ("https://example.com/%7euser", "https://example.com/~user"),
        ("https://example.com/%2fx", "https://example.com/%2Fx"),
    ],
)
def test_forms_of_one_url_are_one(left, right):
    assert canonical_url(left) == canonical_url(right)
    assert canonical_text(f" {left} ") == canonical_text(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("https://example.com/A", "https://example.com/a"),
        ("https://example.com:8443/", "https://example.com/"),
        ("http://example.com/", "https://example.com/"),
        ("https://example.com/?a=1&a=2", "https://example.com/?a=2&a=1"),
    ],
)
def test_different_urls_stay_different(left, right):
    assert canonical_url(left) != canonical_url(right)


def test_a_url_that_cannot_be_read_stays_as_it_is():
    assert canonical_url("http://[::1/x") == "http://[::1/x"
    assert canonical_url("http://example.com:port/") == "http://example.com:port/"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT  name\nFROM t\n WHERE a = 'x  y' ;",
        "SELECT name FROM t WHERE a='x  y'",
        "-- names\nSELECT name /* all */ FROM t WHERE a = 'x  y'",
        "SELECT name FROM t WHERE a\t=\t'x  y';",
    ],
)
def test_space_and_comments_of_sql_do_not_count_outside_quotes(sql):
    wanted = action_key("db:run", {"sql": "SELECT name FROM t WHERE a = 'x  y'"})
    assert action_key("db:run", {"sql": sql}) == wanted
    assert action_key("db:run", {"sql": sql.replace("x  y", "x y")}) != wanted


def test_a_comment_that_ends_a_line_does_not_swallow_the_next():
    assert action_key("q", {"sql": "select 1 -- one\nfrom t"}) != action_key("q", {"sql": "select 1 -- one from t"})


def test_a_search_query_that_is_not_sql_keeps_its_signs():
    assert canonical_params({"query": "who (or what) , then"}) == {"query": "who (or what) , then"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["http://A.com:80/x/?b=1&a=%7e#f", "select a , b from t -- c\n where x='y  z'", "１２", " 7 "]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
params = st.dictionaries(st.sampled_from(["query", "sql", "k", "url", "filters", "Ｘ"]), json_values, max_size=5)


@given(params)
def test_a_canonical_form_is_its_own(value):
    canonical = canonical_params(value, SCHEMA)
    assert canonical_params(canonical, SCHEMA) == canonical
    assert action_key("t", canonical, SCHEMA) == action_key("t", value, SCHEMA)


@given(st.text())
def test_the_canonical_form_of_a_text_is_its_own(text):
    once = canonical_text(text)
    assert canonical_text(once) == once
