"""The processes that take texts out: bounded, kept for the next page, gone at the end."""

from __future__ import annotations

import os
import signal
import sys

import anyio
import pytest
from anyio import Path as AsyncPath

from agentflow_websearch.extraction.pool import Extractors
from agentflow_websearch.failures import WebFailure

PAGE = b"<html><head><title>T</title></head><body><p>Short and simple.</p></body></html>"
#: It takes seconds.
HEAVY = b"<html><body>" + b"<p>word <a href='/x'>more</a> words</p>" * 100_000 + b"</body></html>"


async def extract(extractors: Extractors, html: bytes, url: str = "http://a.example/"):
    return await extractors.extract(
        html, url=url, charset=None, is_cut=False, format="markdown", max_chars=10**6, max_links=10
    )


async def test_pages_are_answered_one_after_the_other_by_one_process():
    async with Extractors(1, timeout_s=30, memory_mb=1024) as extractors:
        for _ in range(3):
            assert (await extract(extractors, PAGE)).text == "Short and simple."
        (worker,) = extractors._idle
        assert worker.runs
    assert not worker.runs


async def test_a_page_that_takes_too_long_is_given_up_and_the_next_one_works():
    async with Extractors(1, timeout_s=0.3, memory_mb=4096) as extractors:
        with pytest.raises(WebFailure, match=r"did not end within 0\.3 s"):
            await extract(extractors, HEAVY)
        assert not extractors._idle
    async with Extractors(1, timeout_s=30, memory_mb=1024) as extractors:
        assert (await extract(extractors, PAGE)).title == "T"


async def test_a_process_has_only_so_much_memory():
    async with Extractors(1, timeout_s=30, memory_mb=512) as extractors:
        await extract(extractors, PAGE)
        limits = await AsyncPath(f"/proc/{extractors._idle[0]._process.pid}/limits").read_text()
        (row,) = [line for line in limits.splitlines() if line.startswith("Max address space")]
        assert row.split()[3] == str(512 << 20)


async def test_a_cancelled_page_ends_its_process():
    async with Extractors(1, timeout_s=60, memory_mb=2048) as extractors:
        await extract(extractors, PAGE)
        (worker,) = extractors._idle
        async with anyio.create_task_group() as group:
            group.start_soon(extract, extractors, HEAVY)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert not worker.runs
        assert (await extract(extractors, PAGE)).title == "T"


async def test_a_process_knows_no_keys(monkeypatch):
    monkeypatch.setenv("SERPER_API_KEY", "very-secret")
    async with Extractors(1, timeout_s=30, memory_mb=1024) as extractors:
        await extract(extractors, PAGE)
        environ = await AsyncPath(f"/proc/{extractors._idle[0]._process.pid}/environ").read_bytes()
        assert b"PATH=" in environ
        assert b"very-secret" not in environ


async def test_a_process_ends_when_its_owner_is_killed():
    owner = """
import anyio, os, signal
from agentflow_websearch.extraction.pool import Extractors

async def main():
    async with Extractors(1, timeout_s=30, memory_mb=1024) as extractors:
        await extractors.extract(
            b"<p>Words.</p>", url="http://a.example/", charset=None, is_cut=False, format="text", max_chars=9, max_links=1
        )
        print(extractors._idle[0]._process.pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""
    process = await anyio.open_process([sys.executable, "-c", owner], stderr=None)
    async with process:
        assert process.stdout is not None
        pid = int(await process.stdout.receive())
        watched = os.pidfd_open(pid)
        try:
            process.send_signal(signal.SIGKILL)
            with anyio.fail_after(30):
                await anyio.wait_readable(watched)
        finally:
            os.close(watched)
