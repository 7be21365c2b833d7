from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import frozen

from agentflow_core.config import PluginChoice, load_config, option
from agentflow_core.errors import PluginError


@frozen(kw_only=True)
class DepthConfig:
    cap: int = option(6, help="soft cap", at_least=1)


@frozen(kw_only=True)
class OpenAIConfig:
    name: str = option(help="the model")
    api_key: str | None = option(None, help="the key", secret=True)


@frozen(kw_only=True)
class JudgeConfig:
    model: PluginChoice = option(PluginChoice("offline"), help="who judges", plugin="model")


@frozen(kw_only=True)
class BrokenConfig:
    value: int = option(0, help="whatever")

    def __attrs_post_init__(self) -> None:
        raise KeyError("bug")


@frozen(kw_only=True)
class Inner:
    selector: PluginChoice = option(PluginChoice("coverage"), help="selector", plugin="selector")


@frozen(kw_only=True)
class Run:
    model: PluginChoice = option(PluginChoice("offline"), help="model", plugin="model")
    roles: Mapping[str, PluginChoice] = option({}, help="models by role", plugin="model", choices=("solver", "judge"))
    metrics: tuple[PluginChoice, ...] = option((), help="metrics", plugin="metric")
    backends: Mapping[str, PluginChoice] = option({}, help="backends", plugin="backend")
    scorers: Mapping[str, PluginChoice] = option(
        {"depth": PluginChoice("depth")}, help="scorers", plugin="scorer", weighted=True
    )
    first: PluginChoice | None = option(None, help="one scorer", plugin="scorer", weighted=True)
    inner: Inner = option(Inner(), help="a section")
    gate: PluginChoice | None = option(None, help="a gate", plugin="gate", choices=("leak", "chain"))


@pytest.fixture
def plugins(registry):
    return registry(
        {
            "model": {"offline": None, "openai": OpenAIConfig},
            "metric": {"f1_score": None, "exact_match": None, "judge": JudgeConfig},
            "scorer": {"depth": DepthConfig, "chain": None},
            "selector": {"coverage": None, "deep": DepthConfig},
            "backend": {"web": None, "bad": BrokenConfig, "two": PluginError("backend 'two' is claimed by a and by b")},
            "gate": {"leak": None, "chain": None},
        }
    )


def choice(name: str, settings: Any = None, weight: float = 1.0) -> PluginChoice:
    return PluginChoice(name, settings, weight)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("model: offline", "model", choice("offline")),
        ("model: openai/org/big", "model", choice("openai", {"name": "org/big"})),
        ("model: {provider: openai, name: x, n: 1}", "model", choice("openai", {"name": "x", "n": 1})),
        ("model: {provider: offline}", "model", choice("offline")),
        ("roles: {judge: openai/x, solver: offline}", "roles", {"judge": choice("openai", {"name": "x"}), "solver": choice("offline")}),
        ("metrics: [a, {b: {c: 1}}, {d: }]", "metrics", (choice("a"), choice("b", {"c": 1}), choice("d"))),
        ("backends: {a: , b: {c: 1}}", "backends", {"a": choice("a"), "b": choice("b", {"c": 1})}),
        ("scorers: {a: 2, b: {weight: 3, c: 1}, d: }", "scorers", {"a": choice("a", None, 2.0), "b": choice("b", {"c": 1}, 3.0), "d": choice("d")}),
        ("first: a", "first", choice("a")),
        ("first: {a: 2}", "first", choice("a", None, 2.0)),
        ("first: {a: '${W}'}", "first", choice("a", None, 4.0)),
        ("first: ", "first", None),
        ("first: ${N}", "first", choice("chain")),
    ],
)  # fmt: skip
def test_the_forms_of_a_choice_without_a_registry(load, text, key, value):
    assert getattr(load(Run, text, environ={"W": "4", "N": "chain"}).config, key) == value


def test_with_a_registry_settings_are_of_the_plugins_class(load, plugins):
    text = (
        "model: openai/x\nscorers: {depth: {weight: 2, cap: 3}, chain: 1}\nmetrics: [judge]\ninner: {selector: deep}\n"
    )
    config = load(Run, text, registry=plugins).config
    assert config.model == choice("openai", OpenAIConfig(name="x"))
    assert config.scorers == {"depth": choice("depth", DepthConfig(cap=3), 2.0), "chain": choice("chain")}
    assert config.metrics == (choice("judge", JudgeConfig()),)
    assert config.inner.selector == choice("deep", DepthConfig())


def test_defaults_have_typed_settings_too(load, plugins):
    config = load(Run, "", registry=plugins).config
    assert config.scorers == {"depth": choice("depth", DepthConfig())}
    assert config.inner.selector == choice("coverage")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("metrics: [f1_scor]", "1:11  metrics.0  unknown metric 'f1_scor', did you mean 'f1_score'?"),
        ("backends: {rag: {a: 1}}", "1:12  backends.rag  unknown backend 'rag', it comes with a plugin: pip install agentflow-rag"),
        ("backends: {two: }", "1:12  backends.two  backend 'two' is claimed by a and by b"),
        ("model: opnai/x", "1:8  model  unknown model 'opnai', did you mean 'openai'?"),
        ("model: {provider: opnai}", "1:19  model.provider  unknown model 'opnai', did you mean 'openai'?"),
        ("model: openai", "1:8  model.name  is missing: the model"),
        ("model: openai/", "1:8  model.name  is empty"),
        ("model: {name: x}", "1:8  model  names no provider; write {provider: openai, name: …}"),
        ("model: {provider: 3}", "1:19  model.provider  expected text, got the number 3"),
        ("model: {provider: openai, name: x, tmp: 1}", "1:36  model.tmp  unknown key"),
        ("model: 3", "1:8  model  expected offline, openai/NAME or {provider: …}, got the number 3"),
        ("roles: {solvr: offline}", "1:9  roles.solvr  expected one of 'solver', 'judge', got 'solvr', did you mean 'solver'?"),
        ("scorers: {depth: {cap: 0}}", "1:24  scorers.depth.cap  expected at least 1, got 0"),
        ("scorers: {depth: {wight: 1}}", "1:19  scorers.depth.wight  unknown key"),
        ("scorers: {depth: {weight: a}}", "1:27  scorers.depth.weight  expected a number, got text 'a'"),
        ("scorers: {depth: {weight: ${GONE}, cap: 0}}", "1:27  scorers.depth.weight  the variable GONE is not set|1:41  scorers.depth.cap  expected at least 1, got 0"),
        ("scorers: {depth: a}", "1:18  scorers.depth  expected a weight or a mapping of settings, got text 'a'"),
        ("scorers: {depth: true}", "1:18  scorers.depth  expected a weight or a mapping of settings, got the boolean true"),
        ("scorers: {chain: {cap: 1}}", "1:19  scorers.chain.cap  unknown key, scorer 'chain' has no settings"),
        ("metrics: [{f1_score: 1}]", "1:22  metrics.0.f1_score  expected a mapping of settings, got the number 1"),
        ("metrics: [{judge: {model: offlin}}]", "1:27  metrics.0.judge.model  unknown model 'offlin', did you mean 'offline'?"),
        ("metrics: [{a: , b: }]", "1:11  metrics.0  expected one name, or {name: {settings}}, got a mapping of 2 keys"),
        ("metrics: f1_score", "1:10  metrics  expected a list, got text 'f1_score'; write it as a list: [ … ]"),
        ("gate: leek", "1:7  gate  expected one of 'leak', 'chain', got 'leek', did you mean 'leak'?"),
        ("first: 3", "1:8  first  expected a name, or {name: {settings}} or null, got the number 3"),
    ],
)  # fmt: skip
def test_a_wrong_choice_is_named_with_its_place(problems, plugins, text, problem):
    assert problems(Run, text, registry=plugins) == [f"run.yaml:{one}" for one in problem.split("|")]


def test_an_unknown_name_that_came_from_a_variable_is_not_repeated(problems, plugins):
    found = problems(Run, "model: ${KEY}\ngate: ${KEY}\n", registry=plugins, environ={"KEY": "sk-12345"})
    assert "sk-" not in str(found)
    assert found[0].startswith("run.yaml:1:8  model  unknown model '${KEY}'")


def test_a_config_class_with_a_bug_is_the_plugins_fault(load, plugins):
    with pytest.raises(PluginError, match="backend 'bad': its config class BrokenConfig fails: KeyError"):
        load(Run, "backends: {bad: {value: 1}}", registry=plugins)


def test_settings_that_are_typed_later_keep_their_place_and_are_expanded_once(load, problems, write):
    text = "backends:\n  rag: {name: '${PRICE}', api_key: 5}\n"
    settings = load(Run, text, environ={"PRICE": "$${5}"}).config.backends["rag"].settings
    assert settings == {"name": "$${5}", "api_key": 5}
    with pytest.raises(Exception, match=r"run\.yaml:2:36  api_key  expected text or null, got a number"):
        load_config(OpenAIConfig, settings)
    settings = load(Run, text.replace("5}", "five}"), environ={"PRICE": "$${5}"}).config.backends["rag"].settings
    assert load_config(OpenAIConfig, settings).config.name == "$${5}"


def test_settings_without_a_class_do_not_show_in_a_repr():
    assert "sk-1" not in repr(PluginChoice("openai", {"api_key": "sk-1"}))
