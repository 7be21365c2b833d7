"""Carry modules into a machine as text, so that nothing needs be mounted or installed there."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["PYTHON", "command"]

#: The interpreter of the machine; isolated, and without what is installed beside it.
PYTHON: Final = ("/usr/bin/python3", "-I", "-S", "-c")
_BOOT: Final = """
import json, sys, types
for name, source in json.loads(sys.argv.pop(1)).items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
module.main()
"""


@cache
def _source(name: str) -> str:
    return (files("agentflow_vm.inside") / f"{name}.py").read_text("utf-8")


def command(*modules: str, arguments: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What runs ``main`` of the last of these modules, after those that it imports."""
    sources = {f"agentflow_vm.inside.{name}": _source(name) for name in modules}
    return (*PYTHON, _BOOT, json.dumps(sources), *arguments)
