"""Load what a run is made of before anything is opened: its plugins, then its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from agentflow_core.config import Loaded, load_config, load_document, plugin_files
from agentflow_core.plugins import PluginHost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Prepared", "prepare"]

T = TypeVar("T")


@frozen(kw_only=True)
class Prepared(Generic[T]):
    """The plugins of a run and its configuration, checked against them."""

    host: PluginHost
    loaded: Loaded[T]


def prepare(
    cls: type[T], source: Path | str | Mapping[str, Any], *, sets: Sequence[str] = (), load: Sequence[Path] = ()
) -> Prepared[T]:
    """Load the installed plugins, the files in ``load`` and those that the configuration names, then the configuration.

    Raises:
        ConfigError: with every problem of the file and the overrides.
        PluginError: a plugin file fails.
    """
    document = load_document(source, sets=sets)
    host = PluginHost.load(files=[*load, *plugin_files(document)])
    return Prepared(host=host, loaded=load_config(cls, document, registry=host.registry))
