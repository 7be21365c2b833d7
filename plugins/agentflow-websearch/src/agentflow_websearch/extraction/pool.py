"""Keep a few processes that take texts out of pages, each started when it is first needed, ended when it is too slow."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import frozen

from agentflow_websearch.failures import WebFailure

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from anyio.abc import Process

    from agentflow_websearch.providers.base import Format

__all__ = ["Extracted", "Extractors"]

_LENGTHS = struct.Struct(">II")
_LENGTH = struct.Struct(">I")
#: Importing trafilatura takes half a second, on a busy machine much longer.
_START_S = 60.0
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


@frozen(kw_only=True)
class Extracted:
    """What was taken out of a page."""

    title: str
    date: str | None
    text: str
    links: Sequence[tuple[str, str]]  #: text and URL


class Extractors:
    """See the module. Open it with ``async with``; leaving it ends the processes.

    Args:
        most: processes at once; further pages wait.
        timeout_s: for one page.
        memory_mb: of one process.
    """

    def __init__(self, most: int, *, timeout_s: float, memory_mb: int) -> None:
        self._room = anyio.Semaphore(most)
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._idle: list[_Worker] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            while self._idle:
                await self._idle.pop().end()

    async def extract(
        self,
        html: bytes,
        *,
        url: str,
        charset: str | None,
        is_cut: bool,
        format: Format,
        max_chars: int,
        max_links: int,
    ) -> Extracted:
        """The text of a page.

        Args:
            html: its bytes.
            url: where it is.
            charset: what the server says about its characters.
            is_cut: there was more.
            format: ``markdown`` or ``text``.
            max_chars: of the text.
            max_links: how many links.

        Raises:
            WebFailure: ``unsupported``: it takes too long or too much memory, or cannot be read.
        """
        header = {
            "url": url,
            "charset": charset,
            "is_cut": is_cut,
            "format": format,
            "max_chars": max_chars,
            "max_links": max_links,
            "timeout_s": self._timeout_s,
        }
        async with self._room:
            worker = await self._worker()
            is_fit = False
            try:
                answer = await worker.ask(json.dumps(header).encode(), html)
                is_fit = "page" in answer
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError) as error:
                raise _hopeless(url, f"taking its text out did not end within {self._timeout_s:g} s") from error
            finally:
                if is_fit:
                    self._idle.append(worker)
                else:
                    await worker.end()
        if not is_fit:
            raise _hopeless(url, f"its text cannot be taken out: {answer.get('failed', '')}")
        page = answer["page"]
        links = [(text, to) for text, to in page["links"]]
        return Extracted(title=page["title"], date=page["date"], text=page["text"], links=links)

    async def _worker(self) -> _Worker:
        """An idle process that still runs, or a new one."""
        while self._idle:
            worker = self._idle.pop()
            if worker.runs:
                return worker
            await worker.end()
        return await _Worker.start(self._memory_mb)


def _hopeless(url: str, why: str) -> WebFailure:
    return WebFailure("unsupported", f"{url}: {why}", hint="choose another page")


class _Worker:
    """One process, which answers one page after the other."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = BufferedByteReceiveStream(process.stdout)

    @property
    def runs(self) -> bool:
        return self._process.returncode is None

    @classmethod
    async def start(cls, memory_mb: int) -> _Worker:
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", "agentflow_websearch.extraction.process", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        )
        worker = cls(process)
        try:
            with anyio.fail_after(_START_S):
                await worker._answer()
        except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead) as error:
            await worker.end()
            raise WebFailure(
                "provider_unavailable",
                "the process that takes texts out does not start",
                hint="pip install --upgrade agentflow-websearch, and look at local.extract_memory_mb",
            ) from error
        except BaseException:
            await worker.end()
            raise
        return worker

    async def ask(self, header: bytes, body: bytes) -> dict[str, Any]:
        await self._input.send(_LENGTHS.pack(len(header), len(body)) + header + body)
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        (size,) = _LENGTH.unpack(await self._output.receive_exactly(_LENGTH.size))
        value: dict[str, Any] = orjson.loads(await self._output.receive_exactly(size))
        return value

    async def end(self) -> None:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.aclose()
