"""Documents: the first search over a PDF of 300 pages, later ones, and what it takes; beside PDFium alone.

Run: python bench/doc.py        (needs reportlab)
"""

from __future__ import annotations

import importlib
import os
import random
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_doc.backend import DocBackend
from agentflow_doc.config import DocConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGES, TABLES, AGAIN = 300, 60, 50
QUERY = {"query": "how much did the walrus of Quillmere weigh"}
BARE = """
import sys, time
import pypdfium2
began = time.perf_counter()
document = pypdfium2.PdfDocument(sys.argv[1])
for page in document:
    page.get_textpage().get_text_range()
print(time.perf_counter() - began)
"""


def make(path: Path, pages: int) -> None:
    """A book of invented words, some pages with a ruled table; the walrus stands in the middle."""
    canvas = importlib.import_module("reportlab.pdfgen.canvas")
    rng = random.Random(7)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in "aeiou"]
    words = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(4000)]
    drawn = canvas.Canvas(str(path), pagesize=(595, 842), invariant=1)
    for page in range(1, pages + 1):
        drawn.setFont("Helvetica-Bold", 16)
        drawn.drawString(60, 790, f"Chapter {page} {rng.choice(words)}")
        drawn.setFont("Helvetica", 10)
        for line in range(46):
            drawn.drawString(60, 765 - 14 * line, " ".join(rng.choices(words, k=11)))
        if page == pages // 2:
            drawn.drawString(60, 100, "The walrus of Quillmere weighed 1312 kilograms.")
        if page <= TABLES:
            for row in range(6):
                drawn.line(60, 20 + row * 10, 500, 20 + row * 10)
            for across in (60, 200, 350, 500):
                drawn.line(across, 20, across, 70)
            for row in range(5):
                for column, across in enumerate((62, 202, 352)):
                    drawn.drawString(across, 22 + row * 10, f"cell {page} {row} {column}")
        drawn.showPage()
    drawn.save()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Sandbox, DocBackend]]:
    backend = DocBackend(DocConfig(documents=str(folder / "documents")))
    config = SandboxConfig(state_dir=folder / "state")
    async with Sandbox(catalog=Catalog.of(doc=lambda: backend), config=config) as sandbox:
        yield sandbox, backend


async def search(sandbox: Sandbox) -> float:
    began = perf_counter()
    found = await sandbox.execute("doc:search", QUERY)
    took = perf_counter() - began
    assert "1312 kilograms" in found.data["hits"][0]["text"], found.text[:300]
    return took


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "documents" / "book.pdf"
        path.parent.mkdir()
        make(path, PAGES)
        bare = float((await anyio.run_process([sys.executable, "-c", BARE, str(path)])).stdout)
        async with opened(folder) as (sandbox, backend):
            first = await search(sandbox)
            peak = max(map(peak_of, processes(backend)))
            cpu = max(map(cpu_of, processes(backend)))
            later = [await search(sandbox) for _ in range(AGAIN)]
            began = perf_counter()
            await sandbox.execute("doc:page_image", {"doc": "book.pdf", "page": 150})
            drawn = perf_counter() - began
        async with opened(folder) as (sandbox, _):
            restarted = await search(sandbox)
    p95 = statistics.quantiles(later, n=20)[-1]
    print(
        f"first search over {PAGES} pages  {first:6.2f} s   (at most 5;  PDFium's text alone {bare:.2f} s, × {first / bare:.1f})"
    )
    print(f"processor time of it       {cpu:6.2f} s")
    print(f"memory of the process      {peak / 2**20:6.0f} MiB (at most 500)")
    print(
        f"later searches             p50 {statistics.median(later) * 1e3:.1f} ms  p95 {p95 * 1e3:.1f} ms (at most 100)"
    )
    print(f"first after a restart      {restarted * 1e3:6.1f} ms (at most 100)")
    print(f"image of a page            {drawn * 1e3:6.1f} ms")


def processes(backend: DocBackend) -> list[int]:
    """The processes that read files; they are all idle after a call."""
    assert backend._library is not None
    return [worker._process.pid for worker in backend._library._workers._idle]


def cpu_of(pid: int) -> float:
    """Seconds that the process computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(pid: int) -> int:
    """The most memory that the process had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    anyio.run(main)
