"""Load plugins one at a time, so that one that fails is a row with a reason and the others work."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from agentflow_core.errors import AgentFlowError, PluginError
from agentflow_core.plugins import discovery
from agentflow_core.plugins.discovery import Discovery, Found, PluginRow, is_on
from agentflow_core.plugins.files import load_file, marked_tools
from agentflow_core.plugins.hooks import PluginHooks
from agentflow_core.plugins.registry import Entry, Provider, Registry, describe_clash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from agentflow_core.contributions import Contribution
    from agentflow_core.records.events import Event

__all__ = ["PluginHost"]

_log = logging.getLogger("agentflow_core.plugins")


@frozen(kw_only=True)
class _Loaded:
    row: PluginRow
    hooks: PluginHooks | None = None


class PluginHost:
    """The plugins of a process: their rows, the registry of what they contribute, and their observers."""

    def __init__(self, loaded: Iterable[_Loaded], notices: Iterable[str] = ()) -> None:
        loaded = tuple(loaded)
        entries = [
            Entry(spec, Provider(each.row.name, each.row.distribution, each.row.version))
            for each in loaded
            for spec in each.row.contributions
        ]
        #: What the loaded plugins contribute.
        self.registry = Registry(entries, [each.row for each in loaded])
        #: Every plugin and loaded file, and what became of it.
        self.rows = tuple(_with_clashes(each.row, self.registry) for each in loaded)
        #: What people should know: plugins that are left out, and names that match none.
        self.notices = (
            *notices,
            *(
                f"{row.label} is left out: {row.reason}"
                for row in self.rows
                if row.is_left_out and not row.contributions
            ),
            *(f"neither is used: {describe_clash(claimants)}" for claimants in self.registry.clashes),
        )
        self._observers = [(each.row.label, each.hooks) for each in loaded if each.hooks and each.hooks.observes]
        self._failed_observers: set[str] = set()

    @classmethod
    def load(cls, *, files: Iterable[Path] = (), environ: Mapping[str, str] = os.environ) -> PluginHost:
        """Import the plugin module of every allowed plugin, and the ``files``; nothing that they point to.

        A plugin that does not work is a row with a reason, and logged; a file that does not work raises.

        Raises:
            PluginError: a file fails; or anything is wrong and ``AGENTFLOW_STRICT=1``.
            UsageError: a file that is not there.
        """
        host = cls.of(discovery.discover(environ), files=files)
        if host.notices and is_on(environ, "AGENTFLOW_STRICT"):
            raise PluginError("\n".join(host.notices), hint="AGENTFLOW_STRICT=1 makes each of these an error")
        for notice in host.notices:
            _log.warning("%s", notice)
        return host

    @classmethod
    def of(cls, found: Discovery, *, files: Iterable[Path] = ()) -> PluginHost:
        """Load what was discovered, and the ``files``; what is wrong stands in ``rows`` and ``notices``."""
        loaded = [_load(candidate) for candidate in found.found]
        loaded += [_load_file(path) for path in dict.fromkeys(path.resolve() for path in files)]
        return cls(loaded, found.notices)

    @staticmethod
    def discover(*, environ: Mapping[str, str] = os.environ) -> tuple[PluginRow, ...]:
        """The rows that metadata gives; imports no plugin."""
        return discovery.discover(environ).rows

    def observe(self, event: Event) -> None:
        """Tell every plugin that observes. An observer that fails is logged once and never fatal."""
        for label, hooks in self._observers:
            try:
                hooks.observe(event)
            except Exception:  # noqa: BLE001 - plugin boundary
                if label not in self._failed_observers:
                    self._failed_observers.add(label)
                    _log.warning("%s fails to observe %s", label, type(event).__name__, exc_info=True)


def _load(found: Found) -> _Loaded:
    row = found.row
    if row.status != "ok":
        return _Loaded(row=row)
    try:
        plugin = found.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - plugin boundary
        reason = f"importing {row.module} fails: {type(error).__name__}: {error}"
        return _broken(row, reason)
    try:
        hooks = PluginHooks(row.name, plugin)
        if not hooks.implemented:
            raise PluginError(f"{row.module} implements no hook; mark functions with @hookimpl")
        return _Loaded(row=evolve(row, contributions=hooks.contributions()), hooks=hooks)
    except AgentFlowError as error:
        return _broken(row, error.message)


def _broken(row: PluginRow, reason: str) -> _Loaded:
    return _Loaded(row=evolve(row, status="broken", reason=" ".join(reason.split())))


def _load_file(path: Path) -> _Loaded:
    module = load_file(path)
    row = PluginRow(name=path.name, distribution="", version="", module=module.__name__)
    try:
        hooks = PluginHooks(path.name, module)
        specs: tuple[Contribution, ...] = (*hooks.contributions(), *marked_tools(module))
    except AgentFlowError as error:
        raise PluginError(f"{path.name}: {error.message}", hint=error.hint) from error
    if not specs and not hooks.observes:
        raise PluginError(f"{path.name} offers nothing", hint="mark a function with @register_api_tool")
    return _Loaded(row=evolve(row, contributions=specs), hooks=hooks)


def _with_clashes(row: PluginRow, registry: Registry) -> PluginRow:
    mine = [
        describe_clash(claimants)
        for claimants in registry.clashes
        if any(entry.provider.plugin == row.name and entry.spec in row.contributions for entry in claimants)
    ]
    return evolve(row, status="clash", reason="; ".join(mine)) if mine else row
