"""Which reader opens which file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentflow_doc.reading.failures import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_doc.reading.base import Reader, Settings

__all__ = ["open_reader"]

_MEGABYTE: Final = 2**20


def open_reader(path: Path, kind: str, settings: Settings) -> Reader:
    """Open a file.

    Raises:
        Unreadable: it is not what its name says, encrypted, or larger than allowed.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Unreadable("not_found", "missing", f"the file cannot be opened: {error.strerror}") from error
    if size > settings.file_bytes:
        allowed = settings.file_bytes / _MEGABYTE
        raise Unreadable(
            "unsupported",
            "too_large",
            f"the file has {size / _MEGABYTE:.1f} MB",
            hint=f"limits.file_mb allows {allowed:g}",
        )
    if not size:
        raise Unreadable("unsupported", "empty", "the file is empty")
    if kind == "pdf":
        from agentflow_doc.reading.pdf import PdfReader

        return PdfReader(path, settings)
    if kind == "docx":
        from agentflow_doc.reading.word import WordReader

        return WordReader(path, settings)
    if kind == "pptx":
        from agentflow_doc.reading.slides import SlidesReader

        return SlidesReader(path, settings)
    if kind == "html":
        from agentflow_doc.reading.web import WebReader

        return WebReader(path, settings)
    from agentflow_doc.reading.images import ImageReader

    return ImageReader(path, settings)
