"""Find the interpreter of sessions, and what of the host has to be seen inside for it to run there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
from attrs import field, frozen

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import Bind

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Python", "find_python"]

#: Where a launcher with a file system of its own shows the interpreter.
ELSEWHERE: Final = "/opt/agentflow"
_PACKAGE: Final = Path(__file__).resolve().parent
_SEEN: Final = tuple(map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")))
_PROBE: Final = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "prefixes": [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix],
    "libraries": [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")],
    "executable": sys.executable,
    "version": sys.version_info[:3],
    "missing": [name for name in ("IPython",) if importlib.util.find_spec(name) is None],
}))
"""


@frozen(kw_only=True)
class Python:
    """An interpreter as sessions see it."""

    executable: str
    main: str  #: the path of ``inside/main.py``
    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(factory=dict)  #: what it needs to find its libraries
    is_here: bool = True  #: are its paths inside those of the host, so that one that runs here could go there?
    version: str = ""

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The command that starts ``inside/main.py``; nothing of the user's own folders is looked into."""
        return (self.executable, "-s", self.main, *arguments)


async def find_python(python: str | None, launcher: str) -> Python:
    """The configured interpreter, or the server's own, for a launcher.

    Raises:
        SandboxError: ``provider_unavailable``: it does not run, or has no IPython; the hint installs that.
    """
    main = _PACKAGE / "inside" / "main.py"
    if launcher == "docker" and python is not None:
        binds = (Bind(source=_PACKAGE, target=f"{ELSEWHERE}/agentflow_code"),)
        return Python(executable=python, main=f"{ELSEWHERE}/agentflow_code/inside/main.py", binds=binds, is_here=False)
    told = await _probed(python or sys.executable)
    version = ".".join(map(str, told["version"]))
    if launcher == "none":
        return Python(executable=told["executable"], main=str(main), version=version)
    if launcher == "docker":
        return _elsewhere(told, version)
    return _here(told, str(main), version)


async def _probed(python: str) -> dict[str, Any]:
    try:
        ran = await anyio.run_process(
            [python, "-s", "-c", _PROBE], check=False, env={"PATH": os.environ.get("PATH", os.defpath)}
        )
    except OSError as error:
        raise _unusable(python, str(error)) from error
    if ran.returncode != 0:
        raise _unusable(python, ran.stderr.decode(errors="replace").strip()[-500:])
    told: dict[str, Any] = json.loads(ran.stdout)
    if told["missing"]:
        raise SandboxError(
            f"the interpreter {python} has no {', '.join(told['missing'])}",
            code="provider_unavailable",
            hint=f"{python} -m pip install {' '.join(name.lower() for name in told['missing'])}",
        )
    return told


def _unusable(python: str, why: str) -> SandboxError:
    return SandboxError(
        f"the interpreter {python} does not run: {why}",
        code="provider_unavailable",
        hint="set backends.code.python to a Python that has IPython",
    )


def _here(told: Mapping[str, Any], main: str, version: str) -> Python:
    """An interpreter that stands inside where it stands on the host."""
    real = Path(told["executable"]).resolve()
    roots = [*told["prefixes"], *told["libraries"], str(real.parent), str(_PACKAGE)]
    binds = tuple(Bind(source=root, target=str(root)) for root in _outermost(map(Path, roots)))
    return Python(executable=told["executable"], main=main, binds=binds, version=version)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """The folders themselves and, where they are reached by links, what those lead to; none within another one."""
    wanted = {each for path in paths for each in (Path(os.path.normpath(path)), path.resolve()) if each.is_dir()}
    taken: list[Path] = []
    for path in sorted(wanted, key=lambda each: len(each.parts)):
        if not any(path.is_relative_to(root) for root in (*_SEEN, *taken)):
            taken.append(path)
    return taken


def _elsewhere(told: Mapping[str, Any], version: str) -> Python:
    """The server's interpreter in a file system that has other folders: it finds itself from where it stands."""
    base = Path(told["prefixes"][1]).resolve()
    real = Path(told["executable"]).resolve()
    binds = [
        Bind(source=base, target=f"{ELSEWHERE}/python"),
        Bind(source=_PACKAGE, target=f"{ELSEWHERE}/agentflow_code"),
    ]
    env = {"LD_LIBRARY_PATH": f"{ELSEWHERE}/python/lib"}  # a shared libpython is looked for where it was built for
    libraries = [path for path in dict.fromkeys(told["libraries"]) if not Path(path).resolve().is_relative_to(base)]
    for index, library in enumerate(libraries):
        binds.append(Bind(source=Path(library), target=f"{ELSEWHERE}/libraries-{index}"))
    if libraries:
        env["PYTHONPATH"] = ":".join(f"{ELSEWHERE}/libraries-{index}" for index in range(len(libraries)))
    executable = real.relative_to(base) if real.is_relative_to(base) else Path("bin", real.name)
    return Python(
        executable=f"{ELSEWHERE}/python/{executable}",
        main=f"{ELSEWHERE}/agentflow_code/inside/main.py",
        binds=tuple(binds),
        env=env,
        is_here=False,
        version=version,
    )
