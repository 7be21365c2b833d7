"""Look at the ZIP archive that a DOCX or PPTX is, before a library unpacks it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Final

from agentflow_doc.reading.failures import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_doc.reading.base import Settings

__all__ = ["check_archive"]

_MOST_PARTS: Final = 20_000
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def check_archive(path: Path, settings: Settings, kind: str) -> None:
    """Refuse what is no archive, what is encrypted, and what unpacks to more than is allowed.

    The sizes are those that the archive gives; no part of it is ever unpacked further than it says there.
    """
    with path.open("rb") as file:
        start = file.read(8)
    if start == _OLE:
        raise Unreadable(
            "unsupported",
            "encrypted",
            f"it is encrypted with a password, or of an older format than {kind}",
            hint=f"save it as {kind} without a password",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Unreadable("unsupported", "broken", f"it is no {kind} file: {error}"[:300]) from error
    if any(part.flag_bits & 1 for part in parts):
        raise Unreadable(
            "unsupported", "encrypted", "parts of it are encrypted", hint="remove the password from the file"
        )
    size = sum(part.file_size for part in parts)
    if size > settings.unpacked_bytes or len(parts) > _MOST_PARTS:
        raise Unreadable(
            "unsupported",
            "too_large",
            f"it unpacks to {size / 2**20:.1f} MB in {len(parts)} parts",
            hint=f"limits.unpacked_mb allows {settings.unpacked_bytes / 2**20:g}",
        )
