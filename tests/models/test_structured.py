"""The one parser of JSON answers, and asking again."""

from __future__ import annotations

import json

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.errors import BadOutputError
from agentflow_core.models import ask, parse_json
from agentflow_core.records import ModelRequest, user
from agentflow_core.records.codec import load
from agentflow_core.testing.models import ScriptedModel, says

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(text, values, min_size=1, max_size=4)
prose = st.text(st.characters(exclude_characters="{}[]`\"'<>", exclude_categories=["Cs"]), max_size=60)


@given(value=values)
def test_any_json_value_is_read_as_it_stands(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(f"\n {json.dumps(value, indent=2, ensure_ascii=False)} \n") == value


@given(value=values, before=prose, after=prose, language=st.sampled_from(["", "json", "JSON", "python"]))
def test_any_json_value_is_found_in_a_code_fence(value, before, after, language):
    if isinstance(value, str) and "```" in value:
        return
    if "```" in json.dumps(value):
        return
    assert parse_json(f"{before}\n```{language}\n{json.dumps(value)}\n```\n{after}", _schema_of(value)) == value


@given(value=objects | st.lists(values, min_size=1, max_size=4), before=prose, after=prose)
def test_any_object_or_list_is_found_in_prose(value, before, after):
    assert parse_json(f"{before}: {json.dumps(value)}. {after}", _schema_of(value)) == value


@given(value=objects)
def test_the_value_after_the_thinking_wins(value):
    thought = json.dumps({"draft": 1, **{key: [item, item] for key, item in value.items()}})
    assert parse_json(f"<think>perhaps {thought}?</think>\n{json.dumps(value)}") == value


@given(hostile=st.text(max_size=300) | st.text("{}[]\",:'`\\ntrue01", max_size=300))
def test_whatever_a_model_says_is_a_value_or_a_bad_output(hostile):
    try:
        value = parse_json(hostile)
    except BadOutputError:
        return
    json.dumps(value).encode()


@pytest.mark.parametrize(
    "hostile", ["[" * 100_000, '{"a":' * 50_000, "{" * 3000 + "}" * 3000, "```" * 20_000, "\ud800"]
)
def test_deep_and_long_garbage_neither_crashes_nor_hangs(hostile):
    try:
        parse_json(hostile)
    except BadOutputError:
        return


@pytest.mark.parametrize(
    "broken",
    [
        '{"answer": "Paris", "score": 1',
        "{'answer': 'Paris', 'score': 1}",
        '{"answer": "Paris", "score": 1,}',
        '{answer: "Paris", score: 1}',
        'Sure! ```json\n{"answer": "Paris", "score": 1,}\n``` Anything else?',
    ],
)
def test_small_mistakes_are_repaired(broken):
    assert parse_json(broken) == {"answer": "Paris", "score": 1}


def test_a_value_of_the_wanted_type_wins_over_a_longer_one_of_another():
    said = 'The list [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] gives {"sum": 66}.'
    assert parse_json(said, {"type": "object"}) == {"sum": 66}
    assert parse_json(said, {"type": "object", "required": ["sum"]}) == {"sum": 66}
    assert parse_json(said, {"type": "array"})[-1] == 11


def test_an_empty_answer_and_plain_prose_are_bad_output():
    with pytest.raises(BadOutputError, match="empty"):
        parse_json("  ")
    with pytest.raises(BadOutputError, match="no JSON"):
        parse_json("I cannot answer that.")


def test_not_a_number_is_not_json():
    with pytest.raises(BadOutputError):
        parse_json("NaN")


def _schema_of(value):
    """The type alone: prose that happens to be JSON, such as a number, must not win."""
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return {"type": kinds.get(type(value), "null")}


REQUEST = ModelRequest(messages=(user("Who?"),), response_schema={"type": "object"})


async def test_a_parsed_answer_comes_with_its_completion_and_usage():
    model = ScriptedModel([says(json={"name": "Ada"})])
    asked = await ask(model, REQUEST, lambda value: value["name"])
    assert asked.value == "Ada"
    assert asked.usage.calls == 1


async def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_reason():
    model = ScriptedModel(["I think it was Ada.", says(json={"name": "Ada"})])
    asked = await ask(model, REQUEST, lambda value: value["name"])
    assert asked.value == "Ada"
    assert asked.usage.calls == 2
    again = model.requests[1].messages
    assert [message.role for message in again] == ["user", "assistant", "user"]
    assert "no JSON value" in again[-1].text


async def test_the_reason_names_what_the_parser_missed():
    @frozen(kw_only=True)
    class Person:
        name: str
        age: int

    model = ScriptedModel([says(json={"name": "Ada"}), says(json={"name": "Ada", "age": 36})])
    asked = await ask(model, REQUEST, lambda value: load(Person, value))
    assert asked.value == Person(name="Ada", age=36)
    assert "age" in model.requests[1].messages[-1].text


async def test_when_no_answer_fits_the_failure_holds_each_reason():
    model = ScriptedModel(["no", says(json={"nom": "Ada"})])
    with pytest.raises(BadOutputError, match="in 2 attempts") as caught:
        await ask(model, REQUEST, lambda value: value["name"])
    assert caught.value.attempts == ("the answer holds no JSON value", "the key 'name' is missing")
    assert "nom" in caught.value.output
