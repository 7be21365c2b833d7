"""What a user says about code sessions: the ``backends: {code: …}`` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import ConfigError, Problem
from agentflow_core.sandbox.launchers import Limits, Network

__all__ = ["MAX_TIMEOUT_S", "CodeConfig", "DatabaseConfig", "PackagesConfig"]

#: The longest that one call may run.
MAX_TIMEOUT_S = 600.0
MIB = 1024 * 1024


@frozen(kw_only=True)
class DatabaseConfig:
    """One database that sessions can query."""

    path: Path | None = option(None, help="a SQLite or DuckDB file, or a CSV, Parquet or JSON file", path=True)
    url: str | None = option(None, help="or a PostgreSQL URL, such as ${DATABASE_URL}", secret=True)
    writable: bool = option(False, help="let queries change it; of a file, each session changes a copy of its own")

    def __attrs_post_init__(self) -> None:
        """Refuse a database that is nowhere, or in two places."""
        if (self.path is None) == (self.url is None):
            raise ConfigError([Problem("needs either path or url")])


@frozen(kw_only=True)
class PackagesConfig:
    """What ``code:install`` may install, and from where; nothing, unless it is allowed here."""

    allow: tuple[str, ...] = option((), help="names of distributions, with or without a version; '*' allows all")
    wheels: Path | None = option(None, help="a folder of wheels, from which they are installed", path=True)
    index: str | None = option(None, help="a package index that the session's network reaches")


@frozen(kw_only=True)
class CodeConfig:
    """Which interpreter sessions run, what they may take, and which data they see."""

    python: str | None = option(
        None, help="the interpreter; it needs IPython (default: the server's own; under docker a path in the image)"
    )
    preload: tuple[str, ...] = option(
        ("numpy", "pandas", "matplotlib", "matplotlib.pyplot", "duckdb"),
        help="modules that are imported before a session starts, where they are installed",
        operational=True,
    )
    warm: bool = option(True, help="fork sessions from a warm interpreter where that is possible", operational=True)
    limits: Limits = option(Limits(memory_bytes=1024 * MIB), help="what one session may take")
    network: Network = option(Network(), help="what sessions reach")
    timeout_s: float = option(
        60.0, help="seconds for one call, where it does not say", at_least=0.1, at_most=MAX_TIMEOUT_S
    )
    max_output_bytes: int = option(
        MIB, help="how much of what one call prints is kept, of stdout and of stderr", at_least=1024
    )
    plots: Literal["png", "svg"] = option("png", help="how matplotlib figures come back")
    files: Mapping[str, Path] = option(
        factory=dict, help="data files or folders by the name under data/ in the workspace; read-only", path=True
    )
    databases: Mapping[str, Path | DatabaseConfig] = option(
        factory=dict, help="databases by name: a path, or path or url with settings", path=True
    )
    roots: tuple[Path, ...] = option(
        (), help="folders from which a session's own settings may take files and databases", path=True
    )
    packages: PackagesConfig = option(PackagesConfig(), help="what code:install may install")
