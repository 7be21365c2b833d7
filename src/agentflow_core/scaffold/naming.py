"""The names of a new plugin, which derive from one another, and who owns them already."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core import __version__
from agentflow_core.errors import UsageError
from agentflow_core.names import FIRST_PARTY, NAME
from agentflow_core.plugins.versions import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.plugins import PluginHost

__all__ = ["KINDS", "NewPlugin", "check_owners", "new_plugin"]

#: What a plugin can be begun with.
KINDS: Final = ("backend", "tool", "scorer", "selector", "gate", "metric", "model")
_MOST_CHARACTERS: Final = 32  # so that its tools' names fit into the 64 that models accept
_RESERVED: Final = {"core": "agentflow-core", "agentflow": "AgentFlow itself", **FIRST_PARTY}


@frozen(kw_only=True)
class NewPlugin:
    """A plugin to be written: ``my-env`` is `agentflow-my-env`, imported as ``agentflow_my_env``, known as ``my_env``."""

    words: tuple[str, ...]
    kind: str

    @property
    def name(self) -> str:
        """The name of its entry point and of what it contributes."""
        return "_".join(self.words)

    @property
    def distribution(self) -> str:
        """The name that pip installs; also of its folder."""
        return "-".join(("agentflow", *self.words))

    @property
    def package(self) -> str:
        """The import name."""
        return f"agentflow_{self.name}"

    @property
    def class_name(self) -> str:
        """The start of its classes' names, which end with the kind: ``my-metric`` is ``MyMetric``."""
        says_kind = len(self.words) > 1 and self.words[-1] == self.kind
        return "".join(word.capitalize() for word in (self.words[:-1] if says_kind else self.words))

    @property
    def fields(self) -> dict[str, str]:
        """What the templates name."""
        return {
            "kind": self.kind,
            "name": self.name,
            "distribution": self.distribution,
            "package": self.package,
            "class_name": self.class_name,
            "core": _compatible(__version__),
        }


def new_plugin(name: str, kind: str) -> NewPlugin:
    """The plugin of the name, with or without ``agentflow-``, its words joined by ``-`` or ``_``.

    Raises:
        UsageError: it is no name, or one of AgentFlow's own; with a suggestion.
    """
    bare = re.sub(r"^agentflow[-_]", "", name)
    if not NAME.fullmatch(bare):
        if not (likely := _likely(name)):
            raise UsageError(
                f"{name!r} is no name for a plugin", hint="write it like my-env: words of a to z and 0 to 9"
            )
        raise UsageError(f"{name!r} is no name for a plugin, did you mean {likely!r}?")
    plugin = NewPlugin(words=tuple(re.split("[-_]", bare)), kind=kind)
    if len(plugin.name) > _MOST_CHARACTERS:
        raise UsageError(f"{name!r} is longer than {_MOST_CHARACTERS} characters")
    if owner := _RESERVED.get(plugin.name):
        raise UsageError(f"the name {plugin.name!r} belongs to {owner}", hint=f"such as my-{bare}")
    return plugin


def check_owners(plugin: NewPlugin, host: PluginHost) -> None:
    """Refuse a name that something installed has.

    Raises:
        UsageError: it names the owner.
    """
    if owner := next(_owners(plugin, host), None):
        raise UsageError(f"the name {plugin.name!r} is taken by {owner}", hint="choose another one")


def _owners(plugin: NewPlugin, host: PluginHost) -> Iterator[str]:
    for row in host.rows:
        if row.name == plugin.name or canonical(row.distribution) == plugin.distribution:
            yield row.label
    kinds = ("backend", "tool") if plugin.kind in ("backend", "tool") else (plugin.kind,)  # those two share tool names
    for kind in kinds:
        for entry in host.registry.entries(kind):
            if entry.spec.name.partition(":")[0] == plugin.name:
                yield str(entry)
    if importlib.util.find_spec(plugin.package) is not None:
        yield f"the installed package {plugin.package!r}"


def _likely(name: str) -> str:
    """The name that was probably meant, or nothing."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    ascii_only = unicodedata.normalize("NFKD", split).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-").removeprefix("agentflow-")
    found = words.lstrip("-0123456789")
    return found if NAME.fullmatch(found) else ""


def _compatible(version: str) -> str:
    """The requirement of this core and of what is compatible with it: ``>=0.1.0,<0.2``."""
    major, minor = version.split(".")[:2]
    return f">={version},<{major}.{int(minor) + 1}"
