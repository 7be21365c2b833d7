"""Load a configuration file or mapping into its class: all problems at once, or the object and its resolved form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from agentflow_core.config.documents import Document, load_document
from agentflow_core.config.expansion import expand
from agentflow_core.config.failure import FAILED
from agentflow_core.config.options import option
from agentflow_core.config.origins import Origins
from agentflow_core.config.problems import Problems
from agentflow_core.config.resolved import dump, identity, to_yaml
from agentflow_core.config.structure import Structurer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.config.choices import Plugins

__all__ = ["Loaded", "PluginsConfig", "load_config", "plugin_files", "write_resolved"]

T = TypeVar("T")


@frozen(kw_only=True)
class Loaded(Generic[T]):
    """A configuration that was loaded."""

    config: T = field(repr=False)
    resolved: dict[
        str, Any
    ]  #: JSON-able, defaults filled in, secrets as ``${NAME}``; loading it gives ``config`` again
    identity: dict[str, Any]  #: ``resolved`` without operational settings: what the results depend on
    path: Path | None = None  #: of the file


def load_config(
    cls: type[T],
    source: Path | str | Mapping[str, Any] | Document,
    *,
    sets: Sequence[str] = (),
    registry: Plugins | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded[T]:
    """Load a configuration.

    Args:
        cls: a frozen attrs class whose fields are made with `option`.
        source: a YAML or JSON file, which may be one of the earlier AgentFlow, a mapping, or a document from
            `load_document` (``sets`` are applied there then).
        sets: overrides, ``a.b=value``.
        registry: the plugins by which names are checked and settings typed; without it settings stay mappings.
        environ: the variables; those of the process when None.

    Raises:
        ConfigError: with every problem of the file and the overrides.
    """
    if isinstance(source, Document):
        document = source
    else:
        document = load_document(source, sets=sets, earlier=not isinstance(source, Mapping))
    problems = document.problems.copy()
    origins = Origins()
    root = expand(document.root, os.environ if environ is None else environ, problems)
    config = Structurer(problems, origins, registry).section(root, cls, ())
    problems.raise_any()
    assert config is not FAILED  # a failure notes its problem
    return Loaded(config=config, resolved=dump(config, origins), identity=identity(config, origins), path=document.path)


def write_resolved(loaded: Loaded[Any]) -> str:
    """The resolved configuration as YAML, for ``config.yaml`` of a run."""
    return to_yaml(loaded.resolved)


@frozen(kw_only=True)
class PluginsConfig:
    """The section ``plugins:`` of a configuration."""

    load: tuple[Path, ...] = option((), help="Python files whose tools and hooks take part", path=True)


def plugin_files(document: Document, *, environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """The files of ``plugins: {load: […]}``, read before anything else since they contribute names.

    None where the section is wrong: `load_config` says so, together with everything else.
    """
    found = document.root.value
    section = found.get("plugins") if isinstance(found, dict) else None
    if section is None:
        return ()
    problems = Problems()
    node = expand(section, os.environ if environ is None else environ, problems, ("plugins",))
    config: Any = Structurer(problems, Origins(), None).section(node, PluginsConfig, ("plugins",))
    return () if problems or config is FAILED else config.load
