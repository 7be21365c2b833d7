"""The files and databases of a session: which of the configured ones, where they stand inside, and how they get there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from agentflow_code.config import CodeConfig, DatabaseConfig
from agentflow_core.errors import SandboxError
from agentflow_core.names import did_you_mean
from agentflow_core.sandbox.launchers import Bind

__all__ = ["SessionData", "SessionDatabase", "session_data"]

#: Where data stands inside, and the folder of the workspace with a link to each.
INSIDE: Final = "/data"
LINKS: Final = "data"
SETTINGS: Final = ("files", "databases", "setup")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")


@frozen(kw_only=True)
class SessionDatabase:
    """A database as a session sees it; ``inside`` is its path there, None where it is a URL."""

    config: DatabaseConfig
    inside: str | None


@frozen(kw_only=True)
class SessionData:
    """What one session sees, and the code that it begins with."""

    files: Mapping[str, str] = field(factory=dict)  #: name → path inside
    databases: Mapping[str, SessionDatabase] = field(factory=dict)
    binds: tuple[Bind, ...] = ()
    setup: str = ""

    def link(self, workspace: Path) -> None:
        """Put the folder ``data`` with links to all into an empty workspace."""
        places = [*self.files.values(), *(each.inside for each in self.databases.values() if each.inside)]
        if not places:
            return
        folder = workspace / LINKS
        folder.mkdir()
        for place in places:
            (folder / Path(place).name).symlink_to(place)


def session_data(config: CodeConfig, settings: Mapping[str, Any], *, same_paths: bool) -> SessionData:
    """What the settings of ``create_session`` ask for; all that is configured where they say nothing.

    ``files`` and ``databases`` are lists of configured names, or mappings of names to paths below the configured
    ``roots``; ``setup`` is Python code. With ``same_paths`` things stand inside where they stand on the host.

    Raises:
        SandboxError: ``invalid_argument``, ``not_found`` or ``policy_denied``; the message names the setting.
    """
    for name in settings:
        if name not in SETTINGS:
            raise _wrong(f"{name!r} is no setting of code sessions{did_you_mean(str(name), SETTINGS)}")
    setup = settings.get("setup") or ""
    if not isinstance(setup, str):
        raise _wrong("setup: expected Python code as text")
    files = _chosen("files", settings.get("files"), config.files, config.roots)
    known = {name: _as_config(one) for name, one in config.databases.items()}
    databases = _chosen("databases", settings.get("databases"), known, config.roots)
    binds: dict[str, Bind] = {}

    def inside(kind: str, name: str, source: Path) -> str:
        if not source.exists():
            raise SandboxError(f"{kind}.{name}: {source} does not exist", code="not_found")
        if same_paths:
            return str(source.absolute())
        suffix = "" if name.endswith(source.suffix) else source.suffix
        target = f"{INSIDE}/{name}{suffix}"
        if target in binds:
            raise _wrong(f"{kind}.{name}: something else is called {target} already")
        binds[target] = Bind(source=source, target=target)
        return target

    seen_files = {name: inside("files", name, path) for name, path in files.items()}
    seen = {}
    for name, one in databases.items():
        database = _as_config(one)
        place = None if database.path is None else inside("databases", name, database.path)
        seen[name] = SessionDatabase(config=database, inside=place)
    return SessionData(files=seen_files, databases=seen, binds=tuple(binds.values()), setup=setup)


def _as_config(database: Path | DatabaseConfig) -> DatabaseConfig:
    return DatabaseConfig(path=database) if isinstance(database, Path) else database


def _chosen(kind: str, wanted: Any, known: Mapping[str, Any], roots: Sequence[Path]) -> dict[str, Any]:
    for name in known:
        _check_name(kind, name)
    if wanted is None:
        return dict(known)
    if isinstance(wanted, Mapping):
        return {_check_name(kind, name): _allowed(kind, name, path, roots) for name, path in wanted.items()}
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        raise _wrong(f"{kind}: expected a list of names, or an object of names and paths")
    chosen = {}
    for name in wanted:
        if name not in known:
            there = f"there is: {', '.join(known)}" if known else "none are configured"
            raise SandboxError(
                f"{kind}: no {str(name)[:100]!r}{did_you_mean(str(name), known)}", code="not_found", hint=there
            )
        chosen[name] = known[name]
    return chosen


def _check_name(kind: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(f"{kind}: {str(name)[:100]!r} is no name: letters, digits, '_', '-', '.' and spaces")
    return name


def _allowed(kind: str, name: str, path: Any, roots: Sequence[Path]) -> Path:
    """A path that a session may name: whoever opens it may be far away, and must not read the host."""
    if not isinstance(path, str) or "\0" in path:
        raise _wrong(f"{kind}.{name}: expected a path")
    real = Path(path).resolve()
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise SandboxError(
            f"{kind}.{name}: {path[:200]} is not below one of the configured roots",
            code="policy_denied",
            hint="name one of the configured files, or add its folder to backends.code.roots",
        )
    return real


def _wrong(message: str) -> SandboxError:
    return SandboxError(message, code="invalid_argument")
