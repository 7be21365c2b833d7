"""Look up what plugins contribute, by kind and name."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.contributions import Contribution
from agentflow_core.errors import AgentFlowError, PluginError, RefError, UnknownNameError, UsageError
from agentflow_core.names import FIRST_PARTY, unknown_name, wire_name
from agentflow_core.plugins.discovery import CORE, PluginRow
from agentflow_core.plugins.versions import canonical
from agentflow_core.refs import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Entry", "Provider", "Registry", "tool_clashes"]


@frozen
class Provider:
    """Who contributes something: a plugin of a distribution, or a loaded file."""

    plugin: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}" if self.distribution else self.plugin


@frozen
class Entry:
    """A contribution and who provides it."""

    spec: Contribution
    provider: Provider

    def __str__(self) -> str:
        return f"{self.spec.kind} {self.spec.name!r} of {self.provider}"

    def resolve(self) -> Any:
        """The object that the target names. Raises `PluginError`, which names the provider."""
        return self._resolve(self.spec.target, "target")

    def resolve_config(self) -> type | None:
        """The config class, or None if the contribution takes no settings."""
        found: type | None = self._resolve(self.spec.config, "config") if self.spec.config else None
        return found

    def resolve_offline(self) -> type | None:
        """The class of the offline policy of a backend or tool, or None if there is none."""
        path = getattr(self.spec, "offline", None)
        found: type | None = self._resolve(path, "offline policy") if path else None
        return found

    def resolve_subject(self) -> Any:
        """What a backend names as the subject of the laws, or None if it names nothing."""
        path = getattr(self.spec, "subject", None)
        return self._resolve(path, "subject") if path else None

    def build(self, settings: object | None = None) -> Any:
        """Call the target: with ``settings``, an instance of its config class, if it has one; else with nothing.

        Raises:
            UsageError: settings that are missing, or not what the target takes.
            PluginError: the target cannot be imported or fails; the message names the provider.
        """
        target, config = self.resolve(), self.resolve_config()
        if config is None:
            if settings is not None:
                raise UsageError(f"{self.spec.kind} {self.spec.name!r} takes no settings")
            return self._call(target)
        if settings is None:
            try:
                settings = config()
            except TypeError as error:  # what attrs raises for a field without a default
                raise UsageError(f"{self.spec.kind} {self.spec.name!r} needs settings: {error}") from error
        if not isinstance(settings, config):
            raise UsageError(
                f"the settings of {self.spec.kind} {self.spec.name!r} are a {type(settings).__name__}, "
                f"not a {config.__name__}"
            )
        return self._call(target, settings)

    def _resolve(self, path: str, part: str) -> Any:
        try:
            return resolve(path)
        except RefError as error:
            raise PluginError(f"{self}: its {part} fails: {error.message}", hint=error.hint) from error
        except SystemExit as error:  # plugin boundary: a module that exits when imported
            raise PluginError(f"{self}: its {part} fails: {path!r} exits when it is imported") from error

    def _call(self, target: Any, *arguments: object) -> Any:
        try:
            return target(*arguments)
        except AgentFlowError:
            raise
        except Exception as error:  # plugin boundary
            raise PluginError(f"{self} cannot be made: {type(error).__name__}: {error}") from error


class Registry:
    """What the loaded plugins contribute. A name that two of them claim belongs to neither."""

    def __init__(self, entries: Iterable[Entry] = (), rows: Iterable[PluginRow] = ()) -> None:
        """Take the ``entries``; ``rows`` of plugins that are not loaded make messages about missing names better."""
        claims: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in entries:
            claims[_claim(entry.spec)].append(entry)
        self._entries: dict[str, dict[str, Entry]] = defaultdict(dict)
        self._clashes: dict[tuple[str, str], tuple[Entry, ...]] = {}
        for claimants in claims.values():
            for entry in claimants:
                if len(claimants) == 1:
                    self._entries[entry.spec.kind][entry.spec.name] = entry
                else:
                    self._clashes[entry.spec.kind, entry.spec.name] = tuple(claimants)
        self._rows = tuple(rows)

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of a kind, sorted."""
        return tuple(sorted(self._entries.get(kind, ())))

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """The entries of a kind, sorted by name."""
        return tuple(entry for _, entry in sorted(self._entries.get(kind, {}).items()))

    def get(self, kind: str, name: str) -> Entry:
        """The entry of a name.

        Raises:
            PluginError: two providers claim the name; the message names both.
            UnknownNameError: nothing provides it; the hint is a suggestion or what to install.
        """
        entry = self._entries.get(kind, {}).get(name)
        if entry is not None:
            return entry
        if claimants := self._clashes.get((kind, name)):
            raise PluginError(describe_clash(claimants), hint=_way_out(claimants))
        raise self._unknown(kind, name)

    @property
    def clashes(self) -> tuple[tuple[Entry, ...], ...]:
        """The claimants of each name that more than one provider claims, each clash once."""
        return tuple(dict.fromkeys(self._clashes.values()))

    def _unknown(self, kind: str, name: str) -> UnknownNameError:
        group = name.partition(":")[0]
        for row in self._rows:
            expected = row.name == group or FIRST_PARTY.get(group) == canonical(row.distribution)
            if row.status != "ok" and expected:
                hint = f"{row.label} may provide it, but is {row.status}: {row.reason}"
                return UnknownNameError(kind, name, known=self.names(kind), hint=hint)
        return unknown_name(kind, name, self.names(kind))


def describe_clash(claimants: Iterable[Entry]) -> str:
    """One sentence that names every claimant with its version."""
    entries = list(claimants)
    kind, names = entries[0].spec.kind, list(dict.fromkeys(entry.spec.name for entry in entries))
    if len(names) == 1:
        return f"{kind} {names[0]!r} is claimed by {' and by '.join(str(entry.provider) for entry in entries)}"
    claims = " and ".join(f"{entry.spec.name!r} of {entry.provider}" for entry in entries)
    return f"to a model, {kind} {claims} have the same name, {wire_name(names[0])!r}"


def tool_clashes(owners: Iterable[tuple[str, Provider]]) -> Mapping[str, str]:
    """Of all tools with their owners, those that a model could not tell apart: tool name → why.

    ``rag:search`` and ``rag_search`` have one wire name. The tools of a backend are known once its target is
    resolved, so who lists the tools of backends and plugins together asks this.
    """
    claims: dict[str, list[tuple[str, Provider]]] = defaultdict(list)
    for tool, provider in owners:
        claims[wire_name(tool)].append((tool, provider))
    clashes = {}
    for wire, claimants in sorted(claims.items()):
        if len(claimants) > 1:
            named = " and ".join(f"{tool!r} of {provider}" for tool, provider in claimants)
            clashes.update(dict.fromkeys((tool for tool, _ in claimants), f"models would see {named} both as {wire!r}"))
    return clashes


def _claim(spec: Contribution) -> tuple[str, str]:
    return spec.kind, wire_name(spec.name) if spec.kind == "tool" else spec.name


def _way_out(claimants: Iterable[Entry]) -> str:
    others = [entry.provider for entry in claimants if entry.provider.plugin != CORE]
    installed = [provider.plugin for provider in others if provider.distribution]
    if installed:
        return f"leave one out: AGENTFLOW_PLUGINS_OFF={installed[-1]}"
    return "give one of them another name"
