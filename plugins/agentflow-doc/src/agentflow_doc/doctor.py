"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version

import anyio
import anyio.to_thread

__all__ = ["check_formats"]

_LIBRARIES = {
    "pypdfium2": "PDF",
    "pdfplumber": "tables of PDF",
    "python-docx": "DOCX",
    "python-pptx": "PPTX",
    "trafilatura": "HTML",
    "pillow": "images",
}


async def check_formats() -> tuple[bool, str]:
    """Whether all formats can be read, and scans too."""
    works, said = await anyio.to_thread.run_sync(_libraries)
    return works, f"{'; '.join(said)}; {await _tesseract()}"


def _libraries() -> tuple[bool, list[str]]:
    works = True
    said = []
    for name, kind in _LIBRARIES.items():
        try:
            said.append(f"{kind} by {name} {version(name)}")
        except PackageNotFoundError:
            works = False
            said.append(f"{kind}: not installed (pip install {name})")
    return works, said


async def _tesseract() -> str:
    program = shutil.which("tesseract")
    if program is None:
        return "scans cannot be read (apt-get install tesseract-ocr)"
    ran = await anyio.run_process([program, "--list-langs"], check=False)
    languages = ran.stdout.decode("utf-8", "replace").split("\n")[1:]
    return f"scans by tesseract in {', '.join(sorted(line for line in languages if line)) or 'no language'}"
