"""``agentflow serve``: the installed environments over HTTP, for any number of workers and machines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.cli import Invocation
    from agentflow_core.sandbox.server.starting import Child

__all__ = ["command"]


@click.command(name="serve")
@click.option("--config", type=click.Path(path_type=Path), metavar="F", help="A configuration of the sandbox.")
@click.option("--host", metavar="H", help="The address to listen on (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="The port (default 18890; 0 is a free one).")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="F", help="A file with a token a line.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="json: one line a call.")
@click.option("--set", "sets", multiple=True, metavar="A.B=V", help="Override a value. Repeatable.")
@click.option(
    "--load", "files", multiple=True, type=click.Path(path_type=Path), metavar="F.py", help="Serve its tools too."
)
@click.option("--child", nargs=2, type=(int, str), hidden=True)
@click.pass_obj
def command(
    invocation: Invocation,
    config: Path | None,
    host: str | None,
    port: int | None,
    token_file: Path | None,
    log_format: Literal["text", "json"],
    sets: tuple[str, ...],
    files: tuple[Path, ...],
    child: tuple[int, str] | None,
) -> None:
    """Serve every installed environment over HTTP, or those of a configuration.

    Prints a URL a line. Ctrl-C or SIGTERM lets running calls end; a second one does not.
    """
    from agentflow_core.config import load_config, load_document, plugin_files
    from agentflow_core.plugins import PluginHost
    from agentflow_core.sandbox.server import ServeConfig
    from agentflow_core.sandbox.server.logs import logging_as
    from agentflow_core.sandbox.server.starting import Child, serve

    given = {"host": host, "port": port, "token_file": None if token_file is None else str(token_file.absolute())}
    all_sets = [*sets, *(f"server.{name}={_quoted(value)}" for name, value in given.items() if value is not None)]
    document = load_document(config if config is not None else {}, sets=all_sets)
    plugins = PluginHost.load(files=(*plugin_files(document), *files))
    settings = load_config(ServeConfig, document, registry=plugins.registry).config

    def child_command(told: Child) -> Sequence[str]:
        debug = ["--debug"] if invocation.is_debug else []
        urls = ",".join(told.urls)
        return [
            sys.executable,
            "-m",
            "agentflow_core",
            *debug,
            "serve",
            *_again(),
            "--child",
            str(told.descriptor),
            urls,
        ]

    def _again() -> list[str]:
        options: list[str] = ["--log-format", log_format]
        for flag, values in (("--config", (config,) if config else ()), ("--load", files), ("--set", all_sets)):
            for value in values:
                options += [flag, str(value)]
        return options

    with logging_as(log_format):
        code = serve(
            settings,
            plugins,
            environ=os.environ,
            debug=invocation.is_debug,
            announce=_announce,
            child=None if child is None else Child(descriptor=child[0], urls=tuple(child[1].split(","))),
            child_command=child_command,
        )
    if code:
        raise SystemExit(code)


def _announce(urls: Sequence[str]) -> None:
    for url in urls:
        click.echo(url)
    sys.stdout.flush()
    if sys.stderr.isatty():
        click.echo("Ctrl-C lets running calls end and stops; see /openapi.json", err=True)


def _quoted(value: Any) -> str:
    import json

    return json.dumps(value)
