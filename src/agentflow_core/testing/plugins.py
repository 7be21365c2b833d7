"""Plugin hosts from objects in memory, and real distributions that are installed for the length of a test."""

from __future__ import annotations

import importlib
import os
import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from attrs import frozen

from agentflow_core.contributions import Contribution
from agentflow_core.hookspecs import hookimpl
from agentflow_core.plugins import Found, PluginHost, PluginRow
from agentflow_core.plugins.discovery import core as core_plugin
from agentflow_core.plugins.discovery import judge
from agentflow_core.plugins.files import MODULE_PREFIX
from agentflow_core.plugins.hooks import CONTRIBUTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["FakeDist", "FakeDists", "loaded_files_forgotten", "plugin_host"]


def plugin_host(
    *plugins: object,
    files: Iterable[Path] = (),
    core: bool = True,
    environ: Mapping[str, str] | None = None,
    **named: object,
) -> PluginHost:
    """A host of exactly these plugins; what is installed and what the environment says does not matter.

    Args:
        plugins: modules or objects with hooks, named after themselves; specs, which become one plugin ``test``.
        files: files of tools, as ``--load`` takes them.
        core: whether the core's own contributions are there.
        environ: ``AGENTFLOW_PLUGINS`` and ``AGENTFLOW_PLUGINS_OFF``, if they matter.
        named: further plugins, by name.
    """
    specs = [plugin for plugin in plugins if isinstance(plugin, Contribution)]
    others = [(_name_of(plugin), plugin) for plugin in plugins if not isinstance(plugin, Contribution)]
    if specs:
        others.append(("test", _plugin_of(specs)))
    found = [_found(name, plugin) for name, plugin in (*others, *named.items())]
    if core:
        found.append(core_plugin())
    return PluginHost.of(judge(found, environ or {}), files=files)


@frozen(kw_only=True)
class FakeDist:
    """An installed distribution of a test."""

    name: str
    version: str
    package: str  #: its import name
    path: Path  #: its entry on ``sys.path``


@contextmanager
def loaded_files_forgotten() -> Iterator[None]:
    """Take away, at the end, the modules of ``--load`` files that were loaded meanwhile."""
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if name.startswith(MODULE_PREFIX):
                del sys.modules[name]


class FakeDists:
    """Write distributions into a folder and put them on ``sys.path``; closing takes all of it back.

    A context manager. Calling it installs one distribution.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made: list[FakeDist] = []

    def __call__(
        self,
        name: str,
        plugin: str = "",
        *,
        version: str = "1.0",
        requires: Iterable[str] = ("agentflow-core",),
        modules: Mapping[str, str] | None = None,
        entry_points: Mapping[str, str] | None = None,
    ) -> FakeDist:
        """Install a distribution.

        Args:
            name: its name; ``agentflow-foo`` has the import name ``agentflow_foo`` and the entry point ``foo``.
            plugin: the source of its ``plugin.py``; indentation that all lines share is taken away.
            version: its version.
            requires: its ``Requires-Dist`` lines.
            modules: the sources of further modules, by file name inside the package (``scorers.py``).
            entry_points: the entries of the group ``agentflow``, instead of the derived one.
        """
        package = name.replace("-", "_").replace(".", "_").lower()
        if entry_points is None:
            entry_points = {package.removeprefix("agentflow_"): f"{package}.plugin"}
        site = self._root / str(len(self._made))
        for file, source in {"__init__.py": "", "plugin.py": plugin, **(modules or {})}.items():
            _write(site / package / file, dedent(source))
        info = site / f"{package}-{version}.dist-info"
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        _write(info / "METADATA", "\n".join([*metadata, *(f"Requires-Dist: {line}" for line in requires), ""]))
        _write(
            info / "entry_points.txt", "\n".join(["[agentflow]", *(f"{k} = {v}" for k, v in entry_points.items()), ""])
        )
        made = FakeDist(name=name, version=version, package=package, path=site)
        self._made.append(made)
        sys.path.insert(0, str(site))
        importlib.invalidate_caches()
        return made

    def close(self) -> None:
        """Take every distribution and its imported modules away."""
        sites = {str(made.path) for made in self._made}
        sys.path[:] = [entry for entry in sys.path if entry not in sites]
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and any(file.startswith(site + os.sep) for site in sites):
                del sys.modules[name]
        for site in sites:
            sys.path_importer_cache.pop(site, None)
        self._made.clear()
        importlib.invalidate_caches()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _found(name: str, plugin: object) -> Found:
    row = PluginRow(name=name, distribution=name, version="0", module=name)
    return Found(row=row, load=lambda: plugin)


def _name_of(plugin: object) -> str:
    name = getattr(plugin, "__name__", None) or type(plugin).__name__
    return str(name).rpartition(".")[2].lower()


def _plugin_of(specs: Iterable[Contribution]) -> ModuleType:
    kinds: dict[str, list[Contribution]] = defaultdict(list)
    for spec in specs:
        kinds[next(hook for hook, kind in CONTRIBUTING.items() if isinstance(spec, kind))].append(spec)
    module: Any = ModuleType("test")
    for hook, answer in kinds.items():
        setattr(module, hook, hookimpl(_constant(tuple(answer)), specname=hook))
    plugin: ModuleType = module
    return plugin


def _constant(answer: tuple[Contribution, ...]) -> Callable[[], tuple[Contribution, ...]]:
    return lambda: answer


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
