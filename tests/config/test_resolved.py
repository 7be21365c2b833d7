from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow_core.config import PluginChoice, load_config, option, write_resolved
from agentflow_core.config.origins import Origins
from agentflow_core.config.resolved import dump


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@frozen(kw_only=True)
class Judge:
    name: str = option("j", help="name")
    prompt: str | None = option(None, help="prompt")
    scale: float = option(1.0, help="scale")


@frozen(kw_only=True)
class Section:
    count: int = option(3, help="count")
    mode: Mode = option(Mode.FAST, help="mode")
    limit: Literal["auto"] | int = option("auto", help="limit")


@frozen(kw_only=True)
class Run:
    text: str = option("a", help="text")
    share: float = option(0.5, help="share")
    flag: bool | None = option(None, help="flag")
    path: Path | None = option(None, help="path", path=True)
    section: Section = option(Section(), help="section")
    sections: Mapping[str, Section] = option({}, help="sections")
    names: tuple[str, ...] = option(("x",), help="names")
    extra: Mapping[str, Any] = option({}, help="extra")
    model: PluginChoice = option(PluginChoice("offline"), help="model", plugin="model")
    metrics: tuple[PluginChoice, ...] = option((), help="metrics", plugin="metric")
    scorers: Mapping[str, PluginChoice] = option({}, help="scorers", plugin="scorer", weighted=True)
    selector: PluginChoice | None = option(None, help="selector", plugin="selector")


KNOWN = {
    "model": {"offline": None, "openai": Judge},
    "metric": {"f1": None, "judge": Judge},
    "scorer": {"depth": Judge, "chain": None},
    "selector": {"coverage": None},
}

text = st.text(max_size=8)
number = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | number | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b$", "${c}", "1"]), inner, max_size=3)
    ),
    max_leaves=6,
)
judges = st.builds(Judge, name=st.text(min_size=1, max_size=5), prompt=st.none() | text, scale=number)
sections = st.builds(
    Section, count=st.integers(-9, 9), mode=st.sampled_from(Mode), limit=st.just("auto") | st.integers(-9, 9)
)
runs = st.builds(
    Run,
    text=text,
    share=number,
    flag=st.none() | st.booleans(),
    path=st.none() | st.sampled_from([Path("/a/b"), Path("/x $$ y/${A}"), Path("-")]),
    section=sections,
    sections=st.dictionaries(text, sections, max_size=2),
    names=st.lists(text, max_size=3).map(tuple),
    extra=st.dictionaries(st.sampled_from(["x", "y.z", "on"]), plain, max_size=3),
    model=st.just(PluginChoice("offline")) | judges.map(lambda judge: PluginChoice("openai", judge)),
    metrics=st.lists(
        st.just(PluginChoice("f1")) | judges.map(lambda judge: PluginChoice("judge", judge)), max_size=2
    ).map(tuple),
    scorers=st.fixed_dictionaries(
        {},
        optional={
            "depth": st.builds(PluginChoice, st.just("depth"), judges, number),
            "chain": st.builds(PluginChoice, st.just("chain"), st.none(), number),
        },
    ),
    selector=st.none() | st.just(PluginChoice("coverage")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(config=runs)
def test_loading_what_is_resolved_gives_the_same_configuration(registry, write, config):
    resolved = dump(config, Origins())
    assert json.loads(json.dumps(resolved)) == resolved
    loaded = load_config(Run, resolved, registry=registry(KNOWN), environ={})
    assert loaded.config == config
    assert loaded.resolved == resolved
    again = load_config(Run, write(write_resolved(loaded), "config.yaml"), registry=registry(KNOWN), environ={})
    assert again.config == config
    assert again.resolved == resolved


def test_without_a_registry_it_gives_the_same_configuration_too(load, registry):
    source = (
        "model: openai/x\nmetrics: [a, {b: {c: [1]}}]\nscorers: {a: 2, b: {weight: 1, c: $}}\nselector: {d: {e: f}}\n"
    )
    loaded = load(Run, source)
    assert load_config(Run, loaded.resolved, environ={}).config == loaded.config


def test_every_default_is_filled_in(load):
    assert load(Run, "section: {count: 4}").resolved == {
        "text": "a",
        "share": 0.5,
        "flag": None,
        "path": None,
        "section": {"count": 4, "mode": "fast", "limit": "auto"},
        "sections": {},
        "names": ["x"],
        "extra": {},
        "model": {"provider": "offline"},
        "metrics": [],
        "scorers": {},
        "selector": None,
    }


def test_choices_are_written_with_their_settings(load, registry):
    source = "model: openai/x\nmetrics: [f1, judge]\nscorers: {depth: 2, chain: }\nselector: coverage\n"
    resolved = load(Run, source, registry=registry(KNOWN)).resolved
    judge = {"name": "j", "prompt": None, "scale": 1.0}
    assert resolved["model"] == {"provider": "openai", **judge, "name": "x"}
    assert resolved["metrics"] == [{"f1": None}, {"judge": judge}]
    assert resolved["scorers"] == {"depth": {"weight": 2.0, **judge}, "chain": {"weight": 1.0}}
    assert resolved["selector"] == {"coverage": None}


# ---- secrets


@frozen(kw_only=True)
class Provider:
    name: str = option("m", help="name")
    api_key: str | None = option(None, help="key", secret=True)
    keys: tuple[str, ...] = option((), help="keys", secret=True)
    headers: Mapping[str, str] = option({}, help="headers", secret=True)
    base_url: str | None = option(None, help="where")
    retries: int = option(3, help="retries")
    pin: int | None = option(None, help="a number", secret=True)


@frozen(kw_only=True)
class WithSecrets:
    model: PluginChoice = option(PluginChoice("offline"), help="model", plugin="model")
    backends: Mapping[str, PluginChoice] = option({}, help="backends", plugin="backend")
    token: str | None = option(None, help="token", secret=True)
    extra: Mapping[str, Any] = option({}, help="extra")
    note: str = option("", help="note")


SECRETS = {"OPENAI_API_KEY": "sk-hush", "URL": "http://host", "LOGIN": "user:hush", "N": "5", "PIN": "4711"}
SECRET_TEXT = """
model:
  provider: openai
  api_key: ${OPENAI_API_KEY}
  keys: ["${OPENAI_API_KEY}", written-hush]
  headers: {X-Key: written-hush, Authorization: "Bearer ${LOGIN}"}
  base_url: ${URL}/v1
  retries: ${N}
  pin: ${PIN}
token: ${NONE:-default-hush}
extra: {from: "${LOGIN}", api_key: written-hush, max_tokens: "9", nested: [{password: written-hush}], token: ""}
note: "${OPENAI_API_KEY} and ${LOGIN} at ${URL}"
"""
MASKED = {
    "model": {
        "provider": "openai",
        "name": "m",
        "api_key": "${OPENAI_API_KEY}",
        "keys": ["${OPENAI_API_KEY}", "${KEYS}"],
        "headers": {"X-Key": "${X_KEY}", "Authorization": "Bearer ${LOGIN}"},
        "base_url": "http://host/v1",
        "retries": 5,
        "pin": "${PIN}",
    },
    "backends": {},
    "token": "${NONE}",
    "extra": {
        "from": "${LOGIN}",
        "api_key": "${API_KEY}",
        "max_tokens": "9",
        "nested": [{"password": "${PASSWORD}"}],
        "token": "",
    },
    "note": "${OPENAI_API_KEY} and ${LOGIN} at ${URL}",
}


def test_secrets_are_in_the_configuration_and_nowhere_else(load, registry):
    loaded = load(WithSecrets, SECRET_TEXT, environ=SECRETS, registry=registry({"model": {"openai": Provider}}))
    settings = loaded.config.model.settings
    assert (settings.api_key, settings.keys[1], settings.pin) == ("sk-hush", "written-hush", 4711)
    assert settings.headers["Authorization"] == "Bearer user:hush"
    assert loaded.config.token == "default-hush"
    assert loaded.config.note == "sk-hush and user:hush at http://host"
    assert loaded.resolved == MASKED
    for shown in (repr(loaded), write_resolved(loaded), repr(settings), repr(loaded.config.model)):
        assert "hush" not in shown
        assert "4711" not in shown


def test_without_a_class_nothing_that_came_from_a_variable_is_written(load):
    loaded = load(WithSecrets, SECRET_TEXT, environ=SECRETS)
    assert loaded.config.model.settings["api_key"] == "sk-hush"
    assert loaded.resolved["model"]["base_url"] == "${URL}/v1"
    assert loaded.resolved["model"]["api_key"] == "${OPENAI_API_KEY}"
    shown = write_resolved(loaded).replace("written-hush", "", 2)  # in keys and X-Key, which nothing tells to be secret
    assert "hush" not in shown


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/${SECRET}", "${SECRET}"),
        ("openai/a-${SECRET}", "a-${SECRET}"),
        ("${SECRET:-openai/x}", "x"),
        ("${BOTH}", "both"),
    ],
)
def test_a_models_name_that_came_from_a_variable_is_written_as_it_was(load, model, name):
    environ = {"BOTH": "openai/both"} | ({"SECRET": "hush"} if ":-" not in model else {})
    loaded = load(WithSecrets, f"model: {model}", environ=environ)
    assert loaded.resolved["model"] == {"provider": "openai", "name": name}


def test_what_was_masked_loads_again_where_the_variables_are_set(load, registry):
    plugins = registry({"model": {"openai": Provider}})
    lines = [line for line in SECRET_TEXT.splitlines() if "written" not in line and "token" not in line]
    loaded = load(WithSecrets, "\n".join(lines), environ=SECRETS, registry=plugins)
    assert load_config(WithSecrets, loaded.resolved, environ=SECRETS, registry=plugins).config == loaded.config


def test_problems_do_not_tell_secrets(problems, registry):
    text = "model: {provider: openai, api_key: [hush], pin: hush, keys: hush}\ntoken: 4711\n"
    found = problems(WithSecrets, text, registry=registry({"model": {"openai": Provider}}))
    assert found == [
        "run.yaml:1:36  model.api_key  expected text or null, got a list",
        "run.yaml:1:49  model.pin  expected a whole number or null, got text",
        "run.yaml:1:61  model.keys  expected a list, got text; write it as a list: [ … ]",
        "run.yaml:2:8  token  expected text or null, got a number",
    ]


@frozen(kw_only=True)
class Limits:
    token: str = option("", help="a secret with choices", secret=True, choices=("", "a"))


def test_a_secret_that_breaks_its_bounds_is_not_told_in_python_either():
    with pytest.raises(Exception, match="expected one of '', 'a'") as raised:
        Limits(token="hush")
    assert "hush" not in str(raised.value)
    assert "hush" not in repr(attrs.evolve(Limits(), token="a"))
