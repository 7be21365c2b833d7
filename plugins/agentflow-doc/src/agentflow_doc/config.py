"""What a user says about documents: the ``backends: {doc: …}`` part of a configuration."""

from __future__ import annotations

from attrs import frozen

from agentflow_core.config import option

__all__ = ["DocConfig", "DocLimits", "OcrConfig"]


@frozen(kw_only=True)
class OcrConfig:
    """How pages without text are read: with the program ``tesseract``, where it is installed."""

    enabled: bool = option(True, help="read scanned pages and images with tesseract, where it is installed")
    languages: str = option("eng", help="what tesseract is to expect, such as eng+deu")
    pages: int = option(
        30, help="scanned pages of one document that are read for searching; others are read when asked for", at_least=0
    )


@frozen(kw_only=True)
class DocLimits:
    """What reading one document may take. A document that needs more is refused; the others still work."""

    file_mb: float = option(512, help="size of a file", at_least=0.001)
    unpacked_mb: float = option(512, help="size of what a DOCX or PPTX unpacks to", at_least=0.001)
    pages: int = option(2000, help="pages that are read of one document; those behind are left out", at_least=1)
    pixels: int = option(80_000_000, help="pixels of an image file", at_least=1)
    memory_mb: int = option(1024, help="address space of a process that reads files", at_least=256)
    parse_s: float = option(120.0, help="seconds for reading one document at first", at_least=0.1)
    call_s: float = option(45.0, help="seconds for rendering an image, or for the tables of a page", at_least=0.1)


@frozen(kw_only=True)
class DocConfig:
    """Which documents there are, and how they are read."""

    documents: str | tuple[str, ...] = option(
        (), help="a folder, a file or a pattern such as reports/**/*.pdf, or several; default: the sample", path=True
    )
    ocr: OcrConfig = option(OcrConfig(), help="how scanned pages are read")
    table_pages: int = option(
        24,
        help="pages with ruled lines whose tables and charts are found for searching; others when asked for",
        at_least=0,
    )
    limits: DocLimits = option(DocLimits(), help="what reading one document may take")
    processes: int = option(2, help="documents that are read at once", at_least=1, at_most=64, operational=True)
