"""``run.json``: what a run is, of which configuration and versions, and how it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agentflow_core.errors import RunCorruptError, RunError
from agentflow_core.runs.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MANIFEST", "SCHEMA", "read_manifest", "write_manifest"]

MANIFEST = "run.json"
#: The version of the layout and of all record files of a run.
SCHEMA = 1


def read_manifest(directory: Path) -> dict[str, Any]:
    """The ``run.json`` of a run directory, fields of later versions included.

    Raises:
        RunError: there is none, or it was written by a later version.
        RunCorruptError: it cannot be read.
    """
    path = directory / MANIFEST
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{directory} is not a run directory: it has no {MANIFEST}", hint="agentflow runs list"
        ) from error
    except NotADirectoryError as error:
        raise RunError(f"{directory} is not a directory", hint="agentflow runs list") from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise RunCorruptError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("schema"), int):
        raise RunCorruptError(f"{path} is not the {MANIFEST} of a run")
    if value["schema"] > SCHEMA:
        raise RunError(
            f"{path} has schema version {value['schema']}, this agentflow-core reads up to {SCHEMA}",
            hint="pip install --upgrade agentflow-core",
        )
    return value


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Replace the ``run.json`` of a run directory."""
    write_atomic(directory / MANIFEST, [orjson.dumps(manifest, option=orjson.OPT_INDENT_2), b"\n"])
