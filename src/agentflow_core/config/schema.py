"""Describe a configuration class as JSON Schema 2020-12, for editors."""

from __future__ import annotations

import enum
import inspect
import typing
from pathlib import PurePath
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_core.config.fields import ConfigField, fields_of, is_section, item_type, mapping_types, members
from agentflow_core.config.options import Option, PluginChoice
from agentflow_core.config.resolved import default_of
from agentflow_core.errors import PluginError, UsageError

if TYPE_CHECKING:
    from agentflow_core.config.choices import Plugins

__all__ = ["config_schema"]

Schema = dict[str, Any]
#: A number, boolean or word may come from a variable.
_VARIABLE: Final[Schema] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-.*)?\}"}
_SCALARS: Final[dict[Any, str]] = {int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def config_schema(cls: type, registry: Plugins | None = None) -> Schema:
    """The JSON Schema of the files that `load_config` accepts for the class.

    With a registry the names of plugins are listed, each with the schema of its settings; without it any name passes.
    Bounds, choices and defaults are those of `option`.
    """
    writer = _SchemaWriter(registry)
    root = writer.section(cls)
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": cls.__name__, **root}
    return {**found, "$defs": writer.definitions}


class _SchemaWriter:
    def __init__(self, registry: Plugins | None) -> None:
        self._registry = registry
        self.definitions: dict[str, Schema] = {"variable": _VARIABLE}
        self._names: dict[type, str] = {}

    # ---- sections

    def section(self, cls: type) -> Schema:
        """The schema of a mapping with the keys of the class."""
        known = fields_of(cls)
        found: Schema = {"type": "object"}
        if about := _first_line(cls):
            found["description"] = about
        found["properties"] = {key: self._field(field) for key, field in known.items()}
        if required := [key for key, field in known.items() if field.required]:
            found["required"] = required
        return {**found, "additionalProperties": False}

    def _reference(self, cls: type) -> Schema:
        """A reference to the definition of a class, which is written at its first use (a class may hold itself)."""
        if cls not in self._names:
            name, number = cls.__name__, 1
            while name in self.definitions:
                number += 1
                name = f"{cls.__name__}{number}"
            self._names[cls] = name
            self.definitions[name] = {}
            self.definitions[name] = self.section(cls)
        return {"$ref": f"#/$defs/{self._names[cls]}"}

    def _field(self, field: ConfigField) -> Schema:
        option = field.option
        found: Schema = {"description": option.help} if option.help else {}
        found |= self._type(field.type, option, required=field.required)
        if not field.required and not option.secret:
            found["default"] = default_of(field.make_default(), option)
        if option.secret:
            found["writeOnly"] = True
        return found

    # ---- types

    def _type(self, expected: Any, option: Option, *, required: bool = False) -> Schema:
        parts = [self._member(one, option, required=required) for one in members(expected)]
        if any(part == {} for part in parts):
            return {}
        if any(part.get("type") in ("integer", "number", "boolean") or "enum" in part for part in parts):
            parts.append({"$ref": "#/$defs/variable"})
        return parts[0] if len(parts) == 1 else {"anyOf": parts}

    def _member(self, member: Any, option: Option, *, required: bool = False) -> Schema:
        if member in (Any, object):
            return {}
        if member is PluginChoice:
            return self._choice(option)
        if is_section(member):
            return {"anyOf": [self._reference(member), {"type": "null"}]}
        if (pair := mapping_types(member)) is not None:
            return self._mapping(pair, option)
        if (items := item_type(member)) is not None:
            if isinstance(items, tuple):
                parts = [self._type(one, option) for one in items]
                return {"type": "array", "prefixItems": parts, "minItems": len(parts), "maxItems": len(parts)}
            return {"type": "array", "items": self._type(items, option)}
        return self._scalar(member, option, required=required)

    @staticmethod
    def _scalar(member: Any, option: Option, *, required: bool) -> Schema:
        if typing.get_origin(member) is typing.Literal:
            return {"enum": list(typing.get_args(member))}
        if isinstance(member, type) and issubclass(member, enum.Enum):
            return {"enum": [one.value for one in member]}
        if option.choices is not None and member is not NoneType:
            return {"enum": list(option.choices)}
        if member in _SCALARS:
            found: Schema = {"type": _SCALARS[member]}
            if member in (int, float):
                found |= {} if option.at_least is None else {"minimum": option.at_least}
                found |= {} if option.at_most is None else {"maximum": option.at_most}
            return found
        is_path = option.path or issubclass(member, PurePath)
        return {"type": "string", "minLength": 1} if required or is_path else {"type": "string"}

    def _mapping(self, pair: tuple[Any, Any], option: Option) -> Schema:
        key, value = pair
        found: Schema = {"type": ["object", "null"]}
        if value is PluginChoice and option.plugin not in (None, "model"):
            return found | self._named(option)
        keys = self._scalar(key, Option(choices=option.choices), required=False)
        if "enum" in keys:
            found["propertyNames"] = keys
        values = self._type(value, evolve(option, choices=None))
        return found | ({"additionalProperties": values} if values else {})

    # ---- plugins

    def _choice(self, option: Option) -> Schema:
        """``name`` or ``{name: {settings}}``; of models ``provider``, ``provider/model`` or ``{provider: …}``."""
        if option.plugin == "model":
            return self._model()
        names = self._listed(option)
        name: Schema = {"type": "string"} if names is None else {"enum": names}
        form = {"type": "object", **self._named(option), "minProperties": 1, "maxProperties": 1}
        return {"anyOf": [name, form, {"$ref": "#/$defs/variable"}]}

    def _model(self) -> Schema:
        names = self._listed(Option(plugin="model"))
        if names is None:
            form: Schema = {"type": "object", "properties": {"provider": {"type": "string"}}, "required": ["provider"]}
            return {"anyOf": [{"type": "string"}, form]}
        written = {"type": "string", "pattern": "^(" + "|".join(names) + ")(/.+)?$"}
        return {"anyOf": [written, {"$ref": "#/$defs/variable"}, *(self._provider(name) for name in names)]}

    def _provider(self, name: str) -> Schema:
        settings = self._settings("model", name)
        properties = {"provider": {"const": name}, **settings.get("properties", {})}
        required = ["provider", *settings.get("required", [])]
        return {**settings, "type": "object", "properties": properties, "required": required}

    def _listed(self, option: Option) -> list[str] | None:
        """The names that may be written, None where any may."""
        names = None
        if self._registry is not None and option.plugin is not None:
            names = sorted(self._registry.names(option.plugin))
        if option.choices is not None:
            names = [name for name in option.choices if names is None or name in names]
        return names

    def _named(self, option: Option) -> Schema:
        """The properties of a mapping from names to settings."""
        names = self._listed(option)
        if names is None:
            values: Schema = {"type": ["object", "null", *(["number"] if option.weighted else [])]}
            return {"additionalProperties": values}
        properties = {name: self._weighted(self._settings(option.plugin or "", name), option) for name in names}
        return {"properties": properties, "additionalProperties": False}

    @staticmethod
    def _weighted(settings: Schema, option: Option) -> Schema:
        if option.weighted:
            weight = {"description": "how much it counts", "type": "number", "default": 1.0}
            settings = {**settings, "properties": {"weight": weight, **settings.get("properties", {})}}
        forms: list[Schema] = [settings]
        if not settings.get("required"):
            forms.append({"type": "null"})
        if option.weighted:
            forms += [{"type": "number"}, {"$ref": "#/$defs/variable"}]
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def _settings(self, kind: str, name: str) -> Schema:
        """The schema of a contribution's settings."""
        if self._registry is None:
            return {"type": "object"}
        try:
            cls = self._registry.get(kind, name).resolve_config()
        except (PluginError, UsageError) as error:
            return {"type": "object", "description": f"settings unknown: {error.message}"}
        if cls is None:
            return {"type": "object", "properties": {}, "additionalProperties": False}
        return self.section(cls)


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]
