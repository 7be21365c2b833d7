"""Files of tools that no distribution packages."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from agentflow_core.errors import PluginError, UsageError
from agentflow_core.plugins import PluginHost

TOOLS = """
    from agentflow_core import register_api_tool

    @register_api_tool
    def shout(text: str) -> str:
        '''Write a text in capitals.

        Args:
            text: what to shout.
        '''
        return text.upper()

    @register_api_tool(name="words:count")
    def count(text: str) -> int:
        '''Count the words.'''
        return len(text.split())

    def helper():
        return 1
"""


@pytest.fixture
def write(tmp_path):
    def write(source, name="my_tools.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(source))
        return path

    return write


def test_the_marked_functions_of_a_file_are_tools(plugin_host, write):
    host = plugin_host(files=[write(TOOLS)], core=False)
    assert host.registry.names("tool") == ("local:shout", "words:count")
    entry = host.registry.get("tool", "local:shout")
    assert entry.spec.summary == "Write a text in capitals."
    assert entry.spec.target == "agentflow_loaded_my_tools:shout"
    assert entry.provider.plugin == "my_tools.py"
    assert entry.resolve()("ho") == "HO"
    assert [(row.name, row.status, len(row.contributions)) for row in host.rows] == [("my_tools.py", "ok", 2)]


def test_a_file_may_hold_hooks_like_any_plugin(plugin_host, write):
    path = write(
        """
        from agentflow_core import MetricSpec, hookimpl

        @hookimpl
        def agentflow_metrics():
            yield MetricSpec("mine", target=f"{__name__}:Mine", summary="my own")

        class Mine:
            pass
        """
    )
    metric = plugin_host(files=[path]).registry.get("metric", "mine")
    assert type(metric.build()).__name__ == "Mine"


def test_a_file_named_twice_is_loaded_once(plugin_host, write):
    path = write(TOOLS)
    again = path.parent / "." / ".." / path.parent.name / path.name
    assert plugin_host(files=[path, again], core=False).registry.names("tool") == ("local:shout", "words:count")


def test_files_of_one_name_do_not_replace_each_other(plugin_host, write):
    first = plugin_host(files=[write(TOOLS, "a/tools.py")]).registry.get("tool", "local:shout")
    second = plugin_host(files=[write(TOOLS, "b/tools.py")]).registry.get("tool", "local:shout")
    assert first.resolve().__code__.co_filename.endswith("a/tools.py")
    assert second.resolve().__code__.co_filename.endswith("b/tools.py")


def test_a_file_name_need_not_be_an_identifier(plugin_host, write):
    host = plugin_host(files=[write(TOOLS, "my-tools 2.py")])
    assert host.registry.get("tool", "local:shout").spec.target == "agentflow_loaded_my_tools_2:shout"


def test_two_files_that_claim_one_tool_clash(plugin_host, write):
    host = plugin_host(files=[write(TOOLS, "one.py"), write(TOOLS, "two.py")])
    with pytest.raises(PluginError, match=r"claimed by one\.py and by two\.py"):
        host.registry.get("tool", "local:shout")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0", r"my_tools\.py fails: line 2: ZeroDivisionError: division by zero"),
        ("x = (", r"my_tools\.py fails: line 1: SyntaxError"),
        ("import sys\nsys.exit('bye')", r"my_tools\.py fails: line 2: SystemExit: bye"),
        ("x = 1", r"my_tools\.py offers nothing"),
        ("from agentflow_core import hookimpl\n@hookimpl\ndef agentflow_tool(): ...", "did you mean 'agentflow_tools'"),
        (
            "from agentflow_core import register_api_tool\n@register_api_tool\ndef f(x: int): ...",
            r"my_tools\.py fails: .*no docstring",
        ),
        (
            "from agentflow_core import tool\n@tool\nasync def f(self, state): 'Do it.'",
            r"my_tools\.py: f is marked with @tool\n.*@register_api_tool",
        ),
    ],
)
def test_a_file_that_was_asked_for_and_fails_is_an_error(source, message, plugin_host, write):
    with pytest.raises(PluginError, match=message):
        plugin_host(files=[write(source)])


def test_a_file_that_fails_leaves_no_module_behind(plugin_host, write):
    with pytest.raises(PluginError):
        plugin_host(files=[write("1 / 0", "torn.py")])
    assert "agentflow_loaded_torn" not in sys.modules


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        PluginHost.load(files=[tmp_path / "none.py"], environ={"AGENTFLOW_PLUGINS": "core"})


def test_a_file_that_is_no_python_is_a_usage_error(plugin_host, write):
    with pytest.raises(UsageError, match=r"tools\.yaml is not a Python file"):
        plugin_host(files=[write("a: 1", "tools.yaml")])
