"""Measure agentflow-websearch: ten slow pages in one call, and page extraction against trafilatura called directly.

    python bench/websearch.py [--pages 10] [--latency-ms 200]

How it counts. *Visit*: a server on loopback answers each page after the latency; one `web:visit` call through an
embedded sandbox reads all of them (fetch, guard, extraction in its processes, envelope); best and p50 of five calls,
of which each asks for other pages. A call before them starts the processes. *Extraction*: pages of 5 to 60 kB; direct:
`trafilatura.extract` with the same options in this process; ours: through the pool of processes, bytes in, text, title
and links out; median over pages of the best of 15 of each, since what else the machine does only ever adds. Both
take one page at a time. On a busy machine look at what is computed, in both processes together: the clock also counts
how long each waits for its turn.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import anyio
import trafilatura

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_websearch.backend import WebBackend
from agentflow_websearch.config import LocalConfig, WebConfig
from agentflow_websearch.extraction.pool import Extractors
from agentflow_websearch.small_web import Heard, Reply, SmallWeb

ROUNDS = 5
WORDS = [
    "river",
    "town",
    "bridge",
    "market",
    "tower",
    "harbour",
    "library",
    "museum",
    "garden",
    "station",
    "valley",
    "summit",
    "festival",
    "archive",
]


def page(seed: int, paragraphs: int) -> bytes:
    """A page with a menu, an article, a table and a footer."""
    rng = random.Random(seed)

    def sentence() -> str:
        return f"The {rng.choice(WORDS)} {' '.join(rng.choices(WORDS, k=12))} in {rng.randint(1200, 2020)}."

    menu = "".join(f'<li><a href="/m/{n}">{rng.choice(WORDS)}</a></li>' for n in range(20))
    body = "".join(
        f"<h2>{rng.choice(WORDS).title()}</h2><p>{' '.join(sentence() for _ in range(6))} "
        f'<a href="/p/{rng.randint(0, 999)}">{rng.choice(WORDS)}</a></p>'
        for _ in range(paragraphs)
    )
    rows = "".join(f"<tr><td>{rng.choice(WORDS)}</td><td>{rng.randint(0, 9999)}</td></tr>" for _ in range(10))
    return (
        f"<html><head><title>Page {seed}</title></head><body><nav><ul>{menu}</ul></nav><article><h1>Page {seed}</h1>"
        f"{body}<table>{rows}</table></article><footer><a href='/imprint'>Imprint</a></footer></body></html>"
    ).encode()


async def visits(pages: int, latency_s: float) -> tuple[float, float]:
    """Best and p50 of a call that reads so many pages, in milliseconds."""

    bodies = [page(number, 8) for number in range(pages)]

    async def answer(heard: Heard) -> Reply:
        await anyio.sleep(latency_s)
        return Reply(body=bodies[int(heard.path.rpartition("/")[2])])

    async with SmallWeb(answer) as web:
        config = WebConfig(visit=("local",), allow_hosts=(web.host,), local=LocalConfig(extractors=os.cpu_count() or 1))
        catalog = Catalog.of(web=lambda: WebBackend(config))
        with tempfile.TemporaryDirectory() as folder:
            async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=Path(folder))) as sandbox:
                taken = []
                for number in range(-1, ROUNDS):
                    urls = [f"{web.url}/{number}/{each}" for each in range(pages)]
                    began = time.perf_counter()
                    result = await sandbox.execute("web:visit", {"urls": urls})
                    if number >= 0:
                        taken.append(time.perf_counter() - began)
                    assert len(result.data["pages"]) == pages, result.text
    return 1000 * min(taken), 1000 * statistics.median(taken)


def cpu_s(pid: int) -> float:
    """Seconds that a process has computed, by the clock that the kernel keeps for it (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


def direct(html: bytes) -> None:
    trafilatura.extract(
        html.decode(),
        url="http://bench.test/",
        output_format="markdown",
        include_comments=False,
        include_tables=True,
    )


async def extraction() -> tuple[float, float]:
    """Ours over trafilatura called directly, medians over pages: by the clock, and by what both processes compute."""
    pages = [page(seed, paragraphs) for seed, paragraphs in enumerate((8, 20, 40, 60, 80))]
    by_clock, by_cpu = [], []
    async with Extractors(1, timeout_s=60, memory_mb=1024) as extractors:

        async def ask(html: bytes) -> None:
            await extractors.extract(
                html,
                url="http://bench.test/",
                charset="utf-8",
                is_cut=False,
                format="markdown",
                max_chars=10**6,
                max_links=100,
            )

        await ask(pages[0])
        pids = (os.getpid(), extractors._idle[0]._process.pid)
        for html in pages:
            ours, theirs = [], []
            for _ in range(15):  # in turn, so that what else the machine does meets both
                began, computed = time.perf_counter(), sum(map(cpu_s, pids))
                await ask(html)
                ours.append((time.perf_counter() - began, sum(map(cpu_s, pids)) - computed))
                began, computed = time.perf_counter(), cpu_s(pids[0])
                direct(html)
                theirs.append((time.perf_counter() - began, cpu_s(pids[0]) - computed))
            (clock, cpu), (their_clock, their_cpu) = (map(min, zip(*each, strict=True)) for each in (ours, theirs))
            by_clock.append(clock / their_clock)
            by_cpu.append(cpu / their_cpu)
            print(
                f"extract {len(html) / 1000:5.1f} kB   ours {1000 * clock:5.1f} ms, direct {1000 * their_clock:5.1f} ms: "
                f"{by_clock[-1]:.2f}   computing {1000 * cpu:5.1f} ms, {1000 * their_cpu:5.1f} ms: {by_cpu[-1]:.2f}"
            )
    return statistics.median(by_clock), statistics.median(by_cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--latency-ms", type=float, default=200.0)
    arguments = parser.parse_args()
    best_ms, p50_ms = anyio.run(visits, arguments.pages, arguments.latency_ms / 1000)
    print(
        f"web:visit {arguments.pages} pages of {arguments.latency_ms:g} ms latency: "
        f"best {best_ms:.0f} ms, p50 {p50_ms:.0f} ms (wanted: < 300)"
    )
    clock, cpu = anyio.run(extraction)
    print(f"extraction / trafilatura called directly: {clock:.2f} by the clock, {cpu:.2f} computing (wanted: <= 1.2)")


if __name__ == "__main__":
    main()
