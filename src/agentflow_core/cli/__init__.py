"""The ``agentflow`` command: one module a command, imported only when it is called."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import click

from agentflow_core import __version__
from agentflow_core.cli.terminal import printable
from agentflow_core.errors import AgentFlowError
from agentflow_core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["cli", "main"]

#: Every command and its line in ``agentflow --help``. A command ``a-b`` is ``agentflow_core.cli.a_b:command``.
COMMANDS: Mapping[str, str] = {
    "demo": "Synthesize and evaluate on a bundled corpus; no key, no network.",
    "synthesize": "Make verified QA pairs: sample trajectories, select paths, draft and check.",
    "rollout": "Evaluate an agent on a benchmark.",
    "ask": "Ask one question; get one answer and its trajectory.",
    "score": "Score a run again with other metrics, without running it.",
    "compare": "Compare two rollouts of one benchmark, sample by sample.",
    "compare-selection": "Show what each selector would keep of a run's trees.",
    "export": "Write a run in a training format.",
    "import": "Make a run of what others wrote.",
    "runs": "List runs, or show one.",
    "tools": "List tools, show one, or call one.",
    "plugins": "List the installed plugins, check that they work, or begin a new one.",
    "doctor": "Say what works on this machine and what to install; try a backend's conformance.",
    "serve": "Serve the installed environments over HTTP.",
    "config": "Check a configuration, or print its schema.",
}

#: Commands whose names no module can have.
_MODULES: Mapping[str, str] = {"import": "importing"}

START = f"""\
AgentFlow {__version__}: training data for agents, and their evaluation, in every environment that is a plugin.

  agentflow demo            see it work in about a minute; no key, no network
  agentflow plugins list    what is installed
  agentflow --help          every command\
"""


class Invocation:
    """What the options before the command say; the context's ``obj``."""

    def __init__(self) -> None:
        self.is_debug = os.environ.get("AGENTFLOW_DEBUG", "") not in ("", "0")


class CommandTable(click.Group):
    """A group whose commands are a static table: listing them imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name.replace("-", "_"))
        command: click.Command = import_module(f"{__name__}.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name, or a usage error with a suggestion."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"no such command {printable(name)!r}{did_you_mean(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=CommandTable, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agentflow")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (also AGENTFLOW_DEBUG=1).")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Synthesize training data for agents, and evaluate agents, in any environment that is a plugin."""
    ctx.ensure_object(Invocation).is_debug |= debug
    if ctx.invoked_subcommand is None:
        click.echo(START)
    else:
        ctx.with_resource(_log_to_stderr())


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is done, 1 a failure, 2 a wrong argument or configuration, 3 ended by a limit, 130 interrupted.
    """
    invocation = Invocation()
    try:
        code = cli.main(args, prog_name="agentflow", standalone_mode=False, obj=invocation)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # click takes it for the end of a prompt; here it is a defect
            raise error.__cause__ from None
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as `head` has; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as error:
        code = error.code
    except (AgentFlowError, BaseExceptionGroup) as error:
        return _failed(error, invocation)
    return code if isinstance(code, int) else int(code is not None)


def _failed(error: AgentFlowError | BaseExceptionGroup, invocation: Invocation) -> int:
    """Say what went wrong; anything that is not an `AgentFlowError` is a defect and raised with its traceback."""
    causes = list(_leaves(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        click.echo("interrupted", err=True)
        return 130
    known = [cause for cause in causes if isinstance(cause, AgentFlowError)]
    if len(known) < len(causes):
        raise error
    if invocation.is_debug:
        import traceback

        click.echo(printable("".join(traceback.format_exception(error))), err=True)
    for message in dict.fromkeys(_message(cause) for cause in known):
        click.echo(message, err=True)
    return known[0].exit_code


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _message(error: AgentFlowError) -> str:
    start = "Error:\n" if "\n" in error.message else "Error: "  # problems stay lines that an editor can follow
    hint = "".join(f"\n  {line}" for line in error.hint.splitlines())
    return printable(f"{start}{error.message}{hint}")


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Print warnings of AgentFlow and of plugins, a line each, while a command runs."""
    import logging

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return printable(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(levelname)s: %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
