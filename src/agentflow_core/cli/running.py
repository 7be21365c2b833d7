"""What the commands that make a run share: their options, their progress display, their end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import frozen

from agentflow_core.concurrency import run_blocking
from agentflow_core.models import parse_budget
from agentflow_core.runs import Finished, RunOptions, StopSignal, end_card, exit_code, open_progress
from agentflow_core.runs.card import rich_card
from agentflow_core.runs.progress import Mode

if TYPE_CHECKING:
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records.events import Event
    from agentflow_core.runs.tally import ToolTiming

__all__ = ["RunArguments", "conduct_run", "leave", "progress_mode", "run_options"]

F = TypeVar("F", bound=Callable[..., Any])


@frozen(kw_only=True)
class RunArguments:
    """The options that every command that makes a run takes."""

    run: Path | None
    sets: Sequence[str]
    resume: bool
    fork: Path | None
    record: Path | None
    replay: Path | None
    budget: str | None
    load: Sequence[Path]
    retry_failed: bool
    mode: Mode

    @property
    def options(self) -> RunOptions:
        """The options as the run takes them."""
        return RunOptions(
            run_dir=self.run,
            resume=True if self.resume else None,
            fork=self.fork,
            record=self.record,
            replay=self.replay,
            budget=None if self.budget is None else parse_budget(self.budget),
            retry_failed=self.retry_failed,
        )


def progress_mode(*, as_json: bool, plain: bool) -> Mode:
    """How progress is shown."""
    return "json" if as_json else "plain" if plain else "auto"


def run_options(function: F) -> F:
    """Add the options of `RunArguments` to a command, which takes them as one argument ``run``."""
    from functools import wraps

    @wraps(function)
    def command(**given: Any) -> Any:
        as_json, plain = given.pop("as_json"), given.pop("plain")
        arguments = RunArguments(
            run=given.pop("run_dir"),
            sets=given.pop("sets"),
            resume=given.pop("resume"),
            fork=given.pop("fork"),
            record=given.pop("record"),
            replay=given.pop("replay"),
            budget=given.pop("budget"),
            load=given.pop("load"),
            retry_failed=given.pop("retry_failed"),
            mode=progress_mode(as_json=as_json, plain=plain),
        )
        return function(run=arguments, **given)

    path = click.Path(path_type=Path)
    for option in reversed(
        (
            click.option("--run", "run_dir", type=path, metavar="DIR", help="The run directory; resumed if it exists."),
            click.option(
                "--set", "sets", multiple=True, metavar="A.B=V", help="Override a value of the configuration."
            ),
            click.option("--resume", is_flag=True, help="Insist that the run directory holds a run."),
            click.option(
                "--fork", type=path, metavar="DIR", help="Take over the stages of this run that did not change."
            ),
            click.option("--record", type=path, metavar="DIR", help="Write every answer of models and tools there."),
            click.option(
                "--replay", type=path, metavar="DIR", help="Take every answer of models and tools from there."
            ),
            click.option("--budget", metavar="5usd", help="Stop at 5usd, 200000tokens, 1000calls or 30m; resumable."),
            click.option("--load", type=path, multiple=True, metavar="F.py", help="Load tools and hooks from a file."),
            click.option(
                "--retry-failed/--no-retry-failed", default=True, help="On resume, try failed units again (default)."
            ),
            click.option("--plain", is_flag=True, help="One line every ten seconds in place of bars."),
            click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output."),
        )
    ):
        command = option(command)
    return command  # type: ignore[return-value]


def conduct_run(
    host: PluginHost,
    mode: Mode,
    work: Callable[..., Awaitable[Finished]],
) -> Finished:
    """Run ``work(observe=…, stop=…)`` under a progress display and Ctrl-C, print the end card, raise what made it fail."""

    async def run() -> Finished:
        with open_progress(mode, sys.stdout) as progress:

            def observe(event: Event) -> None:
                progress.observe(event)
                host.observe(event)

            async with StopSignal(observe) as stop:
                finished = await work(observe=observe, stop=stop)
        if mode != "json":
            _show_card(finished, mode, progress.tally.slowest_tools())
        return finished

    finished = run_blocking(run)
    if finished.error is not None:
        raise finished.error
    return finished


def _show_card(finished: Finished, mode: Mode, slowest: Sequence[ToolTiming]) -> None:
    if mode == "auto" and sys.stdout.isatty():
        from rich.console import Console  # 60 ms; only for people

        Console().print(rich_card(finished.summary, finished.run_dir, slowest=slowest))
    else:
        click.echo(end_card(finished.summary, finished.run_dir, slowest=slowest))


def leave(finished: Finished, fail_under: Mapping[str, float] | None = None) -> None:
    """End the command with the exit code of the run: 4 if a metric is below its bound."""
    code = exit_code(finished.status)
    if code == 0 and fail_under:
        for metric, bound in fail_under.items():
            mean = finished.summary["metrics"][metric]["mean"]
            if mean is None or mean < bound:
                click.echo(f"{metric} is {mean}, below {bound}", err=True)
                code = 4
    if code:
        sys.exit(code)
