"""Hold an installed backend to the laws of the sandbox, without pytest: ``agentflow doctor --conformance NAME``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from agentflow_core.cli.config import KINDS, kind_of
from agentflow_core.cli.terminal import printable
from agentflow_core.concurrency import run_blocking
from agentflow_core.config import load_config, load_document, plugin_files
from agentflow_core.errors import PluginError, UsageError
from agentflow_core.names import unknown_name
from agentflow_core.plugins import PluginHost
from agentflow_core.refs import resolve
from agentflow_core.sandbox import Backend, SandboxConfig
from agentflow_core.testing.conformance import Outcome, Report, Subject, run_conformance
from agentflow_core.testing.laws import LAWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentflow_core.plugins import Entry
    from agentflow_core.sandbox.config import EngineConfig

__all__ = ["subject_of", "try_laws"]


def try_laws(
    name: str, *, only: Sequence[str], config: Path | None, sets: Sequence[str], files: Sequence[Path], as_json: bool
) -> bool:
    """Try the laws, or those named, on a backend and print a line each; whether all hold.

    Raises:
        UnknownNameError: there is no such backend, or no such law.
        ConfigError: the settings are wrong.
        PluginError: the backend or its subject cannot be used.
    """
    for law in only:
        if law not in LAWS:
            raise unknown_name("law", law, LAWS)
    host, settings, has_launcher = _settings(config, sets, files)
    subject = subject_of(host.registry.get("backend", name), settings)
    if has_launcher:
        subject = evolve(subject, launcher=settings.launcher)
    outcomes: list[Outcome] = []
    for law in only or LAWS:
        if sys.stderr.isatty() and not as_json:
            click.echo(f"{'…':8} {law}\r", nl=False, err=True)
        tried = run_blocking(partial(run_conformance, subject, only=[law]))
        outcomes += tried.outcomes
        if not as_json:
            click.echo(printable("\n".join(tried.lines())))
    if as_json:
        click.echo(json.dumps([_row(outcome) for outcome in outcomes], indent=2))
    else:
        counts = Counter(outcome.status for outcome in outcomes)
        click.echo(f"{name}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return Report(outcomes=tuple(outcomes)).ok


def subject_of(entry: Entry, settings: EngineConfig) -> Subject:
    """The subject that the backend's plugin names; with configured settings, or without one, the bare backend in it.

    Raises:
        PluginError: backend or subject is not what it should be.
    """
    target = entry.resolve()
    if not (isinstance(target, type) and issubclass(target, Backend)):
        raise PluginError(f"{entry}: {entry.spec.target} is not a Backend", hint="agentflow plugins check")
    choice = settings.backends.get(entry.spec.name)
    make = partial(entry.build, None if choice is None else choice.settings)
    named = entry.resolve_subject()
    if named is None:
        make()  # settings that do not do are told at once, and not by every law
        click.echo(f"NOTE: {entry} names no subject, so laws that need calls are skipped", err=True)
        return Subject(backend=make, name=entry.spec.name)
    subject = named if isinstance(named, Subject) else _made(entry, named)
    return evolve(subject, name=entry.spec.name, backend=subject.backend if choice is None else make)


def _made(entry: Entry, make: Any) -> Subject:
    try:
        subject = make()
    except Exception as error:  # plugin boundary
        raise PluginError(f"{entry}: its subject cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(subject, Subject):
        raise PluginError(f"{entry}: its subject is of type {type(subject).__name__}, not Subject")
    return subject


def _settings(config: Path | None, sets: Sequence[str], files: Sequence[Path]) -> tuple[PluginHost, EngineConfig, bool]:
    """The plugins, the sandbox that is configured, and whether that says anything about its launcher."""
    document = load_document({} if config is None else config, sets=sets)
    kind = "sandbox" if config is None else kind_of(document)
    host = PluginHost.load(files=(*plugin_files(document), *files))
    plain = document.plain()
    if kind == "sandbox":
        cls = SandboxConfig if config is None else resolve(KINDS[kind])  # a file may hold a server's keys beside
        settings = load_config(cls, document, registry=host.registry).config
    else:
        plain = plain.get("sandbox") or {}
        settings = load_config(resolve(KINDS[kind]), document, registry=host.registry).config.sandbox
    if getattr(settings, "url", None) is not None:
        raise UsageError("the laws are tried on a backend in this process", hint="leave the sandbox's url out")
    return host, settings, "launcher" in plain


def _row(outcome: Outcome) -> dict[str, str]:
    law = LAWS[outcome.law]
    return {"law": law.name, "says": law.says, "status": outcome.status, "reason": outcome.reason}
