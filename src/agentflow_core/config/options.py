"""Declare what a configuration field means: `option` is an attrs field that knows its help, bounds and kind."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import NOTHING, frozen

from agentflow_core.errors import ConfigError, Problem
from agentflow_core.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Option", "PluginChoice", "option", "option_of", "violation"]

_KEY: Final = "agentflow.option"


@frozen(kw_only=True)
class Option:
    """What `option` was told about a field; see there."""

    help: str = ""
    at_least: float | None = None
    at_most: float | None = None
    choices: tuple[Any, ...] | None = None
    path: bool = False
    secret: bool = False
    operational: bool = False
    plugin: str | None = None
    weighted: bool = False


def _show_settings(settings: object) -> str:
    # Settings without a config class may hold expanded secrets.
    return "{…}" if isinstance(settings, Mapping) and settings else repr(settings)


@frozen
class PluginChoice:
    """A plugin's contribution by name, with its settings.

    ``settings`` is an instance of the contribution's config class where a registry was given to `load_config`, else
    the mapping as it was written; None where nothing was written or nothing can be set.
    """

    name: str
    settings: object | None = attrs.field(default=None, repr=_show_settings)
    weight: float = 1.0


def option(
    default: Any = NOTHING,
    *,
    help: str,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Sequence[Any] | None = None,
    path: bool = False,
    secret: bool = False,
    operational: bool = False,
    plugin: str | None = None,
    weighted: bool = False,
    factory: Callable[[], Any] | None = None,
) -> Any:
    """A field of a configuration class.

    Args:
        default: the value where the key is missing; a field without one must be written. Lists and dicts are copied.
        help: one line for people, shown in the schema.
        at_least: the smallest allowed number, for each element of a list and each value of a mapping too.
        at_most: the largest allowed number, likewise.
        choices: what the value, each element of a list, or each key of a mapping may be; of a plugin its name.
        path: relative values are resolved against the file's folder; those from ``${VAR}`` or ``--set`` against the
            working directory; ``~`` is expanded, ``-`` and (in a ``str``) URLs stay. The type is ``Path``, or ``str`` for patterns.
        secret: never printed, masked in `Loaded.resolved`.
        operational: says how the work is done (how fast, where, with which key), not what comes out; such a field is no
            part of `Loaded.identity` and may change when a run is resumed. Secrets are operational.
        plugin: the kind of contribution that the field chooses by name (``"metric"``, ``"model"`` …). The type is
            ``PluginChoice``, ``PluginChoice | None``, ``tuple[PluginChoice, ...]`` or ``Mapping[str, PluginChoice]``.
            A mapping's keys are the names, except for models, where they are free (roles).
        weighted: a number may stand for the settings: ``{depth: 1}`` or ``{depth: {weight: 1, …settings}}``.
        factory: makes the default.
    """
    described = Option(
        help=help,
        at_least=at_least,
        at_most=at_most,
        choices=None if choices is None else tuple(choices),
        path=path,
        secret=secret,
        operational=operational or secret,
        plugin=plugin,
        weighted=weighted,
    )
    if isinstance(default, (dict, list)):
        original = default
        default, factory = NOTHING, lambda: original.copy()
    return attrs.field(
        **({"factory": factory} if factory is not None else {"default": default}),
        validator=_validate,
        repr=(lambda value: "None" if value is None else "'***'") if secret else True,
        metadata={_KEY: described},
    )


def option_of(attribute: attrs.Attribute[Any]) -> Option:
    """What `option` was told about this field; nothing for a plain attrs field."""
    found: Option = attribute.metadata.get(_KEY, Option())
    return found


def violation(value: object, described: Option) -> str:
    """What is wrong with a single value by its bounds and choices, or the empty string.

    The message does not repeat a secret.
    """
    if value is None:
        return ""
    shown = "" if described.secret else f", got {_plain(value)!r}"
    if described.choices is not None and _plain(value) not in described.choices:
        known = ", ".join(repr(choice) for choice in described.choices)
        close = (
            did_you_mean(value, [c for c in described.choices if isinstance(c, str)]) if isinstance(value, str) else ""
        )
        return f"expected one of {known}{shown}{'' if described.secret else close}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if described.at_least is not None and not value >= described.at_least:
            return f"expected at least {described.at_least}{shown}"
        if described.at_most is not None and not value <= described.at_most:
            return f"expected at most {described.at_most}{shown}"
    return ""


def _plain(value: object) -> object:
    if isinstance(value, PluginChoice):
        return value.name
    return value.value if isinstance(value, Enum) else value


def _parts(value: object, described: Option) -> list[tuple[str, object]]:
    """The values that bounds and choices speak of, with what to append to the path."""
    if isinstance(value, Mapping):
        if described.choices is not None:
            return [(f".{key}", key) for key in value]
        return [(f".{key}", part) for key, part in value.items()]
    if isinstance(value, (tuple, list)):
        return [(f".{index}", part) for index, part in enumerate(value)]
    return [("", value)]


def _validate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Hold bounds and choices where a configuration is made in Python."""
    described = option_of(attribute)
    problems = [
        Problem(message, path=f"{attribute.alias}{suffix}")
        for suffix, part in _parts(value, described)
        if (message := violation(part, described))
    ]
    if problems:
        raise ConfigError(problems)
