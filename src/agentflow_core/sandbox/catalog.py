"""What a sandbox offers: groups of tools, each resolved when it is first asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core.config import load_config
from agentflow_core.errors import AgentFlowError, PluginError, UnknownNameError
from agentflow_core.names import check_tool_name, unknown_name, wire_name
from agentflow_core.records import ToolDefinition
from agentflow_core.sandbox.backend import Backend, Sharing
from agentflow_core.sandbox.tools import ToolFunction, tool_function

if TYPE_CHECKING:
    from agentflow_core.plugins import Entry, Registry
    from agentflow_core.sandbox.config import EngineConfig

__all__ = ["Catalog", "Group", "OfferedTool"]

_log = logging.getLogger("agentflow_core.sandbox")


@frozen(kw_only=True)
class OfferedTool:
    """A tool under its full name."""

    name: str
    function: ToolFunction
    offline: str | None = None
    provider: str = ""

    @property
    def definition(self) -> ToolDefinition:
        """The tool as it is offered to a model."""
        return ToolDefinition(name=self.name, description=self.function.description, parameters=self.function.schema)


@frozen(kw_only=True)
class Group:
    """The tools of one backend, or the API tools before one colon. ``build`` makes the backend; API tools have none."""

    name: str
    tools: Mapping[str, OfferedTool]
    sharing: Sharing = "shared"
    build: Callable[[], Backend] | None = None
    can_fork: bool = False
    has_files: bool = False
    probing: OfferedTool | None = None  #: asks what probes see, see `Backend.observe_end`; never listed
    provider: str = ""


class Catalog:
    """The backends and API tools of a sandbox, by name. Classes are imported when their group is first needed."""

    def __init__(
        self, backends: Mapping[str, Callable[[], Group]], api_tools: Mapping[str, Callable[[], OfferedTool]]
    ) -> None:
        self._backends = dict(backends)
        self._api_tools = dict(api_tools)
        self._groups: dict[tuple[str, bool], Group] = {}
        self._required: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *tools: Callable[..., Any], **backends: Callable[[], Backend]) -> Catalog:
        """A catalog of functions made with ``@register_api_tool``, and of backends by name: classes or factories.

        Raises:
            PluginError: a function that is no API tool.
        """
        offered = [_api_tool(function) for function in tools]
        return cls(
            {name: _given(name, factory) for name, factory in backends.items()},
            {one.name: _constant(one) for one in offered},
        )

    @classmethod
    def from_registry(cls, registry: Registry, config: EngineConfig) -> Catalog:
        """What is installed, narrowed to what is enabled.

        Raises:
            UnknownNameError: the configuration names a backend or group that nothing provides.
            PluginError: it names one that two distributions claim.
        """
        backends = {entry.spec.name: entry for entry in registry.entries("backend")}
        api_tools = {entry.spec.name: entry for entry in registry.entries("tool")}
        groups = {name.partition(":")[0] for name in api_tools}
        for name in (*(config.enabled or ()), *config.limits):
            if name not in backends and name not in groups:
                registry.get("backend", name)
        for name in (*config.backends, *config.warmup):
            if name not in backends:
                registry.get("backend", name)
        allowed = backends.keys() | groups if config.enabled is None else {*config.enabled}
        for name in config.warmup:
            if name not in allowed:
                raise unknown_name("enabled backend", name, allowed)
        made = cls(
            {name: _installed(entry, config) for name, entry in backends.items() if name in allowed},
            {name: _from_entry(entry) for name, entry in api_tools.items() if name.partition(":")[0] in allowed},
        )
        made._required = frozenset((*(config.enabled or ()), *config.backends, *config.warmup))
        return made

    @property
    def backends(self) -> tuple[str, ...]:
        """The names of the backends, sorted."""
        return tuple(sorted(self._backends))

    @property
    def api_groups(self) -> tuple[str, ...]:
        """The groups of the API tools, sorted."""
        return tuple(sorted({name.partition(":")[0] for name in self._api_tools}))

    def backend(self, name: str) -> Group:
        """The backend of the name.

        Raises:
            UnknownNameError: it is not offered.
            PluginError: it cannot be imported, or is not a backend.
        """
        if name not in self._backends:
            raise unknown_name("backend", name, self._backends)
        found = self._groups.get((name, True))
        if found is None:
            found = self._groups[name, True] = self._backends[name]()
        return found

    def find(self, tool: str) -> tuple[Group, OfferedTool]:
        """The tool and its group.

        Raises:
            UnknownNameError: it is not offered; the hint is a suggestion or what to install.
            PluginError: its group cannot be imported.
        """
        name = tool.partition(":")[0]
        if tool in self._api_tools:
            group = self._api_group(name)
            if name in self._backends and (other := self.backend(name).tools.get(tool)) is not None:
                raise _claimed_twice(name, other, group.tools[tool])
        elif name in self._backends:
            group = self.backend(name)
        else:
            raise unknown_name("tool", tool, self._known_tools())
        if group.probing is not None and tool == group.probing.name:
            return group, group.probing
        if tool not in group.tools:
            raise unknown_name("tool", tool, group.tools)
        return group, group.tools[tool]

    def sharing_of(self, tool: str) -> Sharing:
        """Whose state the tool uses; of a tool that is not offered, nobody's: ``shared``."""
        try:
            return self.find(tool)[0].sharing
        except UnknownNameError:
            return "shared"

    def tools(self) -> Mapping[str, OfferedTool]:
        """Every tool by its full name, sorted. A backend that cannot be imported is left out, and logged.

        Raises:
            PluginError: a backend that the configuration names cannot be imported, or two tools look alike to a model.
        """
        found: dict[str, OfferedTool] = {}
        for group in self._all_groups():
            for name, tool in group.tools.items():
                if name in found:
                    raise _claimed_twice(group.name, found[name], tool)
                found[name] = tool
        by_wire: dict[str, OfferedTool] = {}
        for name, tool in sorted(found.items()):
            other = by_wire.setdefault(wire_name(name), tool)
            if other is not tool:
                raise PluginError(
                    f"tools {other.name!r} of {other.provider} and {name!r} of {tool.provider} are both "
                    f"{wire_name(name)!r} to a model"
                )
        return dict(sorted(found.items()))

    def _all_groups(self) -> Iterable[Group]:
        for name in self.backends:
            try:
                yield self.backend(name)
            except AgentFlowError as error:
                if name in self._required:
                    raise
                _log.warning("backend %r is left out: %s", name, error)
        for name in self.api_groups:
            yield self._api_group(name)

    def _known_tools(self) -> list[str]:
        return [name for group in self._all_groups() for name in group.tools]

    def _api_group(self, name: str) -> Group:
        found = self._groups.get((name, False))
        if found is None:
            tools = {tool: load() for tool, load in sorted(self._api_tools.items()) if tool.partition(":")[0] == name}
            found = self._groups[name, False] = Group(name=name, tools=tools, provider="API tools")
        return found


def _claimed_twice(backend: str, one: OfferedTool, other: OfferedTool) -> PluginError:
    return PluginError(
        f"tool {one.name!r} is claimed by backend {backend!r} of {one.provider} and by API tools of {other.provider}"
    )


def _constant(tool: OfferedTool) -> Callable[[], OfferedTool]:
    return lambda: tool


def _api_tool(
    function: object, name: str | None = None, offline: str | None = None, provider: str = "the caller"
) -> OfferedTool:
    made = tool_function(function)
    if made is None or made.takes_state:
        raise PluginError(f"{name or function!r} is not a tool", hint="decorate the function with @register_api_tool")
    name = name or made.name
    return OfferedTool(name=name, function=evolve(made, name=name), offline=offline, provider=provider)


def _group(
    name: str,
    cls: type[Backend],
    build: Callable[[], Backend],
    provider: str,
    *,
    config: Any = None,
    offline: str | None = None,
) -> Group:
    tools = {}
    for short, function in cls.tools().items():
        full = check_tool_name(f"{name}:{short}")
        made = evolve(function, name=full)
        tools[full] = OfferedTool(name=full, function=made, offline=offline, provider=provider)
    probing = cls.probing()
    return Group(
        name=name,
        tools=tools,
        sharing=cls.sharing,
        build=build,
        can_fork=cls.can_fork(config),
        has_files=cls.has_files(),
        probing=None if probing is None else probes_of(name, probing, provider),
        provider=provider,
    )


def probes_of(backend: str, function: ToolFunction, provider: str) -> OfferedTool:
    """What asks the probes of a backend, under its full name."""
    name = f"{backend}:{function.name}"
    return OfferedTool(name=name, function=evolve(function, name=name), provider=provider)


def _given(name: str, factory: Callable[[], Backend]) -> Callable[[], Group]:
    def load() -> Group:
        if isinstance(factory, type):
            return _group(name, factory, factory, "the caller")
        made = factory()
        return _group(name, type(made), factory, "the caller", config=getattr(made, "config", None))

    return load


def _installed(entry: Entry, config: EngineConfig) -> Callable[[], Group]:
    name = entry.spec.name

    def load() -> Group:
        cls = entry.resolve()
        if not (isinstance(cls, type) and issubclass(cls, Backend)):
            raise PluginError(f"{entry}: {entry.spec.target} is not a Backend", hint="class MyBackend(Backend): …")
        choice = config.backends.get(name)
        settings = choice.settings if choice is not None else None
        config_class = entry.resolve_config()
        if isinstance(settings, Mapping) and config_class is not None:
            settings = load_config(config_class, settings).config
        offline = getattr(entry.spec, "offline", None)
        return _group(name, cls, lambda: entry.build(settings), str(entry.provider), config=settings, offline=offline)

    return load


def _from_entry(entry: Entry) -> Callable[[], OfferedTool]:
    def load() -> OfferedTool:
        function = entry.build() if entry.spec.config else entry.resolve()
        return _api_tool(function, entry.spec.name, getattr(entry.spec, "offline", None), str(entry.provider))

    return load
