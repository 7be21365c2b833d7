"""Annotations become schemas and checks that say the same."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.sandbox.schema import Invalid, Range, UnsupportedAnnotation, compile_annotation


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


ANNOTATIONS: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "any": Any,
    "literal": Literal["a", "b", 3],
    "enum": Color,
    "list": list[int],
    "tuple": tuple[str, ...],
    "dict": dict[str, float],
    "optional": int | None,
    "optional literal": Literal["a"] | None,
    "union": int | list[str] | None,
    "bounded int": Annotated[int, Range(1, 100)],
    "bounded text": Annotated[str, Range(1, 3)],
    "bounded list": Annotated[list[Annotated[int, Range(0, 9)]], Range(at_most=2)],
    "bounded optional": Annotated[float | None, Range(at_least=0)],
}

#: Numbers that both can tell exactly: 1e300 is an integer to JSON Schema, but not one of 64 bits.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 12)
    | st.floats(-(2.0**52), 2.0**52)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from(["a", "b", "red"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)


def accepts(annotation: Any, value: Any) -> bool:
    try:
        compile_annotation(annotation).check(value)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize("name", ANNOTATIONS)
@given(value=JSON)
def test_a_check_accepts_what_its_schema_accepts(name: str, value: Any) -> None:
    annotation = ANNOTATIONS[name]
    checked = compile_annotation(annotation)
    by_schema = jsonschema.Draft202012Validator(checked.schema).is_valid(value)
    assert accepts(annotation, value) == by_schema


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text()
    | st.just("\ud800")
    | st.binary(max_size=3)
    | st.builds(object),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("name", ANNOTATIONS)
@given(value=HOSTILE)
def test_no_value_makes_a_check_fail_in_another_way(name: str, value: Any) -> None:
    accepts(ANNOTATIONS[name], value)


def test_coercions_are_those_that_are_stated():
    check = {name: compile_annotation(annotation).check for name, annotation in ANNOTATIONS.items()}
    assert check["int"](5.0) == 5
    assert isinstance(check["int"](5.0), int)
    assert check["float"](5) == 5.0
    assert isinstance(check["float"](5), float)
    assert check["enum"]("red") is Color.RED
    assert check["tuple"](["x"]) == ("x",)


@pytest.mark.parametrize(
    ("annotation", "value", "message", "hint"),
    [
        (int, "5", 'expected an integer, got the text "5"', "send 5 without quotes"),
        (int, True, "expected an integer, got true", ""),
        (int, 5.5, "expected an integer, got the number 5.5", ""),
        (int, 10**400, "expected an integer, got an integer of more than 64 bits", ""),
        (float, float("nan"), "expected a finite number, got the number nan", ""),
        (bool, "true", 'expected true or false, got the text "true"', "send true or false without quotes"),
        (str, None, "expected a text, got null", ""),
        (
            str,
            "ab\ud800",
            "character 2 is a lone surrogate, which is not text",
            "send the whole character, or leave it out",
        ),
        (list[int], "1", 'expected a list, got the text "1"', "send a list, even for one item"),
        (
            Literal["fast", "slow"],
            "fsat",
            """expected one of 'fast', 'slow', got the text "fsat", did you mean 'fast'?""",
            "",
        ),
        (int | list[int], "1", 'expected an integer or expected a list, got the text "1"', "send 1 without quotes"),
        (Annotated[int, Range(1, 100)], 0, "expected at least 1, got 0", "send 1 or more"),
        (
            Annotated[str, Range(at_most=3)],
            "long",
            "expected at most 3 characters, got 4",
            "send 3 or fewer characters",
        ),
    ],
)
def test_a_refusal_says_what_to_send_instead(annotation: Any, value: Any, message: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        compile_annotation(annotation).check(value)
    assert caught.value.message == message
    assert caught.value.hint == hint


def test_a_refusal_names_the_item():
    with pytest.raises(Invalid) as caught:
        compile_annotation(dict[str, list[int]]).check({"a": [1], "b": [1, "x"]})
    assert caught.value.path == ".b[1]"


def test_nesting_has_an_end():
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Invalid, match="nested more than 64 levels"):
        compile_annotation(Any).check(deep)


def test_the_schema_tells_bounds_choices_and_descriptions():
    assert compile_annotation(Annotated[int, Range(1, 9), "how many"]).description == "how many"
    assert compile_annotation(Annotated[int, Range(1, 9)]).schema == {"type": "integer", "minimum": 1, "maximum": 9}
    assert compile_annotation(Color).schema == {"type": "string", "enum": ["red", "blue"]}
    assert compile_annotation(Literal["a"] | None).schema == {"type": ["string", "null"], "enum": ["a", None]}
    assert compile_annotation(int | str).schema == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert compile_annotation(dict[str, int]).schema == {"type": "object", "additionalProperties": {"type": "integer"}}


@pytest.mark.parametrize(
    "annotation", [bytes, set[int], tuple[int, str], dict[int, str], Literal[b"x"], "int", object()]
)
def test_what_has_no_form_in_json_is_refused(annotation: Any) -> None:
    with pytest.raises(UnsupportedAnnotation):
        compile_annotation(annotation)


def test_an_integer_too_long_to_write_down_is_refused_in_words():
    for annotation in (int, float, bool, str, Any, Literal[1], list[int], Annotated[int, Range(1, 9)]):
        with pytest.raises(Invalid, match="an integer of more than 64 bits"):
            compile_annotation(annotation).check(10**5000)
