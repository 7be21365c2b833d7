"""The command line itself: help, suggestions, errors and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

import agentflow_core.cli as command_line
from agentflow_core import __version__
from agentflow_core.cli.terminal import printable, printable_line, table
from agentflow_core.errors import AgentFlowError, ConfigError, LimitReached, Problem


@pytest.fixture
def failing(monkeypatch):
    """Make ``agentflow demo`` raise what the test says."""

    def failing(error):
        @click.command
        def demo():
            raise error

        table = command_line.CommandTable
        monkeypatch.setattr(table, "get_command", lambda self, ctx, name: demo)

    return failing


def test_the_bare_command_says_where_to_start(cli):
    ran = cli()
    assert ran.code == 0
    assert "agentflow demo" in ran.out


def test_help_lists_every_command(cli):
    ran = cli("--help")
    assert ran.code == 0
    for name in command_line.COMMANDS:
        assert f"  {name} " in ran.out
    assert cli("-h").out == ran.out


def test_version_is_the_packages(cli):
    assert __version__ in cli("--version").out


def test_a_mistyped_command_has_a_suggestion(cli):
    ran = cli("sythesize")
    assert ran.code == 2
    assert "no such command 'sythesize', did you mean 'synthesize'?" in ran.err


def test_an_unknown_option_is_a_usage_error(cli):
    assert cli("--bogus").code == 2


def test_an_error_is_its_message_and_hint_with_its_exit_code(cli, failing):
    failing(LimitReached("usd", "the budget of 5 usd is spent", hint="resume with a higher --budget"))
    ran = cli("demo")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "Error: the budget of 5 usd is spent\n  resume with a higher --budget\n"


def test_the_problems_of_a_configuration_are_lines_that_an_editor_can_follow(cli, failing):
    problems = [Problem("unknown key", path="a", file="run.yaml", line=n, column=1) for n in (1, 2)]
    failing(ConfigError(problems))
    ran = cli("demo")
    assert ran.code == 2
    assert ran.err == "Error:\nrun.yaml:1:1  a  unknown key\nrun.yaml:2:1  a  unknown key\n"


def test_errors_of_a_task_group_are_told_each(cli, failing):
    failing(ExceptionGroup("x", [LimitReached("usd", "one"), ExceptionGroup("y", [AgentFlowError("two")])]))
    ran = cli("demo")
    assert (ran.code, ran.err) == (3, "Error: one\nError: two\n")


def test_debug_shows_the_traceback(cli, failing, monkeypatch):
    failing(AgentFlowError("no"))
    assert "Traceback" not in cli("demo").err
    assert "Traceback" in cli("--debug", "demo").err
    monkeypatch.setenv("AGENTFLOW_DEBUG", "1")
    assert "Traceback" in cli("demo").err


@pytest.mark.parametrize("error", [ZeroDivisionError, EOFError])
def test_a_defect_is_raised(error, cli, failing):
    failing(error())
    with pytest.raises(error):
        cli("demo")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), BaseExceptionGroup("x", [KeyboardInterrupt(), AgentFlowError("no")])]
)
def test_an_interruption_is_130(error, cli, failing):
    failing(error)
    assert cli("demo").code == 130


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (4, 4), ("said why", 1)])
def test_a_command_may_exit(code, expected, cli, failing):
    failing(SystemExit(code))
    assert cli("demo").code == expected


def test_text_from_outside_does_not_steer_the_terminal(cli, failing):
    failing(AgentFlowError("page said \x1b[2J\x9b1m\u202e hi"))
    assert cli("demo").err == "Error: page said \\x1b[2J\\x9b1m\\u202e hi\n"


def test_a_reader_that_leaves_is_no_error():
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from agentflow_core.cli import main; sys.exit(main())"
    with open(write, "wb") as out:
        made = subprocess.run(
            [sys.executable, "-c", code, "--help"], stdout=out, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (made.returncode, made.stderr) == (1, "")


def test_printable_keeps_text_and_shows_what_steers():
    assert printable("é 日本\n\tx") == "é 日本\n\tx"
    assert printable("a\rb\x00\x7f\ud800") == "a\\x0db\\x00\\x7f\\ud800"
    assert printable_line(" a\n b\r\n\x07") == "a b \\x07"


def test_a_table_is_aligned_and_has_no_trailing_space():
    assert table(("NAME", "WHY"), [("a", ""), ("long\nname", "x")]) == "NAME       WHY\na\nlong name  x"
    assert table((), [("a", "b")], indent=2) == "  a  b"
    assert table((), []) == ""
