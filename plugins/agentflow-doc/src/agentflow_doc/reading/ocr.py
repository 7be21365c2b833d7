"""Read the text on an image with the program tesseract."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from typing import TYPE_CHECKING, Final

from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.records import Block, union

if TYPE_CHECKING:
    from agentflow_doc.reading.base import Settings
    from agentflow_doc.records import Box

__all__ = ["OCR_DPI", "read_text"]

OCR_DPI: Final = 200.0
#: Words of which tesseract is less sure, in percent, are left out.
_SURE: Final = 30.0


def read_text(png: bytes, scale: float, settings: Settings) -> list[Block]:
    """The paragraphs on an image in tesseract's order.

    Args:
        png: the image.
        scale: the size of a pixel in the page's units.
        settings: which program, and in which languages.

    Raises:
        Unreadable: the program fails, or takes longer than a call may.
    """
    command = [settings.tesseract, "stdin", "stdout", "-l", settings.ocr_languages, "--psm", "3", "tsv"]
    environ = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        ran = subprocess.run(command, input=png, capture_output=True, timeout=settings.call_s, env=environ, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unreadable("timeout", "timeout", f"tesseract took longer than {settings.call_s:g} s") from error
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unreadable("unsupported", "broken", f"tesseract failed: {said[-1] if said else ran.returncode}"[:300])
    return _paragraphs(ran.stdout.decode("utf-8", "replace"), scale)


def _paragraphs(table: str, scale: float) -> list[Block]:
    held: dict[tuple[str, str], list[tuple[str, Box]]] = {}
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = (row.get("text") or "").strip()
        if row.get("level") != "5" or not text or float(row["conf"]) < _SURE:
            continue
        left, top = int(row["left"]), int(row["top"])
        right, bottom = left + int(row["width"]), top + int(row["height"])
        box = (round(left * scale, 1), round(top * scale, 1), round(right * scale, 1), round(bottom * scale, 1))
        held.setdefault((row["block_num"], row["par_num"]), []).append((text, box))
    return [
        Block(kind="text", text=" ".join(text for text, _ in words), box=union(box for _, box in words))
        for words in held.values()
    ]
