from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.config import load_config, load_document, option
from agentflow_core.errors import ConfigError


@frozen(kw_only=True)
class Inner:
    count: int | None = option(None, help="count", at_least=0)


@frozen(kw_only=True)
class Outer:
    text: str | None = option(None, help="text")
    names: tuple[str, ...] = option((), help="names")
    inner: Inner = option(Inner(), help="inner")
    extra: Mapping[str, Any] = option({}, help="extra")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("text=a", "text", "a"),
        ("text=", "text", None),
        ("text=''", "text", ""),
        ("text=What: is it? # no", "text", "What: is it? # no"),
        ("text=a=b", "text", "a=b"),
        ('text="3"', "text", "3"),
        ("text=*all", "text", "*all"),
        ("text=${A}", "text", "one"),
        ("inner.count=3", "inner", Inner(count=3)),
        ("inner={count: 0x10}", "inner", Inner(count=16)),
        ("names=[a, 'b']", "names", ("a", "b")),
        ("names.0=z", "names", ("z", "y")),
        ("names.2=z", "names", ("x", "y", "z")),
        ("extra.a.b=1e-3", "extra", {"a": {"b": 0.001}}),
        ("extra.list.0.deep=no", "extra", {"list": [{"deep": "no"}]}),
        ('extra."a.b"=true', "extra", {"a.b": True}),
    ],
)
def test_an_override_replaces_or_makes_what_it_names(load, override, key, value):
    text = "names: [x, y]\nextra: {}\n" if "list" not in override else "names: [x, y]\nextra: {list: [{}]}\n"
    assert getattr(load(Outer, text, sets=[override], environ={"A": "one"}).config, key) == value


def test_later_overrides_win(load):
    assert load(Outer, "", sets=["inner.count=1", "inner.count=2"]).config.inner.count == 2


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("inner.cuont=3", "--set inner.cuont  unknown key, did you mean 'count'?"),
        ("inner.count=-3", "--set inner.count  expected at least 0, got -3"),
        ("inner={count: -3}", "--set inner  inner.count  expected at least 0, got -3"),
        ("inner.count.x=3", "--set inner.count.x  inner.count is the number 1, which has no keys"),
        ("names.5=3", "--set names.5  a list of 2 has no element '5'; they count from 0"),
        ("names.a=3", "--set names.a  a list of 2 has no element 'a'; they count from 0"),
        ("text=${GONE}", "--set text  the variable GONE is not set"),
        ("text=[a", "--set text  not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        ("text='a' b", "--set text  not YAML: expected '<document start>', but found '<scalar>'"),
        ("text", "--set  'text' is not of the form key=value"),
        ("=a", "--set  '=a' is not of the form key=value"),
        ("a..b=c", "--set  'a..b=c' is not of the form key=value"),
    ],
)
def test_a_wrong_override_is_a_problem_that_names_it(problems, override, problem):
    assert problems(Outer, "inner: {count: 1}\nnames: [x, y]\n", sets=[override]) == [problem]


@given(st.text(max_size=30) | st.tuples(st.sampled_from(["a", "a.b", "a.0"]), st.text(max_size=20)).map("=".join))
def test_no_override_raises_anything_but_a_config_error(override):
    try:
        load_document({"a": [1]}, sets=[override])
        load_config(Outer, {"names": ["x"]}, sets=[override], environ={})
    except ConfigError as error:
        found = error.problems
    else:
        found = ()
    assert all(problem.message for problem in found)
