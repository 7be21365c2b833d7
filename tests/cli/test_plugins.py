"""``agentflow plugins list`` and ``check``."""

from __future__ import annotations

import json
import re
import sys

import pytest

BACKEND = """
    from agentflow_core import Backend, ToolResult, tool

    class Orchard(Backend):
        '''Apples.'''

        @tool
        async def pick(self, state, count: int = 1) -> ToolResult:
            '''Pick apples.'''
            return ToolResult.success({"count": count})
"""
PLUGIN = """
    from agentflow_core import BackendSpec, MetricSpec, ToolSpec, hookimpl

    @hookimpl
    def agentflow_backends():
        yield BackendSpec("orchard", target="agentflow_orchard.backend:Orchard", summary="apples")
"""


def rows(ran):
    return {row["name"]: row for row in json.loads(ran.out)}


def test_list_shows_what_metadata_says_and_imports_nothing(cli, fake_dist, only):
    only("orchard")
    fake_dist("agentflow-orchard", "raise SystemExit('imported')", version="2.1")
    ran = cli("plugins", "list")
    assert ran.code == 0
    assert "orchard" in ran.out
    assert "agentflow-orchard" in ran.out
    assert "agentflow_orchard" not in sys.modules
    assert rows(cli("plugins", "list", "--json"))["orchard"] == {
        "name": "orchard",
        "distribution": "agentflow-orchard",
        "version": "2.1",
        "module": "agentflow_orchard.plugin",
        "status": "ok",
        "reason": "",
    }


def test_list_says_why_a_plugin_is_left_out_and_what_the_lists_do_not_match(cli, fake_dist, only):
    only("orchard", "orchrad")
    fake_dist("agentflow-orchard", "", requires=["agentflow-core>=99"])
    ran = cli("plugins", "list")
    assert ran.code == 0
    assert "incompatible  it needs agentflow-core>=99" in ran.out
    assert ran.err == "WARNING: AGENTFLOW_PLUGINS names 'orchrad', which is not installed, did you mean 'orchard'?\n"


def test_check_resolves_every_target(cli, fake_dist, only):
    only("orchard")
    fake_dist("agentflow-orchard", PLUGIN, modules={"backend.py": BACKEND})
    ran = cli("plugins", "check", "--json")
    [backend] = rows(ran)["orchard"]["contributions"]
    assert backend == {
        "kind": "backend",
        "name": "orchard",
        "target": "agentflow_orchard.backend:Orchard",
        "config": None,
        "summary": "apples",
        "status": "ok",
        "reason": "",
    }
    assert "agentflow_orchard.backend" in sys.modules


def test_the_core_is_sound(cli, only):
    only("core")
    ran = cli("plugins", "check")
    assert ran.code == 0, ran.out
    assert "core (agentflow-core" in ran.out


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            'target="agentflow_orchard.nowhere:Orchard"',
            "its target fails: .*No module named 'agentflow_orchard.nowhere'",
        ),
        ('target="agentflow_orchard.backend:VALUE"', "cannot be called"),
        ('target="agentflow_orchard.backend:NoBackend"', "is no subclass of Backend"),
        (
            'target="agentflow_orchard.backend:Orchard", config="agentflow_orchard.backend:NoBackend"',
            "is no attrs class",
        ),
        (
            'target="agentflow_orchard.backend:Orchard", offline="agentflow_orchard.backend:Policy"',
            "its offline policy fails",
        ),
    ],
)
def test_check_names_what_cannot_be_used_and_exits_1(more, reason, cli, fake_dist, only):
    only("orchard")
    plugin = PLUGIN.replace('target="agentflow_orchard.backend:Orchard"', more)
    fake_dist(
        "agentflow-orchard", plugin, modules={"backend.py": f"{BACKEND}\n    VALUE = 1\n    class NoBackend: pass\n"}
    )
    ran = cli("plugins", "check", "--json")
    [backend] = rows(ran)["orchard"]["contributions"]
    assert ran.code == 1
    assert backend["status"] == "broken"
    assert re.search(reason, backend["reason"])
    human = cli("plugins", "check")
    assert human.code == 1
    assert "orchard (agentflow-orchard 1.0): 1 of 1 contributions broken" in human.out


def test_check_reports_a_plugin_that_cannot_be_imported_even_when_strict(cli, fake_dist, only, monkeypatch):
    only("orchard")
    monkeypatch.setenv("AGENTFLOW_STRICT", "1")
    fake_dist("agentflow-orchard", "1 / 0")
    ran = cli("plugins", "check")
    assert ran.code == 1
    assert (
        "orchard (agentflow-orchard 1.0): broken: importing agentflow_orchard.plugin fails: ZeroDivisionError"
        in ran.out
    )


def test_check_names_both_claimants_of_a_name(cli, fake_dist, only):
    only("orchard", "grove")
    fake_dist("agentflow-orchard", PLUGIN, modules={"backend.py": BACKEND})
    fake_dist("agentflow-grove", PLUGIN, version="7")
    ran = cli("plugins", "check", "--json")
    assert ran.code == 1
    for name in ("orchard", "grove"):
        assert rows(ran)[name]["status"] == "clash"
        [backend] = rows(ran)[name]["contributions"]
        assert backend["status"] == "clash"
        assert "agentflow-orchard 1.0" in backend["reason"]
        assert "agentflow-grove 7" in backend["reason"]


def test_check_finds_tools_that_a_model_could_not_tell_apart(cli, fake_dist, only):
    only("orchard", "grove")
    fake_dist("agentflow-orchard", PLUGIN, modules={"backend.py": BACKEND})
    fake_dist(
        "agentflow-grove",
        """
        from agentflow_core import ToolSpec, hookimpl

        @hookimpl
        def agentflow_tools():
            yield ToolSpec("orchard_pick", target="agentflow_grove.tools:pick", summary="pick")
        """,
        modules={
            "tools.py": """
                from agentflow_core import register_api_tool

                @register_api_tool
                def pick() -> int:
                    '''Pick.'''
                    return 1
            """
        },
    )
    ran = cli("plugins", "check", "--json")
    assert ran.code == 1
    for name in ("orchard", "grove"):
        [part] = rows(ran)[name]["contributions"]
        assert part["status"] == "clash"
        assert "models would see" in part["reason"]


def test_a_blocked_plugin_is_no_failure(cli, fake_dist, only):
    only("core")
    fake_dist("agentflow-orchard", "raise SystemExit('imported')")
    assert rows(cli("plugins", "list", "--json"))["orchard"]["status"] == "blocked"
    assert "orchard (agentflow-orchard 1.0): blocked" in cli("plugins", "check").out


def test_a_reason_stays_on_one_line_and_does_not_steer_the_terminal(cli, fake_dist, only):
    only("orchard")
    fake_dist("agentflow-orchard", "raise ValueError('a\\nb \\x1b[2J')")
    out = cli("plugins", "check").out
    assert "ValueError: a b \\x1b[2J" in out
    assert "\x1b" not in out
