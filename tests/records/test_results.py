"""Tool results: clean text, clean JSON, and what a model is shown."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.records import ImageContent, TextContent, ToolResult, clean_json, clean_text, cut
from agentflow_core.records.codes import CODES
from agentflow_core.records.results import SHOWN_LIMIT_BYTES

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
ESCAPES = st.lists(
    st.sampled_from(["\x1b", "[", "]", "31m", "m", "0;title", "\x07", "\\", "P", "text", " ", "\x1b[0m", "\x1b[", "é"])
).map("".join)
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(ANY_TEXT | st.integers() | st.none(), inner)
        | st.frozensets(st.integers() | st.text())
    ),
    max_leaves=20,
)


@given(ANY_TEXT | ESCAPES)
def test_clean_text_can_be_encoded_holds_no_escape_and_is_clean_already(text: str):
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert "\x1b" not in cleaned
    assert clean_text(cleaned) == cleaned


@given(st.text(st.characters(exclude_characters="\x1b", exclude_categories=["Cs"])))
def test_text_without_escapes_and_surrogates_stays_as_it_is(text: str):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07prompt", "prompt"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bplain", "plain"),
        ("a\x1b", "a"),
        ("\x1b\x1b[m[31mred", "[31mred"),
        ("a\ud83dz", "a?z"),
    ],
)
def test_ansi_sequences_and_lone_surrogates_are_taken_out(raw: str, cleaned: str):
    assert clean_text(raw) == cleaned


@given(JSON_LIKE)
def test_clean_json_is_json_that_any_parser_accepts_and_is_clean_already(value: Any):
    cleaned = clean_json(value)
    text = json.dumps(cleaned, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode("utf-8")) == cleaned
    assert clean_json(cleaned) == cleaned


class Celsius(float):
    """A float that orjson would refuse, as numpy's are."""


def test_clean_json_makes_plain_values_of_what_python_programs_hold():
    assert clean_json({"a": math.nan, "b": [math.inf, -math.inf]}) == {"a": "nan", "b": ["inf", "-inf"]}
    assert clean_json(b"\x00\xff") == "AP8="
    assert clean_json({3, 1, 2}) == [1, 2, 3]
    assert clean_json({1: {None: (1, 2)}}) == {"1": {"None": [1, 2]}}
    assert orjson.dumps(clean_json(Celsius(1.5))) == b"1.5"
    assert clean_json(object) == "<class 'object'>"


@given(st.text() | ANY_TEXT, st.integers(0, 64))
def test_a_cut_text_has_a_bounded_size_and_whole_characters(text: str, limit: int):
    shown = cut(text, limit)
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        assert shown == text
        return
    head, _, rest = shown.partition("\n[… ")
    omitted, _, tail = rest.partition(" bytes omitted …]\n")
    whole = raw.decode("utf-8")
    if "\n[… " not in whole:
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert len(head.encode()) + int(omitted) + len(tail.encode()) == len(raw)
    assert len(shown.encode()) <= limit + len(f"\n[… {len(raw)} bytes omitted …]\n".encode())


def test_a_text_of_just_the_limit_is_shown_whole():
    assert cut("é" * (SHOWN_LIMIT_BYTES // 2)) == "é" * (SHOWN_LIMIT_BYTES // 2)


def test_a_cut_falls_on_the_border_of_a_character():
    shown = cut("€" * 20_000)
    assert shown.startswith("€" * 5461 + "\n[… ")  # 16384 bytes hold 5461 characters of three bytes and a third
    assert shown.endswith("…]\n" + "€" * 5461)
    assert "[… 27234 bytes omitted …]" in shown


def test_a_success_reads_as_its_text_else_as_its_data():
    assert ToolResult.success({"n": 1}, text="one").text == "one"
    assert json.loads(ToolResult.success({"n": 1}).text) == {"n": 1}
    assert ToolResult.success().text == ""
    assert ToolResult.success(0).text == "0"


@pytest.mark.parametrize("code", sorted(CODES.keys() - {"ok"}))
def test_a_failure_always_reads_as_its_code_and_message(code: str):
    failure = ToolResult.failure(code, "no such file: \x1b[1mx", hint="list_files shows what is there")
    assert failure.text == f"error [{code}]: no such file: x\nlist_files shows what is there"
    assert failure.shown == failure.text
    assert failure.retryable == CODES[code].retryable


def test_a_failure_that_has_content_reads_as_both():
    failure = ToolResult(ok=False, code="timeout", content=(TextContent("so far"), ImageContent(mime="image/png")))
    assert failure.text == "error [timeout]: \nso far"


def test_a_failure_with_a_code_that_is_none_is_a_mistake_of_the_program():
    with pytest.raises(KeyError):
        ToolResult.failure("oops", "x")
