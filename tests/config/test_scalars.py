from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentflow_core.config.scalars import is_text, parse_scalar

# YAML 1.2.2, section 10.3.2, as the table has it
NULL = re.compile(r"null|Null|NULL|~|\Z")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
INT_10 = re.compile(r"[-+]?[0-9]+")
INT_8 = re.compile(r"0o[0-7]+")
INT_16 = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITY = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)")
NAN = re.compile(r"\.nan|\.NaN|\.NAN")

near_scalars = st.text(alphabet="0123456789+-.eExo_:aAbfFlLnNuUrRtTsSiI~ \n٣", max_size=8)
matching = st.one_of(
    *(st.from_regex(pattern, fullmatch=True) for pattern in (NULL, BOOL, INT_10, INT_8, INT_16, FLOAT))
)


@given(st.one_of(near_scalars, matching, st.text(max_size=6)))
@example("1_000")
@example("٣")
@example("1\n")
@example("-0x1F")
@example("+0o7")
def test_plain_scalars_mean_what_the_core_schema_of_yaml_1_2_says(text):
    if NULL.fullmatch(text):
        assert parse_scalar(text) is None
    elif BOOL.fullmatch(text):
        assert parse_scalar(text) is (text.lower() == "true")
    elif INFINITY.fullmatch(text) or NAN.fullmatch(text):
        with pytest.raises(ValueError, match="finite"):
            parse_scalar(text)
    elif INT_10.fullmatch(text) or INT_8.fullmatch(text) or INT_16.fullmatch(text):
        expected = int(text) if INT_10.fullmatch(text) else int(text.lower(), 0)
        if -(2**63) <= expected < 2**64:
            assert parse_scalar(text) == expected
            assert type(parse_scalar(text)) is int
        else:
            with pytest.raises(ValueError, match="64 bits"):
                parse_scalar(text)
    elif FLOAT.fullmatch(text):
        if math.isfinite(float(text)):
            assert parse_scalar(text) == float(text)
            assert type(parse_scalar(text)) is float
        else:
            with pytest.raises(ValueError, match="finite"):
                parse_scalar(text)
    else:
        assert parse_scalar(text) == text
        assert is_text(text)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "y", "n", "12:30", "1:20:30", "2024-01-02", "0b11", "1_000", "=", "<<", "0x", "."],
)
def test_what_yaml_1_1_reads_as_something_else_is_text(text):
    assert parse_scalar(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-6", 1e-6), ("0o17", 15), ("017", 17), ("0xfF", 255), ("1.", 1.0), (".5", 0.5), ("+3", 3), ("-1E3", -1000.0)],
)
def test_numbers_of_yaml_1_2(text, value):
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


@pytest.mark.parametrize("text", ["9" * 10_000, "0x" + "f" * 10_000, "1e999", "-.inf", ".NaN"])
def test_numbers_that_json_cannot_carry_are_refused(text):
    with pytest.raises(ValueError, match="quote it"):
        parse_scalar(text)
