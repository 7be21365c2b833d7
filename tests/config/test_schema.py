from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import frozen
from jsonschema import Draft202012Validator

from agentflow_core.config import PluginChoice, config_schema, load_config, option
from agentflow_core.errors import ConfigError, PluginError


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@frozen(kw_only=True)
class Judge:
    """Compare with the reference.

    More about it.
    """

    name: str = option(help="the model")
    strict: bool = option(False, help="no mercy")


@frozen(kw_only=True)
class Depth:
    cap: int = option(6, help="soft cap", at_least=1)


@frozen(kw_only=True)
class Section:
    """A part."""

    count: int = option(3, help="how many", at_least=1, at_most=9)
    inner: Section | None = option(None, help="one inside the other")


@frozen(kw_only=True)
class Run:
    """A run."""

    data: Path = option(help="the data", path=True)
    share: float | None = option(None, help="a share", at_least=0, at_most=1)
    mode: Mode = option(Mode.FAST, help="how")
    limit: Literal["auto"] | int = option("auto", help="how much")
    word: str = option("a", help="a word", choices=("a", "b"))
    section: Section = option(Section(), help="a part")
    sections: Mapping[str, Section] = option({}, help="parts")
    names: tuple[str, ...] = option(("x",), help="names")
    pair: tuple[int, str] | None = option(None, help="two")
    token: str | None = option(None, help="secret", secret=True)
    extra: Mapping[str, Any] = option({}, help="anything")
    model: PluginChoice = option(PluginChoice("offline"), help="model", plugin="model")
    roles: Mapping[str, PluginChoice] = option({}, help="roles", plugin="model", choices=("solver", "judge"))
    metrics: tuple[PluginChoice, ...] = option((), help="metrics", plugin="metric")
    scorers: Mapping[str, PluginChoice] = option({}, help="scorers", plugin="scorer", weighted=True)
    gate: PluginChoice | None = option(None, help="gate", plugin="gate", choices=("leak",))


VALID: list[dict[str, Any]] = [
    {},
    {"share": 1, "mode": "slow", "limit": 3, "word": "b", "token": "x", "extra": {"a": [1]}},
    {"share": "${SHARE}", "limit": "${LIMIT}", "section": {"count": "${N}"}},
    {"section": None, "sections": {"a": {"count": 2}, "b": {"inner": {"inner": {"count": 1}}}}},
    {"names": [], "pair": [1, "a"]},
    {"model": "openai/x", "roles": {"solver": "offline", "judge": {"provider": "openai", "name": "x"}}},
    {"metrics": ["f1", {"judge": {"name": "x"}}, {"f1": None}]},
    {"scorers": {"depth": 2, "chain": {"weight": 0.5}}},
    {"scorers": {"depth": {"weight": 2, "cap": 3}, "chain": None}, "gate": "leak"},
]
INVALID: list[dict[str, Any]] = [
    {"data": ""},
    {"shar": 1},
    {"share": 1.5},
    {"share": "half"},
    {"mode": "medium"},
    {"limit": "none"},
    {"word": "c"},
    {"section": {"count": 10}},
    {"section": {"cnt": 1}},
    {"sections": {"a": {"inner": {"count": 0}}}},
    {"names": "x"},
    {"names": [1]},
    {"pair": [1]},
    {"token": 3},
    {"model": "opnai/x"},
    {"model": {"name": "x"}},
    {"model": {"provider": "openai"}},
    {"model": {"provider": "offline", "name": "x"}},
    {"roles": {"solvr": "offline"}},
    {"metrics": ["f2"]},
    {"metrics": [{"judge": None}]},
    {"metrics": [{"f1": {"a": 1}}]},
    {"metrics": [{"f1": None, "judge": {"name": "x"}}]},
    {"scorers": {"depht": 1}},
    {"scorers": {"depth": {"cap": 0}}},
    {"scorers": {"depth": True}},
    {"gate": "chain"},
]


@pytest.fixture
def plugins(registry):
    return registry(
        {
            "model": {"offline": None, "openai": Judge},
            "metric": {"f1": None, "judge": Judge},
            "scorer": {"depth": Depth, "chain": None},
            "gate": {"leak": None, "chain": None},
        }
    )


def is_valid(schema: dict[str, Any], document: dict[str, Any]) -> bool:
    return Draft202012Validator(schema).is_valid(document)


def test_the_schema_is_a_schema(plugins):
    for schema in (config_schema(Run), config_schema(Run, plugins)):
        Draft202012Validator.check_schema(schema)
        assert json.loads(json.dumps(schema)) == schema
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("document", VALID)
def test_what_loads_is_valid(plugins, document):
    document = {"data": "x", **document}
    variables = {"SHARE": "0.5", "LIMIT": "3", "N": "3"}
    assert load_config(Run, document, registry=plugins, environ=variables)
    assert is_valid(config_schema(Run, plugins), document)
    assert is_valid(config_schema(Run), document)


@pytest.mark.parametrize("document", INVALID)
def test_what_does_not_load_is_invalid(plugins, document):
    document = {"data": "x", **document}
    with pytest.raises(ConfigError):
        load_config(Run, document, registry=plugins, environ={})
    assert not is_valid(config_schema(Run, plugins), document)


def test_what_is_resolved_is_valid(plugins):
    source = {
        "data": "x",
        "metrics": [{"judge": {"name": "x"}}],
        "scorers": {"depth": 2},
        "token": "hush",
        "gate": "leak",
    }
    resolved = load_config(Run, source, registry=plugins).resolved
    assert is_valid(config_schema(Run, plugins), resolved)
    assert is_valid(config_schema(Run), resolved)


def test_a_missing_required_key_is_invalid(plugins):
    assert not is_valid(config_schema(Run, plugins), {})


def test_without_a_registry_any_name_is_valid():
    schema = config_schema(Run)
    assert is_valid(
        schema, {"data": "x", "model": "other/x", "metrics": ["new", {"newer": {"a": 1}}], "scorers": {"n": 1}}
    )
    assert not is_valid(schema, {"data": "x", "metrics": [3]})


def test_help_defaults_and_bounds_are_told(plugins):
    schema = config_schema(Run, plugins)
    assert schema["description"] == "A run."
    assert schema["properties"]["names"] == {
        "description": "names",
        "type": "array",
        "items": {"type": "string"},
        "default": ["x"],
    }
    assert schema["properties"]["section"]["default"] == {"count": 3, "inner": None}
    assert schema["$defs"]["Section"]["properties"]["count"] == {
        "description": "how many",
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"$ref": "#/$defs/variable"}],
        "default": 3,
    }
    assert "default" not in schema["properties"]["data"]
    assert "default" not in schema["properties"]["token"]
    assert schema["required"] == ["data"]


def test_a_plugin_whose_settings_cannot_be_imported_does_not_spoil_the_schema(registry):
    plugins = registry({"metric": {"bad": PluginError("metric 'bad': its config fails")}})
    schema = config_schema(Run, plugins)
    Draft202012Validator.check_schema(schema)
    assert "settings unknown: metric 'bad': its config fails" in json.dumps(schema)
