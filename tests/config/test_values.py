from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import attrs
import pytest
from attrs import evolve, field, frozen

from agentflow_core.config import load_config, option
from agentflow_core.errors import ConfigError, UsageError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@frozen(kw_only=True)
class Point:
    """A place."""

    x: int = option(help="to the right")
    y: int = option(0, help="up", at_least=0, at_most=9)


@frozen(kw_only=True)
class Model:
    """A model."""

    name: str = option("m", help="its name")
    temperature: float = option(1.0, help="sampling", at_least=0, at_most=2)


@frozen(kw_only=True)
class Everything:
    """A field of every type."""

    text: str = option("", help="text")
    count: int = option(0, help="count", at_least=0)
    share: float = option(0.0, help="share", at_least=0, at_most=1)
    flag: bool = option(False, help="flag")
    maybe: int | None = option(None, help="maybe")
    mode: Literal["fast", "slow", 3] = option("fast", help="mode")
    colour: Colour = option(Colour.RED, help="colour")
    word: str = option("one", help="word", choices=("one", "two"))
    names: tuple[str, ...] = option((), help="names")
    numbers: Sequence[int] = option((), help="numbers", at_most=10)
    listed: list[int] = option([], help="a list")
    pair: tuple[float, str] | None = option(None, help="pair")
    point: Point | None = option(None, help="point")
    points: tuple[Point, ...] = option((), help="points")
    model: Model = option(Model(), help="model")
    by_name: Mapping[str, Point] = option({}, help="by name")
    by_colour: Mapping[Colour, float] = option({}, help="by colour", at_most=1)
    by_choice: dict[str, int] = option({}, help="by choice", choices=("a", "b"))
    extra: Mapping[str, Any] = option({}, help="extra")
    place: str | Point = option("home", help="a name or a point")
    limit: Literal["auto"] | int = option("auto", help="a number or auto")
    several: str | tuple[str, ...] = option("", help="one or more")
    noted: Annotated[int, "note"] = option(0, help="annotated")
    plain: int = 5


@frozen(kw_only=True)
class Required:
    name: str = option(help="what it is called")
    point: Point = option(help="where it is")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("text: 'no'", "text", "no"),
        ("text: no", "text", "no"),
        ("share: 1", "share", 1.0),
        ("share: 1e-6", "share", 1e-6),
        ("maybe: null", "maybe", None),
        ("mode: 3", "mode", 3),
        ("colour: blue", "colour", Colour.BLUE),
        ("names: [a, 'b']", "names", ("a", "b")),
        ("numbers: [1, 2]", "numbers", (1, 2)),
        ("listed: [1, 2]", "listed", [1, 2]),
        ("pair: [1, a]", "pair", (1.0, "a")),
        ("point: {x: 1}", "point", Point(x=1)),
        ("points: [{x: 1}, {x: 2, y: 3}]", "points", (Point(x=1), Point(x=2, y=3))),
        ("model:", "model", Model()),
        ("by_name: {a: {x: 1}}", "by_name", {"a": Point(x=1)}),
        ("by_name:", "by_name", {}),
        ("by_colour: {red: 0.5}", "by_colour", {Colour.RED: 0.5}),
        ("extra: {a: [1, {b: no}]}", "extra", {"a": [1, {"b": "no"}]}),
        ("place: work", "place", "work"),
        ("place: {x: 1}", "place", Point(x=1)),
        ("limit: 3", "limit", 3),
        ("several: [a, b]", "several", ("a", "b")),
        ("several: a", "several", "a"),
        ("noted: 4", "noted", 4),
        ("plain: 4", "plain", 4),
    ],
)
def test_values_become_what_their_field_asks_for(load, text, key, value):
    found = getattr(load(Everything, text).config, key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("txt: a", "1:1  txt  unknown key, did you mean 'text'?"),
        ("zzz: a", "1:1  zzz  unknown key"),
        ("model: {temprature: 1}", "1:9  model.temprature  unknown key, did you mean 'temperature'?"),
        ("text: 123", '1:7  text  expected text, got the number 123; quote it if it is text: "123"'),
        ("text: 0x1F", '1:7  text  expected text, got the number 0x1F; quote it if it is text: "0x1F"'),
        ("text: null", "1:7  text  expected text, got nothing (null)"),
        ("text: [a]", "1:7  text  expected text, got a list"),
        ("count: 1.0", "1:8  count  expected a whole number, got the number 1.0"),
        ("count: true", "1:8  count  expected a whole number, got the boolean true"),
        ("count: '1'", "1:8  count  expected a whole number, got text '1'"),
        ("share: true", "1:8  share  expected a number, got the boolean true"),
        ("flag: no", "1:7  flag  expected true or false, got text 'no'; write true or false, without quotes"),
        ("flag: 'true'", "1:7  flag  expected true or false, got text 'true'; write true or false, without quotes"),
        ("flag: 1", "1:7  flag  expected true or false, got the number 1"),
        ("maybe: a", "1:8  maybe  expected a whole number or null, got text 'a'"),
        ("count: -1", "1:8  count  expected at least 0, got -1"),
        ("share: 1.5", "1:8  share  expected at most 1, got 1.5"),
        ("numbers: [1, 20]", "1:14  numbers.1  expected at most 10, got 20"),
        ("by_colour: {red: 2}", "1:18  by_colour.red  expected at most 1, got 2.0"),
        ("mode: fst", "1:7  mode  expected one of 'fast', 'slow', 3, got text 'fst', did you mean 'fast'?"),
        ("colour: bleu", "1:9  colour  expected one of 'red', 'blue', got text 'bleu', did you mean 'blue'?"),
        ("word: tow", "1:7  word  expected one of 'one', 'two', got 'tow', did you mean 'two'?"),
        ("by_choice: {c: 1}", "1:13  by_choice.c  expected one of 'a', 'b', got 'c'"),
        (
            "by_colour: {rde: 1}",
            "1:13  by_colour.rde  expected one of 'red', 'blue', got text 'rde', did you mean 'red'?",
        ),
        ("names: a", "1:8  names  expected a list, got text 'a'; write it as a list: [ … ]"),
        ("names: [1]", '1:9  names.0  expected text, got the number 1; quote it if it is text: "1"'),
        ("pair: [1]", "1:7  pair  expected a list of 2, got one of 1"),
        ("point: 3", "1:8  point  expected a mapping (key: value) or null, got the number 3"),
        ("point: {y: 3}", "1:8  point.x  is missing: to the right"),
        ("points: [{x: 1, y: 10}]", "1:20  points.0.y  expected at most 9, got 10"),
        ("model: [a]", "1:8  model  expected a mapping (key: value), got a list"),
        ("by_name: {'a.b': {x: a}}", "1:22  by_name.\"a.b\".x  expected a whole number, got text 'a'"),
        (
            "limit: autom",
            "1:8  limit  expected one of 'auto' or a whole number, got text 'autom', did you mean 'auto'?",
        ),
        (
            "place: 3",
            '1:8  place  expected text or a mapping (key: value), got the number 3; quote it if it is text: "3"',
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_was_expected(problems, text, problem):
    assert problems(Everything, text) == [f"run.yaml:{problem}"]


def test_all_problems_come_at_once_in_the_order_of_the_file(problems):
    text = "# a run\nmodel:\n  temprature: 0\n  name: 4\nzzz: 1\ncount: -1\ncount: 2\nextra: {a: ${GONE}}\n"
    assert problems(Everything, text, sets=["share=2", "no equals sign"]) == [
        "run.yaml:3:3  model.temprature  unknown key, did you mean 'temperature'?",
        'run.yaml:4:9  model.name  expected text, got the number 4; quote it if it is text: "4"',
        "run.yaml:5:1  zzz  unknown key",
        "run.yaml:6:8  count  expected at least 0, got -1",
        "run.yaml:7:1  count  is written twice, first in line 6",
        "run.yaml:8:12  extra.a  the variable GONE is not set",
        "--set  'no equals sign' is not of the form key=value",
        "--set share  expected at most 1, got 2.0",
    ]


def test_missing_keys_and_empty_required_text_are_problems(problems):
    assert problems(Required, "name: ''\n") == [
        "run.yaml:1:1  point  is missing: where it is",
        "run.yaml:1:7  name  is empty",
    ]
    assert problems(Required, "") == [
        "run.yaml:1:1  name  is missing: what it is called",
        "run.yaml:1:1  point  is missing: where it is",
    ]


def test_json_has_the_same_problems_at_its_own_places(problems):
    assert problems(Everything, '{"model":\n  {"temprature": 0}}', "run.json") == [
        "run.json:2:4  model.temprature  unknown key, did you mean 'temperature'?"
    ]


def test_problems_of_a_mapping_have_paths_only():
    with pytest.raises(ConfigError) as raised:
        load_config(Everything, {"model": {"temprature": 1}, "count": "a"})
    assert [str(problem) for problem in raised.value.problems] == [
        "count  expected a whole number, got text 'a'",
        "model.temprature  unknown key, did you mean 'temperature'?",
    ]
    assert raised.value.exit_code == 2


def test_hostile_keys_and_values_are_shown_on_one_line_and_cut(problems):
    (problem,) = problems(Everything, f'"a\\nb\\e[31m{"x" * 500}": 1')
    assert "\\n" in problem
    assert "\x1b" not in problem
    assert len(problem) < 200
    (problem,) = problems(Everything, f"count: {'y' * 5000}")
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("count: ${N}", "count", 3),
        ("share: ${N}", "share", 3e-1),
        ("flag: ${T}", "flag", True),
        ("maybe: ${EMPTY}", "maybe", None),
        ("text: ${N}", "text", "3"),
        ("limit: ${N}", "limit", 3),
        ("place: ${N}", "place", "3"),
        ("count: '${A:-7}'", "count", 7),
        ("extra: {a: ${N}}", "extra", {"a": "3"}),
    ],
)
def test_text_from_a_variable_is_a_number_only_where_one_is_asked_for(load, text, key, value):
    n = "0.3" if key == "share" else "3"
    assert getattr(load(Everything, text, environ={"N": n, "T": "true", "EMPTY": ""}).config, key) == value


def test_what_a_variable_holds_is_not_repeated_in_problems(problems):
    text = "count: ${SECRET}\nflag: a${SECRET}\nword: ${SECRET}\nmode: ${SECRET}\nlimit: ${NUMBER}\nshare: ${NUMBER}\n"
    found = problems(Everything, text, environ={"SECRET": "hush-hush", "NUMBER": "7.25"})
    assert found == [
        "run.yaml:1:8  count  expected a whole number, got text from ${SECRET}",
        "run.yaml:2:7  flag  expected true or false, got text from a${SECRET}",
        "run.yaml:3:7  word  expected one of 'one', 'two', got text from ${SECRET}",
        "run.yaml:4:7  mode  expected one of 'fast', 'slow', 3, got text from ${SECRET}",
        "run.yaml:5:8  limit  expected one of 'auto' or a whole number, got the number from ${NUMBER}",
        "run.yaml:6:8  share  expected at most 1, got the number from ${NUMBER}",
    ]


# ---- classes that check themselves


@frozen(kw_only=True)
class Range:
    low: int = option(0, help="low")
    high: int = option(9, help="high")
    name: str = field(default="", validator=attrs.validators.matches_re("[a-z-]*"))

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise UsageError("low is above high", hint="swap them")


@frozen(kw_only=True)
class Ranges:
    ranges: tuple[Range, ...] = option((), help="ranges")


def test_what_a_class_says_of_its_own_values_is_a_problem_of_its_section(problems):
    assert problems(Ranges, "ranges:\n  - {low: 10}\n  - {low: 1, hihg: 3}\n") == [
        "run.yaml:2:5  ranges.0  low is above high; swap them",
        "run.yaml:3:14  ranges.1.hihg  unknown key, did you mean 'high'?",
    ]


def test_a_validator_that_repeats_its_value_does_not_tell_what_a_variable_holds(problems):
    (problem,) = problems(Ranges, "ranges: [{name: ${SECRET}}]", environ={"SECRET": "HUSH HUSH"})
    assert "HUSH" not in problem
    assert "${SECRET}" in problem


def test_bounds_and_choices_hold_in_python_too():
    with pytest.raises(ConfigError, match=r"y  expected at most 9, got 10"):
        Point(x=1, y=10)
    with pytest.raises(ConfigError, match=r"numbers\.1  expected at most 10"):
        Everything(numbers=(1, 11))
    with pytest.raises(ConfigError, match=r"by_choice\.c  expected one of 'a', 'b'"):
        evolve(Everything(), by_choice={"c": 1})


def test_a_default_list_or_dict_is_not_shared():
    one, other = Everything(), Everything()
    assert one.listed == other.listed
    assert one.listed is not other.listed


@frozen(kw_only=True)
class Unfit:
    what: bytes = option(b"", help="no such thing in YAML")


@frozen(kw_only=True)
class Absent:
    what: NotThere = option(None, help="imported for type checkers only")  # type: ignore[name-defined]  # noqa: F821


def test_a_field_that_no_file_can_hold_is_the_authors_mistake(load):
    with pytest.raises(TypeError, match="cannot have the type"):
        load(Unfit, "what: a")
    with pytest.raises(TypeError, match="'NotThere' is not there at run time"):
        load(Absent, "what: a")
