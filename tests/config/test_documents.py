from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentflow_core.config import load_config, load_document, option
from agentflow_core.config.expansion import escape
from agentflow_core.config.resolved import to_yaml
from agentflow_core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from pathlib import Path

fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)


@frozen(kw_only=True)
class Anything:
    x: Any = option(None, help="whatever")
    more: Mapping[str, Any] = option({}, help="whatever")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, with equal types, so that 1 is neither 1.0 nor True."""
    return repr(one) == repr(other)


def problems_of(path: Path) -> tuple[Problem, ...]:
    """What is wrong with the file: anything but a ConfigError is raised."""
    try:
        load_config(Anything, path, environ={"A": "a"})
    except ConfigError as error:
        return error.problems
    return ()


# ---- reading


@fuzzed
@given(
    value=st.dictionaries(st.text(), json_values, max_size=4),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
def test_json_is_read_as_the_standard_library_reads_it(write, value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert same(load_document(write(text, "a.json"), earlier=False).plain(), json.loads(text))


@fuzzed
@given(value=st.dictionaries(st.text(), json_values, max_size=4))
@example(
    value={"1e-6": "1e-6", "no": "no", "null": "12:30", "": "", "<<": "a: b", "é\x85\u2028": "tab\t #x", "k\n": "$$"}
)
def test_what_is_written_as_yaml_reads_back(write, value):
    assert same(load_document(write(to_yaml(value)), earlier=False).plain(), value)


@fuzzed
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(data=b'x: "\\U00110000"')
@example(data=b'x: "\\UFFFFFFFF"')
@example(data=b"%YAML " + b"9" * 5000 + b".1\n--- a")
@example(data=b"%TAG ! tag:x\n--- !a b")
@example(data=b"? ? ? x")
@example(data=b"!!python/object/apply:os.system [ls]")
@example(data=b"- " * 5000)
@example(data=b"x: " + b"[" * 100_000)
@example(data=b'{"x":' * 3000)
@example(data=b"x: &a [*a]")
@example(data=b"*a : b")
@example(data=b"&a x: b")
@example(data=b"x: ${}")
@example(data=b"x: " + b"${A:-" * 2000)
@example(data=b'{"x": "\\ud800"}')
@example(data=b"\x00")
@example(data=b"x: \xff")
@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_no_input_raises_anything_but_a_config_error(write, name, data):
    assert all(problem.file for problem in problems_of(write(data, name)))


@fuzzed
@given(st.text(alphabet="ab:-[]{},\"'&*!|>%@`#?~ \n\t$0", max_size=40))
def test_no_yaml_punctuation_raises_anything_but_a_config_error(write, text):
    assert all(problem.message for problem in problems_of(write(text)))


@pytest.mark.parametrize("name", ["empty.yaml", "empty.json"])
@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_an_empty_mapping(write, name, text):
    assert load_document(write(text, name)).plain() == {}


def test_a_file_of_comments_is_an_empty_mapping(write):
    assert load_document(write("# nothing yet\n")).plain() == {}


@pytest.mark.parametrize(("name", "text"), [("a.yaml", "\ufeffx: 1\r\n"), ("a.json", '\ufeff{"x": 1}\r\n')])
def test_a_byte_order_mark_and_windows_line_ends_are_read(write, name, text):
    assert load_document(write(text, name)).plain() == {"x": 1}


def test_an_alias_repeats_what_its_anchor_names(write):
    assert load_document(write("x: &shared {a: 1}\nmore: {y: *shared}\n")).plain()["more"] == {"y": {"a": 1}}


def test_scalars_and_keys_follow_yaml_1_2(write):
    text = "on: no\n12:30: 2024-01-02\n1: 1e-6\nnull: 0o17\n'<<': |\n  kept\n"
    expected = {"on": "no", "12:30": "2024-01-02", "1": 1e-6, "null": 15, "<<": "kept\n"}
    assert load_document(write(text)).plain() == expected


def test_a_variable_may_stand_unquoted_in_flow_style(write):
    text = "x: {a: ${A}, b: [${B:-/c:d}, e${A}]}\nmore: {${A}: '${A}', '\uf8fd': ${}}\n"
    with pytest.raises(ConfigError, match=r"run\.yaml:2:28  not YAML"):
        load_document(write(text))
    text = text.replace("${}", '"${A}"')
    expected = {"x": {"a": "${A}", "b": ["${B:-/c:d}", "e${A}"]}, "more": {"${A}": "${A}", "\uf8fd": "${A}"}}
    assert load_document(write(text)).plain() == expected


def test_a_pair_of_json_surrogates_is_one_character(write):
    assert load_document(write(r'{"x": "\ud83d\ude00"}', "a.json")).plain() == {"x": "😀"}


# ---- what is refused, and where it says so


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: 1\n\ty: 2\n", "run.yaml:2:1  a tab; indent with spaces"),
        ("x: 1\nx: 2\n", "run.yaml:2:1  x  is written twice, first in line 1"),
        ("x:\n  <<: {a: 1}\n", "run.yaml:2:3  x  merge keys ('<<') are not part of YAML 1.2; write the keys out"),
        (
            "x: !!python/name:os.system\n",
            "run.yaml:1:4  x  the tag '!!python/name:os.system': a configuration has no tags; leave it out",
        ),
        ("x: @home\n", "run.yaml:1:4  text cannot start with '@'; put it in quotes"),
        (
            "x: a: b\n",
            "run.yaml:1:5  a ':' where none can stand; put text that holds ': ' in quotes, and check the indentation",
        ),
        ("x: *gone\n", "run.yaml:1:4  the alias *gone has no anchor &gone before it"),
        ("x: &a [1, *a]\n", "run.yaml:1:11  the alias *a stands inside what it names"),
        ("x: .nan\n", "run.yaml:1:4  x  not a finite number; quote it if it is text"),
        ("- 1\n", "run.yaml:1:1  a configuration is a mapping (key: value), this file holds a list"),
        ("just text\n", "run.yaml:1:1  a configuration is a mapping (key: value), this file holds text 'just text'"),
        ("x: 1\n---\nx: 2\n", "run.yaml:2:1  a second document; a configuration is one"),
        ("[a, b]: 1\n", "run.yaml:1:1  a key must be text"),
        ("x:\n  ? # no key\n  : 1\n", "run.yaml:2:4  x  a ':' without a key before it"),
        ('x: "\\ud800"\n', "run.yaml:1:4  x  half of a surrogate pair, which UTF-8 cannot carry"),
        ("x: \x07\n", "run.yaml:1:4  the character U+0007 is not allowed"),
        (b"x: 1\ny: caf\xe9\n", "run.yaml:2:7  not UTF-8; save the file as UTF-8"),
    ],
)
def test_yaml_that_surprises_is_refused_with_its_place(problems, text, problem):
    assert problems(Anything, text) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"x": 1,\n "x": 2}', "run.json:2:2  x  is written twice, first in line 1"),
        ('{"x": [1, 2,]}', "run.json:1:12  a comma before ']'; JSON allows none after the last part"),
        ('{"x": 1,\n}', "run.json:1:8  a comma before '}'; JSON allows none after the last part"),
        ('{"x": NaN}', "run.json:1:7  not JSON: expected a value, got 'N'; NaN is not JSON"),
        ('{"x": -Infinity}', "run.json:1:7  not JSON: expected a value, got '-'; -Infinity is not JSON"),
        ('{"x": True}', "run.json:1:7  not JSON: expected a value, got 'T'; write true"),
        ('{"x": 01}', "run.json:1:7  not JSON: expected a value, got '0'"),
        ('{"x": 1e999}', "run.json:1:7  x  not a finite number; quote it if it is text"),
        ("{'x': 1}", 'run.json:1:2  not JSON: expected a key in double quotes, got "\'"'),
        ('{"x": 1\n', "run.json:2:1  not JSON: expected ',' or '}', got the end of the file"),
        ('{"x": "a\n"}', "run.json:1:9  not JSON: invalid control character"),
        ('{"x": 1} 2', "run.json:1:10  something after the end of the document"),
        (
            '{"x": 1 // one\n}',
            "run.json:1:9  not JSON: expected ',' or '}', got '/'; JSON has no comments; a .yaml file may have them",
        ),
        ("[]", "run.json:1:1  a configuration is a mapping (key: value), this file holds a list"),
    ],
)
def test_wrong_json_is_refused_with_its_place(problems, text, problem):
    assert problems(Anything, text, "run.json") == [problem]


def test_values_nested_without_end_are_refused(problems):
    (deep,) = problems(Anything, "x: " + "[" * 1000)
    assert "nested deeper than 64 levels" in deep
    (deep,) = problems(Anything, '{"x":' + "[" * 1000, "run.json")
    assert "nested deeper than 64 levels" in deep


def test_a_bomb_of_aliases_is_refused(problems):
    lines = ["x:", "  - &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (bomb,) = problems(Anything, "\n".join(lines))
    assert "more than 50000 values or too much text, counting each use of an alias" in bomb


def test_a_bomb_of_text_and_one_of_variables_are_refused(problems):
    (bomb,) = problems(Anything, f"x: &a {'a' * 100_000}\nmore: {{y: [{', '.join(['*a'] * 100)}]}}\n")
    assert "too much text" in bomb
    (bomb,) = problems(Anything, f"x: {'${A}' * 1000}", environ={"A": "a" * 10_000})
    assert "expands to more than 1048576 characters" in bomb


def test_a_problem_of_a_value_with_aliases_is_told_once(problems):
    found = problems(Anything, "x: &a ['${GONE}']\nmore: {y: *a}\n")
    assert found == ["run.yaml:1:8  x.0  the variable GONE is not set"]


def test_a_chain_of_aliases_cannot_exceed_the_depth_either(problems):
    lines = ["x:", "  - &a0 1"] + [f"  - &a{n} [*a{n - 1}]" for n in range(1, 100)]
    (deep,) = problems(Anything, "\n".join(lines))
    assert "nested deeper than 64 levels" in deep


def test_a_file_of_data_is_no_configuration(problems):
    (problem,) = problems(Anything, "x: " + "a" * (1 << 20))
    assert "larger than 1 MiB" in problem


def test_a_missing_file_and_a_folder_are_problems(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such file"):
        load_document(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_document(tmp_path)


def test_plain_data_that_is_no_configuration_is_refused_by_its_path():
    endless: dict[str, Any] = {}
    endless["x"] = endless
    cases = [
        ({"x": {1: "a"}}, "the key '1' is not text"),
        ({"x": [object()]}, "x.0  object"),
        ({"x": float("nan")}, "x  not a finite"),
    ]
    for source, message in [*cases, ({"x": b"bytes"}, "x  bytes is not plain data"), (endless, "nested too deep")]:
        with pytest.raises(ConfigError, match=message):
            load_config(Anything, source)


# ---- variables


@given(st.text())
def test_escaped_text_expands_to_itself(text):
    assert load_config(Anything, {"x": escape(text)}, environ={}).config.x == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("a ${A} b ${B:-two}", "a one b two"),
        ("${EMPTY:-else}", "else"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-${A}/x}", "one/x"),
        ("$A $ 5$", "$A $ 5$"),
        ("$$ $${A}", "$ ${A}"),
    ],
)
def test_variables_are_expanded_in_text(text, value):
    assert load_config(Anything, {"x": text}, environ={"A": "one", "EMPTY": ""}).config.x == value


def test_what_a_variable_holds_is_not_expanded_again():
    assert load_config(Anything, {"x": "${A}"}, environ={"A": "${B} $$"}).config.x == "${B} $$"


def test_undefined_and_malformed_variables_are_problems_with_their_place(problems):
    text = "x: ${OPENAI_API_KY}\nmore:\n  a: [ok, '${']\n  b: ${1x}\n  c: ${A-b}\n"
    assert problems(Anything, text, environ={"OPENAI_API_KEY": "sk-1234", "A": "a"}) == [
        "run.yaml:1:4  x  the variable OPENAI_API_KY is not set, did you mean 'OPENAI_API_KEY'?",
        "run.yaml:3:11  more.a.1  write ${NAME} or ${NAME:-default}; a literal '${' is written '$${'",
        "run.yaml:4:6  more.b  write ${NAME} or ${NAME:-default}; a literal '${' is written '$${'",
        "run.yaml:5:6  more.c  write ${A} or ${A:-default}; a literal '${' is written '$${'",
    ]
