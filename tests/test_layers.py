"""The floors of the core, read from its imports: a module leans only on what stands below it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

import agentflow_core

if TYPE_CHECKING:
    from collections.abc import Iterator

#: From the ground up; within a floor, a module may lean on those before it.
FLOORS = (
    ("errors", "names", "refs", "concurrency"),
    ("records", "text", "prose", "policies", "blobs", "answers", "rows", "prompts", "interfaces", "contributions"),
    ("hookspecs",),
    ("builtin", "plugins"),
    ("config",),
    ("models", "sandbox", "runs", "executors", "metrics", "scorers", "selectors"),
    ("agent", "evaluation", "gates", "synthesis", "export", "importing"),
    ("viewer",),
    ("testing", "scaffold", "cli", "__main__"),
)
ORDER = {name: index for index, name in enumerate(name for floor in FLOORS for name in floor)}
CORE = "agentflow_core"
SOURCE = Path(agentflow_core.__file__).parent
REPOSITORY = SOURCE.parent.parent
#: What only one environment needs: never imported when a module of the core is.
ENVIRONMENTS = ("docker", "playwright", "whoosh", "tantivy")


@frozen(kw_only=True)
class Import:
    """One import statement's target, as a module path."""

    importer: str
    module: str
    line: int
    is_local: bool  #: inside a function

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path) -> dict[str, Path]:
    return {module_name(path, root): path for path in sorted(root.rglob("*.py"))}


def imports(name: str, path: Path, known: frozenset[str]) -> Iterator[Import]:
    """The imports of a module that are executed, those in functions too; not those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, is_local = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += [(child, is_local) for child in node.orelse]
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in targets(node, known):
                yield Import(importer=name, module=module, line=node.lineno, is_local=is_local)
        is_local = is_local or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending += [(child, is_local) for child in ast.iter_child_nodes(node)]


def targets(node: ast.Import | ast.ImportFrom, known: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, f"line {node.lineno}: a relative import"
    for alias in node.names:
        full = f"{node.module}.{alias.name}"
        if full in known:
            yield full
        elif node.module == CORE:  # a lazy public name leans on its home
            yield agentflow_core._HOME_OF.get(alias.name, CORE)
        else:
            yield str(node.module)


def part_of(module: str) -> str:
    """The entry of `FLOORS` to which a module of the core belongs; empty for the package itself."""
    return module.removeprefix(CORE).strip(".").partition(".")[0]


MODULES = modules(SOURCE)
IMPORTS = [found for name, path in MODULES.items() for found in imports(name, path, frozenset(MODULES))]
PLUGINS = sorted(path for path in REPOSITORY.glob("plugins/*/src/*") if (path / "__init__.py").exists())


def test_every_module_has_its_floor():
    assert {part_of(name) for name in MODULES} - {""} <= ORDER.keys()


def test_a_module_leans_only_on_what_stands_below_it():
    inside = [found for found in IMPORTS if found.module.partition(".")[0] == CORE and part_of(found.module)]
    wrong = [
        str(found)
        for found in inside
        if part_of(found.importer) != part_of(found.module)
        and ORDER[part_of(found.importer) or "errors"] <= ORDER[part_of(found.module)]
    ]
    assert wrong == []


def test_there_are_no_cycles():
    leans_on: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in IMPORTS:
        if found.module in MODULES and found.module != found.importer:
            leans_on[found.importer].add(found.module)
    while free := [name for name, below in leans_on.items() if not below]:
        for name in free:
            del leans_on[name]
        for below in leans_on.values():
            below.difference_update(free)
    assert leans_on == {}


def test_the_package_itself_imports_nothing():
    imported = {found.module for found in IMPORTS if found.importer == CORE and not found.is_local}
    assert imported == {"__future__", "typing"}


def test_the_core_imports_no_plugin():
    assert [
        str(found)
        for found in IMPORTS
        if found.module.startswith("agentflow_") and found.module.partition(".")[0] != CORE
    ] == []


def test_the_core_imports_the_libraries_of_environments_only_where_they_are_used():
    assert [
        str(found) for found in IMPORTS if found.module.partition(".")[0] in ENVIRONMENTS and not found.is_local
    ] == []


def test_pytest_is_imported_in_its_plugin_and_where_a_test_runs_already():
    found = [found for found in IMPORTS if found.module.partition(".")[0] in ("pytest", "_pytest")]
    assert {each.importer for each in found if not each.is_local} == {f"{CORE}.testing.pytest_plugin"}
    assert {each.importer for each in found if each.is_local} <= {f"{CORE}.testing.conformance"}


def test_hooks_are_called_in_one_file():
    assert [name for name, path in MODULES.items() if ".hook." in path.read_text(encoding="utf-8")] == [
        f"{CORE}.plugins.hooks"
    ]


@pytest.mark.skipif(not PLUGINS, reason="the workspace's plugins are not beside the core")
@pytest.mark.parametrize("root", PLUGINS, ids=lambda root: root.name)
def test_a_plugin_imports_the_core_and_no_other_plugin(root):
    own = modules(root)
    others = [
        str(found)
        for name, path in own.items()
        for found in imports(name, path, frozenset(own))
        if found.module.startswith("agentflow_") and found.module.partition(".")[0] not in (CORE, root.name)
    ]
    assert others == []
