"""The images that a run was shown, such as screenshots, as files that say in their names where they were shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentflow_core.runs.files import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.runs.reader import RunReader

__all__ = ["images_of", "picture_type", "write_images"]

_NAME_CHARS: Final = 120
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.-]+")
_SUFFIXES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


def picture_type(data: bytes) -> str | None:
    """The media type of a picture by its first bytes; None for what models are not shown."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"GIF8"):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def images_of(run: RunReader) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each image, in the order of the trajectories, or of the nodes of the trees.

    Raises:
        DataError: one of them is not in the run's blobs.
    """
    names: dict[str, int] = {}
    for where, sha256 in _shown(run):
        data = run.blobs.get(sha256)
        kind = picture_type(data)
        if kind is None:  # a long text
            continue
        stem = _UNSAFE.sub("_", where).strip("._")[:_NAME_CHARS]
        names[stem.lower()] = number = names.get(stem.lower(), 0) + 1
        yield f"{stem if number == 1 else f'{stem}_{number}'}.{_SUFFIXES[kind]}", data


def write_images(run: RunReader, folder: Path) -> int:
    """Write them into a folder, and return how many there are.

    Raises:
        DataError: one of them is not in the run's blobs.
        StorageError: the disk refuses.
    """
    count = 0
    for name, data in images_of(run):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        except OSError as error:
            raise storage_error(folder / name, error) from error
        count += 1
    return count


def _shown(run: RunReader) -> Iterator[tuple[str, str]]:
    """Where each blob was shown."""
    for trajectory in run.trajectories():
        for number, step in enumerate(trajectory.steps, 1):
            for call in step.tools:
                for sha256 in call.get("blobs", ()):
                    yield f"{trajectory.id}-{number:03}-{call.get('tool', '')}", sha256
    for node in run.tree():
        for sha256 in node.result.blobs if node.result is not None else ():
            yield f"{node.id}-{node.tool}", sha256
