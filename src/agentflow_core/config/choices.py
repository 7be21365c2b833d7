"""Read the forms in which a configuration chooses plugins' contributions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs
from attrs import evolve

from agentflow_core.config.failure import FAILED
from agentflow_core.config.nodes import Node, Settings, describe, from_python
from agentflow_core.config.options import Option, PluginChoice, violation
from agentflow_core.errors import AgentFlowError, PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.config.problems import Mark, Problems

__all__ = ["Choices", "PluginEntry", "Plugins"]

Where = tuple[str, ...]


class PluginEntry(Protocol):
    """What a configuration needs to know of a contribution."""

    def resolve_config(self) -> type | None:
        """The class of its settings, None where it has none."""
        ...


class Plugins(Protocol):
    """What a configuration needs of the registry of plugins."""

    def names(self, kind: str) -> Sequence[str]:
        """The names of a kind."""
        ...

    def get(self, kind: str, name: str) -> PluginEntry:
        """The contribution; raises what says why there is none."""
        ...


class Builder(Protocol):
    """What choices need of the structurer."""

    problems: Problems

    def section(self, node: Node, cls: type, path: Where) -> Any:
        """An instance of the class."""
        ...

    def refuse(self, message: str, node: Node, path: Where, *, foreign: bool = False) -> Any:
        """Note a problem."""
        ...

    def build(self, node: Node, expected: Any, option: Option, path: Where) -> Any:
        """The value of a node as the type asks for it."""
        ...

    def redact(self, message: str) -> str:
        """The message of somebody else without what came from variables or is secret."""
        ...

    def note(self, node: Node, path: Where) -> None:
        """Remember what came from variables."""
        ...

    def note_untyped(self, node: Node, path: Where) -> None:
        """Remember what came from variables below a node without a type."""
        ...


class Choices:
    """Builds `PluginChoice`s; with plugins given, checks names and types settings."""

    def __init__(self, builder: Builder, plugins: Plugins | None) -> None:
        self._builder = builder
        self._plugins = plugins

    def one(self, node: Node, option: Option, path: Where) -> Any:
        """The choice of a field or list element: ``name`` or ``{name: {settings}}``."""
        self._builder.note(node, path)
        if option.plugin == "model":
            return self._model(node, option, path)
        value = node.value
        if isinstance(value, str):
            if wrong := violation(value, option):
                return self._builder.refuse(wrong, node, path, foreign=True)
            return self._settle(value, node.mark, Node(value=None, mark=node.mark), option, path, (*path, value))
        assert isinstance(value, dict)  # the structurer saw to it
        if len(value) != 1:
            came = f"a mapping of {len(value)} keys"
            return self._builder.refuse(f"expected one name, or {{name: {{settings}}}}, got {came}", node, path)
        ((name, settings),) = value.items()
        mark = node.key_marks.get(name, node.mark)
        if wrong := violation(name, option):
            return self._builder.refuse(wrong, evolve(node, mark=mark), path)
        return self._settle(name, mark, settings, option, path, (*path, name))

    def named(self, name: str, mark: Mark, settings: Node, option: Option, path: Where) -> Any:
        """The choice that a mapping's key makes: ``name: {settings}``."""
        return self._settle(name, mark, settings, option, path, path)

    def _model(self, node: Node, option: Option, path: Where) -> Any:
        """A provider: ``offline``, ``openai/gpt-4.1`` or ``{provider: openai, name: …}``."""
        if isinstance(node.value, str):
            provider, slash, model = node.value.partition("/")
            settings = Node(value=None, mark=node.mark)
            if slash:
                before, _, written = node.written.partition("/")
                whole = not written or "$" in before  # the slash may stand in a variable or its default
                name = evolve(node, value=model, written=written, variables=() if whole else node.variables)
                settings = Node(value={"name": name}, mark=node.mark, key_marks={"name": node.mark})
            return self._settle(provider, node.mark, settings, option, path, path)
        assert isinstance(node.value, dict)  # the structurer saw to it
        form = "{provider: openai, name: …}"
        chosen = node.value.get("provider")
        if chosen is None:
            return self._builder.refuse(f"names no provider; write {form}", node, path)
        if chosen.broken:
            return FAILED
        self._builder.note(chosen, (*path, "provider"))
        if not isinstance(chosen.value, str):
            return self._builder.refuse(f"expected text, got {describe(chosen)}", chosen, (*path, "provider"))
        rest = {key: part for key, part in node.value.items() if key != "provider"}
        settings = evolve(node, value=rest)
        return self._settle(chosen.value, chosen.mark, settings, option, (*path, "provider"), path)

    def _settle(self, name: str, mark: Mark, settings: Node, option: Option, at: Where, below: Where) -> Any:
        """The choice of ``name``; problems of the name are told at ``at``, those of settings ``below``."""
        weight: Any = 1.0
        if option.weighted and not settings.broken:
            settings, weight = self._weigh(settings, below)
        built = self._settings(name, mark, settings, option, at, below)
        return FAILED if built is FAILED or weight is FAILED else PluginChoice(name, built, weight)

    def _weigh(self, settings: Node, path: Where) -> tuple[Node, Any]:
        """The settings without the weight, and the weight."""
        rest, weight = settings, None
        if isinstance(settings.value, dict):
            weight = settings.value.get("weight")
            if weight is not None:
                path = (*path, "weight")
                rest = evolve(settings, value={key: part for key, part in settings.value.items() if key != "weight"})
        elif settings.variables or (isinstance(settings.value, (int, float)) and not isinstance(settings.value, bool)):
            weight, rest = settings, Node(value=None, mark=settings.mark)
        if weight is None:
            return rest, 1.0
        built = self._builder.build(weight, float, Option(), path)
        return rest, built

    def _settings(self, name: str, mark: Mark, settings: Node, option: Option, at: Where, below: Where) -> Any:
        here = Node(value=None, mark=mark)
        if settings.broken:
            return FAILED
        if settings.value is not None and not isinstance(settings.value, dict):
            wanted = "a weight or a mapping of settings" if option.weighted else "a mapping of settings"
            return self._builder.refuse(f"expected {wanted}, got {describe(settings)}", settings, below)
        if self._plugins is None or option.plugin is None:
            self._builder.note_untyped(settings, below)
            return Settings(settings) if settings.value else None
        try:
            cls = self._plugins.get(option.plugin, name).resolve_config()
        except (UsageError, PluginError) as error:
            said = ", ".join(part for part in (error.message, error.hint) if part)
            return self._builder.refuse(said, here, at, foreign=True)
        if cls is None:
            for key in settings.value or ():
                self._builder.problems.add(
                    f"unknown key, {option.plugin} {name!r} has no settings",
                    settings.key_marks.get(key, settings.mark),
                    (*below, key),
                )
            return FAILED if settings.value else None
        try:
            return self._builder.section(settings, cls, below)
        except AgentFlowError:
            raise
        except Exception as error:  # plugin boundary: the class and its validators are the plugin's
            said = self._builder.redact(str(error))
            raise PluginError(
                f"{option.plugin} {name!r}: its config class {cls.__name__} fails: {type(error).__name__}: {said}",
                hint="agentflow plugins check",
            ) from error

    def complete(self, choice: PluginChoice, option: Option, node: Node, path: Where, *, named: bool) -> Any:
        """A default choice with its settings typed. ``node`` is the section that leaves it out.

        ``named``: the path ends with the choice's name.
        """
        if self._plugins is None or (choice.settings is not None and attrs.has(type(choice.settings))):
            return choice
        below = path if named or option.plugin == "model" else (*path, choice.name)
        settings = evolve(from_python(choice.settings, self._builder.problems), mark=node.mark)
        built = self._settings(choice.name, node.mark, settings, option, path, below)
        return FAILED if built is FAILED else evolve(choice, settings=built)
