"""Write a new plugin from its templates: a folder that is whole, or none."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from agentflow_core.errors import AgentFlowError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from agentflow_core.scaffold.naming import NewPlugin

__all__ = ["render", "write_plugin"]

#: Ends the name of a template file; the rest is the name of the file that it makes.
_SUFFIX: Final = ".in"
#: Where the templates of the package stand.
_PACKAGE: Final = "src/package/"


def render(plugin: NewPlugin) -> Mapping[str, str]:
    """The files of the plugin: their texts by their paths in its folder, sorted.

    The templates of the kind stand beside those that all kinds share, in the places of what they make. A text names
    the plugin's fields as ``${package}``; a dollar sign is ``$$``.
    """
    root = resources.files("agentflow_core.scaffold") / "templates"
    found: dict[str, str] = {}
    for part in ("common", plugin.kind):
        for path, text in _templates(root / part):
            found[path.replace(_PACKAGE, f"src/{plugin.package}/")] = Template(text).substitute(plugin.fields)
    return dict(sorted(found.items()))


def write_plugin(plugin: NewPlugin, parent: Path) -> Path:
    """Write the plugin into a new folder below ``parent``, which is made if need be; returns the folder.

    Raises:
        UsageError: the folder is there already.
        AgentFlowError: it cannot be written.
    """
    folder = parent / plugin.distribution
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already", hint="choose another name, or another place with --dir")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{plugin.distribution}-", dir=parent) as scratch:
            made = Path(scratch) / plugin.distribution
            for path, text in render(plugin).items():
                file = made / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
            made.rename(folder)
    except OSError as error:
        raise AgentFlowError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def _templates(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield prefix + entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")
