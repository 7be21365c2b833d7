"""Load a file of tools that no distribution packages: ``--load my_tools.py``."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from typing import TYPE_CHECKING

from agentflow_core.contributions import Contribution, ToolSpec
from agentflow_core.errors import AgentFlowError, PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

__all__ = ["MODULE_PREFIX", "load_file", "marked_tools"]

#: A file is the module of this and its stem.
MODULE_PREFIX = "agentflow_loaded_"
#: The attribute that ``@register_api_tool`` leaves on a function: a ``ToolFunction`` of the sandbox, one floor up.
MARK = "__agentflow_tool__"


def load_file(path: Path) -> ModuleType:
    """Execute the file as the module ``agentflow_loaded_<stem>`` and return it.

    Raises:
        UsageError: there is no such file.
        PluginError: the file fails.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {path}", hint="--load and plugins.load take Python files")
    path = path.resolve()
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path.name} is not a Python file", hint="--load and plugins.load take files that end in .py")
    module = importlib.util.module_from_spec(spec)
    previous = sys.modules.get(name)
    sys.modules[name] = module  # before it runs: its classes and targets name the module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name)
        if previous is not None:
            sys.modules[name] = previous
        if isinstance(error, AgentFlowError):
            raise PluginError(f"{path.name} fails: {error.message}", hint=error.hint) from error
        if isinstance(error, Exception | SystemExit):  # plugin boundary
            raise PluginError(f"{path.name} fails: {_where(error, path)}{type(error).__name__}: {error}") from error
        raise
    return module


def marked_tools(module: ModuleType) -> Iterator[Contribution]:
    """A `ToolSpec` for every function of the module that ``@register_api_tool`` marked, in order of the file.

    Raises:
        PluginError: a function is marked as the tool of a backend.
    """
    seen: set[int] = set()
    for attribute, value in vars(module).items():
        mark = getattr(value, MARK, None) if inspect.isfunction(value) else None
        if mark is None or id(value) in seen:
            continue
        seen.add(id(value))
        if mark.takes_state:
            raise PluginError(f"{attribute} is marked with @tool", hint="outside of a Backend, use @register_api_tool")
        summary = mark.description.partition("\n")[0]
        yield ToolSpec(mark.name, target=f"{module.__name__}:{attribute}", summary=summary)


def _module_name(path: Path) -> str:
    base = MODULE_PREFIX + re.sub(r"\W", "_", path.stem)
    name, number = base, 1
    while (other := sys.modules.get(name)) is not None and getattr(other, "__file__", None) != str(path):
        number += 1
        name = f"{base}_{number}"
    return name


def _where(error: BaseException, path: Path) -> str:
    """``line 12: `` if the failure stands in the file itself."""
    line, trace = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""
