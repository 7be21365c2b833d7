"""``agentflow doctor``: what works here and what to install; and whether a backend keeps the laws of the sandbox."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from attrs import field, frozen

from agentflow_core.cli.plugins import warn
from agentflow_core.cli.terminal import printable_line, table
from agentflow_core.concurrency import first_error, run_blocking
from agentflow_core.errors import AgentFlowError, PluginError, UsageError
from agentflow_core.names import unknown_name
from agentflow_core.plugins import PluginHost, discover
from agentflow_core.plugins.discovery import CORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.plugins import Entry, PluginRow

__all__ = ["command"]


#: ``\b`` keeps click from filling the lines.
EXAMPLES = """\b
Examples:
  agentflow doctor                        everything
  agentflow doctor bwrap rag              these must work
  agentflow doctor --conformance rag      does the backend keep the laws?
  agentflow doctor --conformance bash --set launcher.kind=docker
"""


@click.command(name="doctor", epilog=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--strict", is_flag=True, help="Exit 1 if anything fails, not only what is named.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="For each check.",
)
@click.option("--conformance", "backend", metavar="BACKEND", help="Hold an installed backend to the laws instead.")
@click.option("--law", "laws", multiple=True, metavar="LAW", help="With --conformance: this law only. Repeatable.")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="F", help="With --conformance: a configuration with a sandbox."
)
@click.option("--set", "sets", multiple=True, metavar="A.B=V", help="With --conformance: override a value. Repeatable.")
@click.option(
    "--load",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="F.py",
    help="Load hooks from a file too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    strict: bool,
    timeout_s: float,
    backend: str | None,
    laws: tuple[str, ...],
    config: Path | None,
    sets: tuple[str, ...],
    files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Say what works on this machine, and what to install where something does not.

    NAME is a check, or a plugin, which stands for all of its checks. What is optional may be missing: the exit code is
    1 only if something that is named fails, or anything with --strict.
    """
    if backend is not None:
        if names or strict:
            raise UsageError("--conformance goes without other names and without --strict")
        from agentflow_core.cli.conformance import try_laws  # the test kit is not needed for checks

        is_well = try_laws(backend, only=laws, config=config, sets=sets, files=files, as_json=as_json)
    else:
        if laws or config or sets:
            raise UsageError("--law, --config and --set need --conformance BACKEND")
        is_well = _examine(names, files, timeout_s=timeout_s, as_json=as_json) or not (names or strict)
    if not is_well:
        ctx.exit(1)


@frozen(kw_only=True)
class Case:
    """Something to look at: a check, or a plugin as a whole."""

    name: str
    plugin: str
    provider: str  #: distribution and version
    summary: str
    look: Callable[[], Awaitable[Any]] = field(repr=False, eq=False)


@frozen(kw_only=True)
class Finding:
    """What was found."""

    ok: bool
    said: str  #: of a failure, what to do about it

    @property
    def status(self) -> str:
        """``ok`` or ``failed``."""
        return "ok" if self.ok else "failed"


def _examine(names: Sequence[str], files: Sequence[Path], *, timeout_s: float, as_json: bool) -> bool:
    """Look at what is named, or at everything, and print what is found; whether all is well."""
    discovered = discover(os.environ)
    host = PluginHost.of(discovered, files=files)
    cases = list(dict.fromkeys(case for name in names for case in _named(host, name))) if names else _all(host)
    lines = _Lines(cases, is_silent=as_json)
    findings = run_blocking(_look_at_all, cases, timeout_s, lines.tell)
    if as_json:
        click.echo(json.dumps([_row(*found) for found in zip(cases, findings, strict=True)], indent=2))
    warn(discovered.notices)
    return all(finding.ok for finding in findings)


def _all(host: PluginHost) -> list[Case]:
    left_out = [_plugin_case(row) for row in host.rows if row.is_left_out]
    return [*map(_check_case, _checks(host)), *left_out]


def _named(host: PluginHost, name: str) -> list[Case]:
    """The checks of the name or of the plugin of the name, and the plugin itself where there is no other answer.

    Raises:
        UnknownNameError: nothing is called so.
        PluginError: two plugins claim the check.
    """
    checks = [entry for entry in _checks(host) if name in (entry.spec.name, entry.provider.plugin)]
    rows = [row for row in host.rows if row.name == name and (row.status != "ok" or not checks)]
    if not checks and not rows:
        if any(entry.spec.name == name for claimants in host.registry.clashes for entry in claimants):
            host.registry.get("check", name)
        raise unknown_name("check", name, [*host.registry.names("check"), *(row.name for row in host.rows)])
    return [*map(_check_case, checks), *map(_plugin_case, rows)]


def _checks(host: PluginHost) -> list[Entry]:
    """Those of the core first."""
    return sorted(host.registry.entries("check"), key=lambda entry: (entry.provider.plugin != CORE, entry.spec.name))


def _check_case(entry: Entry) -> Case:
    async def look() -> Any:
        try:
            target = entry.resolve()
        except PluginError as error:
            return False, error.message.removeprefix(f"{entry}: ")
        return await target()

    return Case(
        name=entry.spec.name,
        plugin=entry.provider.plugin,
        provider=str(entry.provider),
        summary=entry.spec.summary,
        look=look,
    )


def _plugin_case(row: PluginRow) -> Case:
    async def look() -> Any:
        return row.status == "ok", f"{row.status}: {row.reason}" if row.reason else "works, and brings no check"

    provider = f"{row.distribution} {row.version}".strip() or row.name
    return Case(name=row.name, plugin=row.name, provider=provider, summary="the plugin as a whole", look=look)


async def _look_at_all(cases: Sequence[Case], timeout_s: float, tell: Callable[[Case, Finding], None]) -> list[Finding]:
    """Look at all at once; ``tell`` is called in their order, each as soon as it and those before it are found."""
    findings: dict[int, Finding] = {}
    told = 0

    async def look_at(index: int) -> None:
        nonlocal told
        findings[index] = await _look_at(cases[index], timeout_s)
        while told in findings:
            tell(cases[told], findings[told])
            told += 1

    async with anyio.create_task_group() as tasks:
        for index in range(len(cases)):
            tasks.start_soon(look_at, index)
    return [findings[index] for index in range(len(cases))]


async def _look_at(case: Case, timeout_s: float) -> Finding:
    try:
        with anyio.move_on_after(timeout_s) as limit:
            answer = await case.look()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary
        return Finding(ok=False, said=_told(error))
    if limit.cancelled_caught:
        return Finding(ok=False, said=f"no answer within {timeout_s:g} s")
    match answer:
        case (bool(ok), str(said)):
            return Finding(ok=ok, said="; ".join(line.strip() for line in said.splitlines()))
        case _:
            return Finding(ok=False, said=f"a check answers (bool, str), not {answer!r:.200}")


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        error = first_error(error)
    if isinstance(error, AgentFlowError):
        return "; ".join(part for part in (error.message, error.hint) if part)
    return f"{type(error).__name__}: {error}"


class _Lines:
    """Prints the table line by line: the columns before the answers are known beforehand."""

    def __init__(self, cases: Sequence[Case], *, is_silent: bool) -> None:
        self._is_silent = is_silent
        labels = table(("CHECK", "FROM"), [(case.name, case.provider) for case in cases]).splitlines()
        self._width = max(map(len, labels))
        self._labels = iter(labels)
        self._print("STATUS", "")

    def tell(self, case: Case, finding: Finding) -> None:
        """Print the next line."""
        self._print(finding.status, finding.said)

    def _print(self, status: str, said: str) -> None:
        if not self._is_silent:
            click.echo(f"{next(self._labels):{self._width}}  {status:6}  {printable_line(said)}".rstrip())


def _row(case: Case, finding: Finding) -> dict[str, Any]:
    shown = {name: getattr(case, name) for name in ("name", "plugin", "provider", "summary")}
    return shown | {"status": finding.status, "said": finding.said}
