"""Names, tool patterns, and what is said of a name that nothing provides."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.errors import UnknownNameError, UsageError
from agentflow_core.names import check_name, check_tool_name, match_tools, unknown_name, wire_name

TOOLS = ("rag:search", "rag:get", "bash:run", "clock")


@pytest.mark.parametrize("name", ["rag", "f1_score", "my-env", "a1"])
def test_lower_case_words_are_names(name: str):
    assert check_name(name, "metric") == name


@pytest.mark.parametrize("name", ["", "Rag", "1a", "a__b", "-a", "a-", "a b", "é", "rag\n", "a:b"])
def test_anything_else_is_not(name: str):
    with pytest.raises(UsageError, match=r"metric name .* is not a name"):
        check_name(name, "metric")


@given(
    st.from_regex(r"[a-z][a-z0-9]{0,20}(_[a-z0-9]{1,10})?", fullmatch=True),
    st.from_regex(r"[a-z]{1,20}", fullmatch=True),
)
def test_the_wire_name_of_a_tool_is_one_that_models_accept(group: str, short: str):
    name = check_tool_name(f"{group}:{short}")
    assert wire_name(name) == f"{group}_{short}"


def test_a_tool_name_that_models_cannot_take_is_refused():
    with pytest.raises(UsageError, match="longer than the 64 characters"):
        check_tool_name(f"{'a' * 32}:{'b' * 32}")


@pytest.mark.parametrize(
    ("patterns", "tools"),
    [
        (["rag:search"], ("rag:search",)),
        (["rag:*"], ("rag:get", "rag:search")),
        (["rag:search", "rag:*"], ("rag:search", "rag:get")),
        (["*"], ("bash:run", "clock", "rag:get", "rag:search")),
        (["clock", "clock"], ("clock",)),
        ([], ()),
    ],
)
def test_patterns_name_tools_in_pattern_order_each_once(patterns: list[str], tools: tuple[str, ...]):
    assert match_tools(patterns, TOOLS) == tools


def test_everything_of_nothing_is_nothing():
    assert match_tools(["*"], ()) == ()


@pytest.mark.parametrize("pattern", ["rag:serch", "web:*", "rag", "rag:"])
def test_a_pattern_that_names_nothing_is_an_error(pattern: str):
    with pytest.raises(UnknownNameError, match=re.escape(f"unknown tool '{pattern}'")):
        match_tools(["rag:get", pattern], TOOLS)


def test_the_hint_is_a_suggestion_or_a_distribution_or_what_there_is():
    assert unknown_name("tool", "rag:serch", TOOLS).hint == "did you mean 'rag:search'?"
    assert unknown_name("tool", "vm:zzz", TOOLS).hint == "it comes with a plugin: pip install agentflow-vm"
    assert unknown_name("tool", "qqq", TOOLS).hint == "there is: bash:run, clock, rag:get, rag:search"
    assert unknown_name("tool", "qqq", ()).hint == "no installed plugin provides one: agentflow plugins list"
