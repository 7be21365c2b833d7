"""The registry: what is there, who provides it, and what nobody can have because two claim it."""

from __future__ import annotations

import pytest
from attrs import field, frozen

from agentflow_core.contributions import BackendSpec, GateSpec, MetricSpec, ModelSpec, ToolSpec
from agentflow_core.errors import PluginError, UnknownNameError, UsageError
from agentflow_core.hookspecs import hookimpl
from agentflow_core.plugins import Entry, Provider, tool_clashes

HERE = Provider("here", "agentflow-here", "1.2")


@frozen(kw_only=True)
class ThingConfig:
    size: int = 3


@frozen(kw_only=True)
class StrictConfig:
    size: int = field()


class Thing:
    def __init__(self, settings=None):
        if settings == ThingConfig(size=0):
            raise ValueError("too small")
        if settings == ThingConfig(size=1):
            raise UsageError("size must be at least 2", hint="make it 2")
        self.settings = settings


def entry(target="Thing", config=None, **more):
    spec = BackendSpec(
        "thing", target=f"{__name__}:{target}", config=config and f"{__name__}:{config}", summary="", **more
    )
    return Entry(spec, HERE)


def claim(name, kind=MetricSpec, target="nowhere:Thing"):
    class Plugin:
        pass

    hook = {MetricSpec: "agentflow_metrics", ToolSpec: "agentflow_tools"}[kind]
    setattr(Plugin, hook, hookimpl(lambda self: [kind(name, target=target, summary="")]))
    return Plugin()


def test_names_and_entries_are_sorted_and_by_kind(plugin_host):
    specs = [MetricSpec(name, target="a:B", summary="") for name in ("zeta", "alpha")]
    registry = plugin_host(*specs, ModelSpec("beta", target="a:B", summary=""), core=False).registry
    assert registry.names("metric") == ("alpha", "zeta")
    assert [entry.spec.name for entry in registry.entries("metric")] == ["alpha", "zeta"]
    assert registry.names("model") == ("beta",)
    assert registry.names("exporter") == ()


def test_an_entry_knows_its_provider(plugin_host):
    provider = plugin_host().registry.get("metric", "exact_match").provider
    assert (provider.plugin, provider.distribution) == ("core", "agentflow-core")


def test_an_unknown_name_has_a_suggestion(plugin_host):
    with pytest.raises(UnknownNameError, match="did you mean 'exact_match'"):
        plugin_host().registry.get("metric", "exact_mach")


def test_the_name_of_a_first_party_plugin_that_is_not_installed_says_what_to_install(plugin_host):
    with pytest.raises(UnknownNameError, match="pip install agentflow-rag"):
        plugin_host().registry.get("backend", "rag")


def test_the_name_of_a_plugin_that_is_there_but_left_out_says_why(plugin_host):
    host = plugin_host(rag=object(), environ={"AGENTFLOW_PLUGINS_OFF": "rag"})
    with pytest.raises(UnknownNameError, match=r"plugin 'rag' .* is blocked: AGENTFLOW_PLUGINS_OFF names it"):
        host.registry.get("backend", "rag")


def test_two_plugins_that_claim_one_name_are_both_refused(plugin_host):
    host = plugin_host(MetricSpec("mine", target="a:B", summary=""), left=claim("same"), right=claim("same"))
    with pytest.raises(PluginError, match="metric 'same' is claimed by left 0 and by right 0") as caught:
        host.registry.get("metric", "same")
    assert caught.value.hint == "leave one out: AGENTFLOW_PLUGINS_OFF=right"
    assert "same" not in host.registry.names("metric")
    assert {row.name: row.status for row in host.rows} == {
        "core": "ok",
        "left": "clash",
        "right": "clash",
        "test": "ok",
    }
    assert host.rows[1].reason == "metric 'same' is claimed by left 0 and by right 0"
    assert host.notices == ("neither is used: metric 'same' is claimed by left 0 and by right 0",)


def test_the_core_wins_no_clash_either_and_the_hint_leaves_the_other_out(plugin_host):
    host = plugin_host(left=claim("exact_match"))
    with pytest.raises(PluginError, match=r"claimed by agentflow-core .* and by left 0") as caught:
        host.registry.get("metric", "exact_match")
    assert caught.value.hint == "leave one out: AGENTFLOW_PLUGINS_OFF=left"


def test_one_name_of_two_kinds_is_no_clash(plugin_host):
    registry = plugin_host(
        MetricSpec("same", target="a:B", summary=""), GateSpec("same", target="a:B", summary="")
    ).registry
    assert registry.get("metric", "same").spec.kind == "metric"
    assert registry.get("gate", "same").spec.kind == "gate"


def test_tools_that_a_model_could_not_tell_apart_clash(plugin_host):
    registry = plugin_host(left=claim("math:add", ToolSpec), right=claim("math_add", ToolSpec)).registry
    for name in ("math:add", "math_add"):
        with pytest.raises(PluginError, match=r"'math:add' of left 0 and 'math_add' of right 0 .*'math_add'"):
            registry.get("tool", name)
    assert registry.names("tool") == ()


def test_tools_of_a_backend_and_api_tools_are_told_apart_by_wire_name():
    other = Provider("other", "agentflow-other", "0.1")
    clashes = tool_clashes([("rag:search", HERE), ("rag:get", HERE), ("rag_search", other)])
    assert set(clashes) == {"rag:search", "rag_search"}
    assert "'rag:search' of agentflow-here 1.2 and 'rag_search' of agentflow-other 0.1" in clashes["rag_search"]


def test_a_target_without_config_is_called_with_nothing():
    assert entry().build().settings is None


def test_a_target_with_config_is_called_with_defaults_or_with_settings():
    made = entry(config="ThingConfig")
    assert made.build().settings == ThingConfig(size=3)
    assert made.build(ThingConfig(size=5)).settings.size == 5


def test_settings_where_none_are_taken_are_refused():
    with pytest.raises(UsageError, match="backend 'thing' takes no settings"):
        entry().build(ThingConfig())


def test_settings_of_another_class_are_refused():
    with pytest.raises(UsageError, match="are a dict, not a ThingConfig"):
        entry(config="ThingConfig").build({"size": 4})


def test_settings_that_must_be_given_are_asked_for():
    with pytest.raises(UsageError, match=r"backend 'thing' needs settings: .*size"):
        entry(config="StrictConfig").build()


def test_a_target_that_fails_names_the_provider():
    with pytest.raises(
        PluginError, match=r"backend 'thing' of agentflow-here 1\.2 cannot be made: ValueError: too small"
    ):
        entry(config="ThingConfig").build(ThingConfig(size=0))


def test_an_error_that_already_says_what_to_do_comes_through():
    with pytest.raises(UsageError, match="at least 2"):
        entry(config="ThingConfig").build(ThingConfig(size=1))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (entry(target="Nothing"), "its target fails: .* has no 'Nothing'"),
        (entry(config="Nothing"), "its config fails: .* has no 'Nothing'"),
    ],
)
def test_a_path_that_leads_nowhere_names_the_provider(made, message):
    with pytest.raises(PluginError, match=rf"backend 'thing' of agentflow-here 1\.2: {message}"):
        made.build()


def test_a_module_that_exits_when_it_is_imported_is_an_error(fake_dist):
    fake_dist("quitter", modules={"metrics.py": "raise SystemExit(4)"})
    made = Entry(MetricSpec("quit", target="quitter.metrics:Quit", summary=""), HERE)
    with pytest.raises(PluginError, match="exits when it is imported"):
        made.resolve()


def test_an_offline_policy_is_found_where_one_is_named():
    assert entry().resolve_offline() is None
    assert entry(offline=f"{__name__}:Thing").resolve_offline() is Thing
