"""``agentflow config``: check a configuration, show what it means, upgrade an old one, print the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from agentflow_core.errors import UsageError
from agentflow_core.refs import resolve

if TYPE_CHECKING:
    from agentflow_core.config import Document, Loaded
    from agentflow_core.plugins import Registry

__all__ = ["KINDS", "command", "kind_of"]

#: Kinds of configuration and their classes.
KINDS: Final = {
    "synthesis": "agentflow_core.synthesis:SynthesisConfig",
    "rollout": "agentflow_core.evaluation:RolloutConfig",
    "sandbox": "agentflow_core.sandbox.server:ServeConfig",
}
F = TypeVar("F", bound=Callable[..., Any])

load_option = click.option(
    "--load",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="F.py",
    help="A Python file whose tools and hooks take part. Repeatable.",
)


def _about_a_file(function: F) -> F:
    """The arguments of commands that read a configuration."""
    for decorate in (
        load_option,
        click.option("--kind", type=click.Choice(list(KINDS)), help="What it configures; by its keys if not given."),
        click.option("--set", "sets", multiple=True, metavar="A.B=V", help="Override a value. Repeatable."),
        click.argument("file", type=click.Path(path_type=Path)),
    ):
        function = decorate(function)
    return function


@click.group(name="config")
def command() -> None:
    """Check a configuration, show what it means, upgrade an old one, or print its schema."""


@command.command
@_about_a_file
def check(file: Path, sets: tuple[str, ...], kind: str | None, files: tuple[Path, ...]) -> None:
    """Say whether FILE is a valid configuration; print every problem if it is not."""
    document = _read(file, sets)
    found = kind or kind_of(document)
    _load(document, found, files)
    click.echo(f"ok  {file}  {found}")


@command.command
@_about_a_file
def show(file: Path, sets: tuple[str, ...], kind: str | None, files: tuple[Path, ...]) -> None:
    """Print FILE as YAML with every default filled in and secrets masked."""
    from agentflow_core.config import write_resolved

    document = _read(file, sets)
    click.echo(write_resolved(_load(document, kind or kind_of(document), files)), nl=False)


@command.command
@click.argument("kind", type=click.Choice(list(KINDS)))
@load_option
def schema(kind: str, files: tuple[Path, ...]) -> None:
    """Print the JSON Schema (2020-12) of a KIND of configuration, with the installed plugins, for editors."""
    from agentflow_core.config import config_schema

    click.echo(json.dumps(config_schema(resolve(KINDS[kind]), _registry(files)), indent=2, ensure_ascii=False))


@command.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT", help="Write OUT in place of printing.")
def upgrade(file: Path, output: Path | None) -> None:
    """Print FILE, a flat file of the earlier AgentFlow, as YAML of today that says the same.

    What has no place there stands in comments. Secrets stay as they are written.
    """
    from agentflow_core.config import upgrade as upgraded

    _refuse_folder(file)
    if output is None:
        click.echo(upgraded(file), nl=False)
        return
    if output.suffix == ".json":
        raise UsageError(f"{output}: the new file is YAML", hint=f"name it {output.with_suffix('.yaml').name}")
    text = upgraded(file, folder=output.parent)
    try:
        with output.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UsageError(f"{output} is there already", hint="remove it, or give another name") from error
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror or error}") from error
    click.echo(f"wrote {output}; see agentflow config check {output}")


def kind_of(document: Document) -> str:
    """What the document configures, by its keys: ``seeds`` is a synthesis, ``data`` a rollout, else a sandbox."""
    keys = document.plain()
    return "synthesis" if "seeds" in keys else "rollout" if "data" in keys else "sandbox"


def _read(file: Path, sets: tuple[str, ...]) -> Document:
    from agentflow_core.config import load_document

    _refuse_folder(file)
    return load_document(file, sets=sets)


def _refuse_folder(file: Path) -> None:
    if file.is_dir():
        raise UsageError(f"{file} is a directory", hint="name the file, such as run.yaml")


def _load(document: Document, kind: str, files: tuple[Path, ...]) -> Loaded[Any]:
    from agentflow_core.config import load_config, plugin_files

    registry = _registry((*plugin_files(document), *files))
    return load_config(resolve(KINDS[kind]), document, registry=registry)


def _registry(files: tuple[Path, ...]) -> Registry:
    from agentflow_core.plugins import PluginHost  # plugins are imported only for commands that need their names

    return PluginHost.load(files=files).registry
