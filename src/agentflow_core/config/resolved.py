"""Write a configuration as plain data, complete and without secrets, such that loading it gives an equal one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

import attrs

from agentflow_core.config.expansion import escape
from agentflow_core.config.options import Option, PluginChoice, option_of
from agentflow_core.config.origins import Origins, is_secret_key
from agentflow_core.config.scalars import is_text

__all__ = ["default_of", "dump", "identity", "to_yaml"]

_NO_OPTION: Final = Option()
Where = tuple[str, ...]


def dump(config: Any, origins: Origins) -> dict[str, Any]:
    """JSON-able data of a configuration object: defaults filled in, paths as text, secrets as ``${NAME}``."""
    found: dict[str, Any] = _Dumper(origins).section(config, ())
    return found


def identity(config: Any, origins: Origins) -> dict[str, Any]:
    """`dump` without operational fields: what the results depend on."""
    found: dict[str, Any] = _Dumper(origins, operational=False).section(config, ())
    return found


def default_of(value: Any, option: Option) -> Any:
    """JSON-able data of a field's default."""
    return _Dumper(Origins()).value(value, option, ("default",))


class _Dumper:
    def __init__(self, origins: Origins, *, operational: bool = True) -> None:
        self._origins = origins
        self._operational = operational

    def section(self, config: Any, path: Where) -> dict[str, Any]:
        return {
            attribute.alias: self.value(getattr(config, attribute.name), option_of(attribute), (*path, attribute.alias))
            for attribute in attrs.fields(type(config))
            if attribute.init and (self._operational or not option_of(attribute).operational)
        }

    def value(self, value: Any, option: Option, path: Where) -> Any:
        if isinstance(value, PluginChoice):
            return self._choice(value, option, path)
        if isinstance(value, Mapping):
            return {
                _text(key): self._entry(_text(key), part, option, (*path, _text(key))) for key, part in value.items()
            }
        if isinstance(value, (tuple, list)):
            return [self.value(part, option, (*path, str(index))) for index, part in enumerate(value)]
        if attrs.has(type(value)):
            return self.section(value, path)
        return self._scalar(value, path, secret=option.secret)

    def _entry(self, key: str, value: Any, option: Option, path: Where) -> Any:
        if isinstance(value, PluginChoice) and option.plugin != "model":
            return self._settings(value, option, path)
        return (
            self._scalar(value, path, secret=True)
            if _is_literal_secret(key, value)
            else self.value(value, option, path)
        )

    def _scalar(self, value: Any, path: Where, *, secret: bool) -> Any:
        if isinstance(value, Enum):
            value = value.value
        if value is None or value == "":
            return value
        if secret:
            return self._origins.mask(path)
        if (kept := self._origins.kept(path)) is not None:
            return kept
        return escape(str(value)) if isinstance(value, (str, PurePath)) else value

    def _choice(self, choice: PluginChoice, option: Option, path: Where) -> dict[str, Any]:
        if option.plugin == "model":
            return {"provider": escape(choice.name), **(self._settings(choice, _NO_OPTION, path) or {})}
        return {choice.name: self._settings(choice, option, (*path, choice.name))}

    def _settings(self, choice: PluginChoice, option: Option, path: Where) -> dict[str, Any] | None:
        """The settings of a choice with its weight, where it has one."""
        settings: dict[str, Any] | None = None
        if choice.settings is not None:
            settings = self.value(choice.settings, _NO_OPTION, path)
        return {"weight": choice.weight, **(settings or {})} if option.weighted else settings


def _text(key: Any) -> str:
    return str(key.value if isinstance(key, Enum) else key)


def _is_literal_secret(key: str, value: Any) -> bool:
    return isinstance(value, str) and is_secret_key(key)


def to_yaml(resolved: Mapping[str, Any]) -> str:
    """The data as YAML that reads the same by 1.1 and 1.2 rules."""
    import yaml  # 15 ms; only when something is written

    class Dumper(yaml.SafeDumper):
        """Quotes whatever either version of YAML would read as something else than text."""

    def represent(dumper: Dumper, text: str) -> Any:
        tag = "tag:yaml.org,2002:str"
        plain = is_text(text) and dumper.resolve(yaml.ScalarNode, text, (True, False)) == tag  # type: ignore[no-untyped-call]
        return dumper.represent_scalar(tag, text, style=None if plain and text.isprintable() else '"')

    Dumper.add_representer(str, represent)
    Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    text: str = yaml.dump(dict(resolved), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=2**31)
    return text
