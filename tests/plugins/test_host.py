"""Loading plugins: a plugin that does not work is a row with a reason, and every other one works."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from agentflow_core import __version__
from agentflow_core.errors import PluginError
from agentflow_core.hookspecs import hookimpl
from agentflow_core.plugins import PluginHost
from agentflow_core.records.events import Notice

GOOD = """
    from agentflow_core import MetricSpec, hookimpl

    @hookimpl
    def agentflow_metrics():
        yield MetricSpec("good", target="agentflow_good.metrics:Good", summary="always right")
"""


def load(**environ):
    """Load what is installed, the distributions of the test among it."""
    return PluginHost.load(environ=environ)


def row_of(host, name):
    [row] = [row for row in host.rows if row.name == name]
    return row


def test_a_third_party_distribution_with_a_backend_a_scorer_and_a_metric_is_discovered(fake_dist):
    fake_dist(
        "agentflow-orchard",
        """
        from agentflow_core import BackendSpec, MetricSpec, ScorerSpec, hookimpl

        @hookimpl
        def agentflow_backends():
            yield BackendSpec("orchard", target="agentflow_orchard.backend:Orchard", summary="apples")

        @hookimpl
        def agentflow_scorers():
            return [ScorerSpec("ripeness", target="agentflow_orchard.scorers:Ripeness", summary="ripe paths")]

        @hookimpl
        def agentflow_metrics():
            yield MetricSpec(
                "sweetness",
                target="agentflow_orchard.metrics:Sweetness",
                config="agentflow_orchard.metrics:SweetnessConfig",
                summary="sugar",
            )
        """,
        version="2.1",
        modules={
            "scorers.py": """
                class Ripeness:
                    def score(self, path, context):
                        return 1.0
            """,
            "metrics.py": """
                from attrs import frozen

                @frozen(kw_only=True)
                class SweetnessConfig:
                    sugar: float = 0.5

                class Sweetness:
                    def __init__(self, settings):
                        self.settings = settings
            """,
        },
    )
    host = load()
    row = row_of(host, "orchard")
    assert (row.status, row.distribution, row.version) == ("ok", "agentflow-orchard", "2.1")
    assert "orchard" in host.registry.names("backend")
    assert host.registry.get("scorer", "ripeness").build().score((), None) == 1.0
    assert host.registry.get("metric", "sweetness").build().settings.sugar == 0.5
    assert str(host.registry.get("metric", "sweetness").provider) == "agentflow-orchard 2.1"


def test_loading_imports_the_plugin_module_and_nothing_that_it_points_to(fake_dist):
    fake_dist("agentflow-good", GOOD, modules={"metrics.py": "class Good: pass"})
    host = load()
    assert "agentflow_good.plugin" in sys.modules
    assert "agentflow_good.metrics" not in sys.modules
    host.registry.get("metric", "good").resolve()
    assert "agentflow_good.metrics" in sys.modules


def test_discovery_imports_no_plugin(fake_dist):
    fake_dist("agentflow-loud", "raise SystemExit('imported')")
    rows = PluginHost.discover(environ={})
    assert "loud" in [row.name for row in rows]
    assert "agentflow_loud" not in sys.modules


BROKEN = {
    "a module that raises": ("1 / 0", "importing agentflow_bad.plugin fails: ZeroDivisionError: division by zero"),
    "a module that exits": ("raise SystemExit(3)", "importing agentflow_bad.plugin fails: SystemExit: 3"),
    "a module with a syntax error": ("def", "importing agentflow_bad.plugin fails: SyntaxError"),
    "a missing dependency": ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
    "no hook": ("VALUE = 1", "implements no hook"),
    "a wrong signature": (
        "@hookimpl\ndef agentflow_metrics(config):\n    return []",
        "hookimpl definition: agentflow_metrics(config)",
    ),
    "a misspelt hook": (
        "@hookimpl\ndef agentflow_metric():\n    return []",
        "agentflow_metric is no hook, did you mean 'agentflow_metrics'?",
    ),
    "a hook that is like none": (
        "@hookimpl\ndef zzz():\n    return []",
        "zzz is no hook; there is: agentflow_backends",
    ),
    "a hook without its mark": (
        "def agentflow_metrics():\n    return []",
        "agentflow_metrics is not marked with @hookimpl",
    ),
    "a hook that answers nothing": ("@hookimpl\ndef agentflow_metrics():\n    pass", "agentflow_metrics returns None"),
    "a hook that raises": (
        "@hookimpl\ndef agentflow_metrics():\n    1 / 0",
        "agentflow_metrics fails: ZeroDivisionError",
    ),
    "a hook that exits": ("@hookimpl\ndef agentflow_metrics():\n    exit()", "agentflow_metrics fails: SystemExit"),
    "a generator that raises late": (
        "@hookimpl\ndef agentflow_metrics():\n    yield MetricSpec('bad', target='x:Y', summary='')\n    1 / 0",
        "agentflow_metrics fails: ZeroDivisionError",
    ),
    "what is no spec": (
        "@hookimpl\ndef agentflow_metrics():\n    yield 'bad'",
        "agentflow_metrics yields a str, not MetricSpec",
    ),
    "a spec of another kind": (
        "@hookimpl\ndef agentflow_metrics():\n    yield GateSpec('bad', target='x:Y', summary='')",
        "agentflow_metrics yields a GateSpec 'bad', not MetricSpec",
    ),
    "one spec instead of several": (
        "@hookimpl\ndef agentflow_metrics():\n    return MetricSpec('bad', target='x:Y', summary='')",
        "agentflow_metrics returns a MetricSpec 'bad', not an iterable of MetricSpec",
    ),
    "an asynchronous hook": (
        "@hookimpl\nasync def agentflow_metrics():\n    return []",
        "agentflow_metrics is 'async def'",
    ),
    "an asynchronous generator": (
        "@hookimpl\nasync def agentflow_metrics():\n    yield 1",
        "agentflow_metrics is 'async def'",
    ),
    "an asynchronous observer": (
        "@hookimpl\nasync def agentflow_observe(event):\n    pass",
        "agentflow_observe is 'async def'",
    ),
    "a name that is none": (
        "@hookimpl\ndef agentflow_metrics():\n    yield MetricSpec('Bad Name', target='x:Y', summary='')",
        "agentflow_metrics fails: metric name 'Bad Name' is not a name",
    ),
    "a target that is no path": (
        "@hookimpl\ndef agentflow_metrics():\n    yield MetricSpec('bad', target='nowhere', summary='')",
        "agentflow_metrics fails: 'nowhere' is not an import path",
    ),
    "one name twice": (
        "@hookimpl\ndef agentflow_metrics():\n    for _ in range(2):\n        yield MetricSpec('bad', target='x:Y', summary='')",
        "agentflow_metrics yields the metric 'bad' twice",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_a_row_with_a_reason_and_the_others_work(case, fake_dist, caplog):
    source, reason = BROKEN[case]
    fake_dist("agentflow-good", GOOD)
    fake_dist("agentflow-bad", f"from agentflow_core import GateSpec, MetricSpec, hookimpl\n{source}")
    host = load(AGENTFLOW_PLUGINS="good,bad")
    row = row_of(host, "bad")
    assert row.status == "broken"
    assert reason in row.reason
    assert "\n" not in row.reason
    assert row.contributions == ()
    assert "bad" not in host.registry.names("metric")
    assert "good" in host.registry.names("metric")
    assert [record.message for record in caplog.records] == [
        f"plugin 'bad' (agentflow-bad 1.0) is left out: {row.reason}"
    ]


def test_strict_makes_a_broken_plugin_an_error(fake_dist):
    fake_dist("agentflow-bad", "1 / 0")
    with pytest.raises(PluginError, match=r"agentflow-bad 1\.0.*ZeroDivisionError"):
        load(AGENTFLOW_PLUGINS="bad", AGENTFLOW_STRICT="1")


def test_strict_off_is_zero_or_empty(fake_dist):
    fake_dist("agentflow-bad", "1 / 0")
    assert row_of(load(AGENTFLOW_PLUGINS="bad", AGENTFLOW_STRICT="0"), "bad").status == "broken"


@pytest.mark.parametrize("requires", ["agentflow-core>=99", "agentflow_core==0.0.1", "agentflow-core (<0.0.2)"])
def test_a_plugin_for_another_core_is_incompatible_and_not_imported(requires, fake_dist):
    fake_dist("agentflow-later", "raise SystemExit('imported')", requires=["attrs", requires])
    row = row_of(load(), "later")
    assert row.status == "incompatible"
    assert "it needs agentflow-core" in row.reason
    assert __version__ in row.reason


@pytest.mark.parametrize(
    "requires", [f"agentflow-core=={__version__}", "agentflow-core>=0.0.1; python_version > '3'", "attrs>=999"]
)
def test_a_requirement_that_holds_or_is_the_installers_matter_is_fine(requires, fake_dist):
    fake_dist("agentflow-good", GOOD, requires=[requires])
    assert row_of(load(), "good").status == "ok"


def test_a_requirement_that_cannot_be_read_is_named(fake_dist):
    fake_dist("agentflow-good", GOOD, requires=["agentflow-core>=banana"])
    assert row_of(load(), "good").reason == "its requirement 'agentflow-core>=banana' cannot be read"


def test_blocked_plugins_are_not_imported(fake_dist):
    fake_dist("agentflow-loud", "raise SystemExit('imported')")
    row = row_of(load(AGENTFLOW_PLUGINS_OFF="loud"), "loud")
    assert (row.status, row.reason) == ("blocked", "AGENTFLOW_PLUGINS_OFF names it")
    assert "agentflow_loud" not in sys.modules


def test_an_allow_list_leaves_out_the_rest_but_never_the_core(fake_dist):
    fake_dist("agentflow-good", GOOD)
    fake_dist("agentflow-loud", "raise SystemExit('imported')")
    host = load(AGENTFLOW_PLUGINS=" good, ")
    assert {row.name: row.status for row in host.rows if row.name in ("core", "good", "loud")} == {
        "core": "ok",
        "good": "ok",
        "loud": "blocked",
    }
    assert "exact_match" in host.registry.names("metric")


def test_an_empty_allow_list_is_none(fake_dist):
    fake_dist("agentflow-good", GOOD)
    assert row_of(load(AGENTFLOW_PLUGINS=""), "good").status == "ok"


def test_the_core_cannot_be_left_out(caplog):
    host = load(AGENTFLOW_PLUGINS_OFF="core")
    assert host.rows[0].name == "core"
    assert host.rows[0].status == "ok"
    assert "AGENTFLOW_PLUGINS_OFF names 'core', which is always there" in caplog.text


@pytest.mark.parametrize("variable", ["AGENTFLOW_PLUGINS", "AGENTFLOW_PLUGINS_OFF"])
def test_a_name_in_a_list_that_matches_nothing_is_noticed(variable, fake_dist, caplog):
    fake_dist("agentflow-good", GOOD)
    host = load(**{variable: "good,goood"})
    notice = f"{variable} names 'goood', which is not installed, did you mean 'good'?"
    assert notice in host.notices
    assert notice in caplog.text


def test_two_distributions_that_claim_one_plugin_name_are_both_refused(fake_dist):
    fake_dist("agentflow-good", "raise SystemExit('imported')")
    fake_dist("good-fork", "raise SystemExit('imported')", version="3.0", entry_points={"good": "good_fork.plugin"})
    rows = [row for row in load().rows if row.name == "good"]
    assert [row.status for row in rows] == ["clash", "clash"]
    assert rows[0].reason == "the plugin name 'good' is claimed by agentflow-good 1.0 and by good-fork 3.0"
    assert rows[1].reason == "the plugin name 'good' is claimed by good-fork 3.0 and by agentflow-good 1.0"


def test_a_clash_of_plugin_names_is_ended_by_blocking_one_distribution(fake_dist):
    fake_dist("agentflow-good", GOOD)
    fake_dist("good-fork", "raise SystemExit('imported')", entry_points={"good": "good_fork.plugin"})
    statuses = {
        row.distribution: row.status for row in load(AGENTFLOW_PLUGINS_OFF="Good_Fork").rows if row.name == "good"
    }
    assert statuses == {"agentflow-good": "ok", "good-fork": "blocked"}


def test_nobody_else_may_be_the_core(fake_dist):
    fake_dist("impostor", "raise SystemExit('imported')", entry_points={"core": "impostor.plugin"})
    host = load()
    assert {row.distribution: row.status for row in host.rows if row.name == "core"} == {
        "agentflow-core": "ok",
        "impostor": "clash",
    }


def test_a_distribution_that_stands_on_the_path_twice_is_one(fake_dist):
    fake_dist("agentflow-good", GOOD)
    fake_dist("AgentFlow_Good", GOOD, version="1.0.dev1")
    assert row_of(load(), "good").version == "1.0.dev1"


def test_an_entry_point_of_metadata_that_is_gone_is_broken(fake_dist):
    made = fake_dist("agentflow-torn", GOOD)
    (made.path / "agentflow_torn-1.0.dist-info" / "METADATA").unlink()
    row = next(row for row in load().rows if row.name == "torn")
    assert row.status == "broken"
    assert "METADATA" in row.reason


@pytest.mark.parametrize("text", ["[agentflow]\nno entry at all\n", "[agentflow\n[agentflow]\nx\n"])
def test_entry_points_that_are_none_are_a_broken_row(text, fake_dist):
    made = fake_dist("agentflow-torn", GOOD)
    (made.path / "agentflow_torn-1.0.dist-info" / "entry_points.txt").write_text(text)
    row = row_of(load(), "agentflow-torn")
    assert row.status == "broken"
    assert "entry_points.txt" in row.reason


def test_two_distributions_without_metadata_are_both_broken(fake_dist):
    for name in ("torn", "worn"):
        made = fake_dist(f"agentflow-{name}", GOOD)
        (made.path / f"agentflow_{name}-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\n")
    assert {row_of(load(), name).status for name in ("torn", "worn")} == {"broken"}


def test_an_entry_point_that_is_no_import_path_is_broken(fake_dist):
    fake_dist("agentflow-torn", GOOD, entry_points={"torn": "agentflow torn"})
    assert row_of(load(), "torn").status == "broken"


def test_an_entry_point_name_that_is_no_name_is_broken(fake_dist):
    fake_dist("agentflow-torn", GOOD, entry_points={"My Plugin": "agentflow_torn.plugin"})
    assert row_of(load(), "My Plugin").reason == "plugin name 'My Plugin' is not a name"


def test_foreign_metadata_that_cannot_be_decoded_harms_nobody(fake_dist):
    made = fake_dist("foreign", GOOD)
    (made.path / "foreign-1.0.dist-info" / "entry_points.txt").write_bytes(b"[agentflow]\nx = \xff\xfe\n")
    assert load().rows[0].name == "core"


def test_observers_are_told_and_a_failing_one_is_logged_once(plugin_host, caplog):
    seen = []

    class Watcher:
        @hookimpl
        def agentflow_observe(self, event):
            seen.append(event)

    class Faulty:
        @hookimpl
        def agentflow_observe(self, event):
            raise ValueError("no")

    host = plugin_host(faulty=Faulty(), watcher=Watcher())
    first, second = Notice(message="one"), Notice(message="two")
    host.observe(first)
    host.observe(second)
    assert seen == [first, second]
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "plugin 'faulty' (faulty 0) fails to observe Notice")
    ]


def test_rows_are_in_order_core_first(fake_dist):
    for name in ("zebra", "apple"):
        fake_dist(f"agentflow-{name}", GOOD.replace('"good"', f'"{name}"'))
    names = [row.name for row in load().rows]
    assert [name for name in names if name in ("core", "apple", "zebra")] == ["core", "apple", "zebra"]
    assert names[0] == "core"


def test_the_environment_is_read_by_default(fake_dist, monkeypatch):
    fake_dist("agentflow-good", GOOD)
    monkeypatch.setitem(os.environ, "AGENTFLOW_PLUGINS_OFF", "good")
    assert row_of(PluginHost.load(), "good").status == "blocked"
