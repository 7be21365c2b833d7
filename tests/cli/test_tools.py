"""``agentflow tools list``, ``show`` and ``call``, over the embedded sandbox."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

PLUGIN = """
    from agentflow_core import BackendSpec, hookimpl

    @hookimpl
    def agentflow_backends():
        yield BackendSpec("orchard", target="agentflow_orchard.backend:Orchard",
                          config="agentflow_orchard.backend:OrchardConfig", summary="apples")
"""
BACKEND = """
    from typing import Annotated

    from attrs import frozen

    from agentflow_core import Backend, Range, ToolResult, tool
    from agentflow_core.config import option

    @frozen(kw_only=True)
    class OrchardConfig:
        trees: int = option(3, help="number of trees")

    class Orchard(Backend):
        '''Apples.'''

        sharing = "shared"

        def __init__(self, settings):
            self.settings = settings

        @tool(read_only=True)
        async def pick(self, state, count: Annotated[int, Range(1, 9)] = 1, kind: str = "red") -> ToolResult:
            '''Pick apples. They are ripe.

            Args:
                count: how many apples.
                kind: which ones.
            '''
            if count > self.settings.trees:
                return ToolResult.failure("not_found", "no apples left", hint="pick fewer")
            return ToolResult.success({"apples": count}, text=f"{count} {kind} apples")
"""
TOOLS = """
    from agentflow_core import register_api_tool

    @register_api_tool
    def shout(text: str) -> str:
        '''Write a text in capitals.'''
        return text.upper()
"""


@pytest.fixture(autouse=True)
def orchard(fake_dist, monkeypatch, tmp_path):
    monkeypatch.setenv("AGENTFLOW_PLUGINS", "orchard")
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "state"))
    fake_dist("agentflow-orchard", PLUGIN, modules={"backend.py": BACKEND})


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(dedent(text))
        return path

    return write


def test_list_shows_every_tool_with_its_first_sentence(cli, write):
    ran = cli("tools", "list", "--load", write("my_tools.py", TOOLS))
    assert ran.code == 0
    assert ran.out == "TOOL\nlocal:shout   Write a text in capitals\norchard:pick  Pick apples\n"


def test_list_as_json_holds_the_schemas(cli):
    [tool] = json.loads(cli("tools", "list", "--json").out)
    assert (tool["name"], tool["wire_name"]) == ("orchard:pick", "orchard_pick")
    assert tool["parameters"]["properties"]["count"]["maximum"] == 9


@pytest.mark.parametrize("name", ["orchard:pick", "orchard_pick"])
def test_show_explains_a_tool_by_either_name(name, cli):
    ran = cli("tools", "show", name)
    assert ran.code == 0
    assert ran.out.startswith("orchard:pick (models see orchard_pick; sessions: shared)\n\nPick apples.")
    assert "  count  integer 1..9  default 1      how many apples" in ran.out
    assert '  kind   string        default "red"  which ones' in ran.out


def test_a_mistyped_tool_has_a_suggestion(cli):
    ran = cli("tools", "show", "orchard:pik")
    assert ran.code == 2
    assert "unknown tool 'orchard:pik'\n  did you mean 'orchard:pick'?" in ran.err


def test_call_prints_what_a_model_would_be_shown(cli):
    ran = cli("tools", "call", "orchard:pick", '{"count": 2}')
    assert (ran.code, ran.out) == (0, "2 red apples\n")


def test_call_without_arguments_uses_the_defaults(cli):
    assert cli("tools", "call", "orchard:pick").out == "1 red apples\n"


def test_call_as_json_prints_the_whole_result(cli):
    result = json.loads(cli("tools", "call", "orchard:pick", "{}", "--json").out)
    assert result["ok"] is True
    assert result["data"] == {"apples": 1}
    assert result["tool"] == "orchard:pick"


def test_a_tool_that_fails_exits_1_and_says_what_to_do(cli):
    ran = cli("tools", "call", "orchard:pick", '{"count": 5}')
    assert ran.code == 1
    assert "no apples left" in ran.out
    assert "pick fewer" in ran.out


def test_a_wrong_argument_is_a_failure_of_the_call(cli):
    ran = cli("tools", "call", "orchard:pick", '{"cuont": 5}')
    assert ran.code == 1
    assert "did you mean 'count'" in ran.out


@pytest.mark.parametrize(("text", "said"), [("{count: 1}", "are not JSON"), ("[1]", "a list and not an object")])
def test_arguments_that_are_no_object_are_a_usage_error(text, said, cli):
    ran = cli("tools", "call", "orchard:pick", text)
    assert ran.code == 2
    assert said in ran.err


def test_the_settings_of_a_configuration_hold(cli, write):
    config = write("sandbox.yaml", "backends: {orchard: {trees: 7}}\n")
    assert cli("tools", "call", "orchard:pick", '{"count": 5}', "--config", config).code == 0


def test_the_files_that_a_configuration_loads_are_offered(cli, write):
    write("my_tools.py", TOOLS)
    config = write(
        "run.yaml", "data: {path: tasks.jsonl}\nplugins: {load: [my_tools.py]}\nsandbox: {enabled: [local]}\n"
    )
    assert cli("tools", "list", "--config", config).out == "TOOL\nlocal:shout  Write a text in capitals\n"


def test_output_of_a_tool_does_not_steer_the_terminal(cli, write):
    path = write(
        "my_tools.py",
        """
        from agentflow_core import register_api_tool

        @register_api_tool
        def page() -> str:
            '''Read a page.'''
            return "line\\rover\\x9b2J"
        """,
    )
    assert cli("tools", "call", "local:page", "--load", path).out == "line\\x0dover\\x9b2J\n"
