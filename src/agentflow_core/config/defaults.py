"""Bring defaults into the form that written values have: settings typed, paths absolute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from attrs import evolve

from agentflow_core.config.failure import FAILED
from agentflow_core.config.options import Option, PluginChoice, option_of
from agentflow_core.config.paths import absolute

if TYPE_CHECKING:
    from agentflow_core.config.nodes import Node

__all__ = ["ChoiceCompleter", "complete"]

Where = tuple[str, ...]


class ChoiceCompleter(Protocol):
    """Types the settings of a default choice."""

    def complete(self, choice: PluginChoice, option: Option, node: Node, path: Where, *, named: bool) -> Any:
        """The choice with typed settings, or a failure."""
        ...


def complete(value: Any, option: Option, node: Node, path: Where, choices: ChoiceCompleter) -> Any:
    """The default of a field that the section ``node`` leaves out; the same object where nothing changes."""
    if isinstance(value, PluginChoice):
        return choices.complete(value, option, node, path, named=False)
    if isinstance(value, PurePath) or (option.path and isinstance(value, str)):
        return _path(value)
    if isinstance(value, (tuple, list)):
        parts = [complete(part, option, node, (*path, str(index)), choices) for index, part in enumerate(value)]
        return _changed(value, dict(enumerate(value)), dict(enumerate(parts)), lambda: type(value)(parts))
    if isinstance(value, Mapping):
        made = {key: _entry(part, option, node, (*path, str(key)), choices) for key, part in value.items()}
        return _changed(value, value, made, lambda: made)
    if attrs.has(type(value)):
        return _section(value, node, path, choices)
    return value


def _path(value: str | PurePath) -> str | Path:
    if isinstance(value, str):
        return absolute(value, None, pattern=True) if value else value
    return Path(absolute(str(value), None))


def _entry(value: Any, option: Option, node: Node, path: Where, choices: ChoiceCompleter) -> Any:
    if isinstance(value, PluginChoice):
        return choices.complete(value, option, node, path, named=True)
    return complete(value, option, node, path, choices)


def _section(config: Any, node: Node, path: Where, choices: ChoiceCompleter) -> Any:
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for attribute in attrs.fields(type(config)):
        if attribute.init:
            key = attribute.alias
            old[key] = getattr(config, attribute.name)
            new[key] = complete(old[key], option_of(attribute), node, (*path, key), choices)
    return _changed(
        config, old, new, lambda: evolve(config, **{key: new[key] for key in new if new[key] is not old[key]})
    )


def _changed(value: Any, old: Mapping[Any, Any], new: Mapping[Any, Any], remake: Any) -> Any:
    """The value remade if a part changed, a failure if a part failed, else the value itself."""
    if any(part is FAILED for part in new.values()):
        return FAILED
    return value if all(new[key] is old[key] for key in new) else remake()
