"""The browser processes of a server: one that takes new sessions, and older ones that are drained and then ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from agentflow_browser.processes import BrowserProcess, ways
from agentflow_core.errors import SandboxError
from agentflow_core.records.events import Notice

if TYPE_CHECKING:
    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.processes import Way
    from agentflow_core.sandbox.backend import BackendContext

__all__ = ["Browsers"]

_log = logging.getLogger("agentflow_browser")


class Browsers:
    """See the module."""

    def __init__(self, config: BrowserConfig, context: BackendContext) -> None:
        self._config = config
        self._context = context
        self._ways: list[Way] = ways(config)
        self._current: BrowserProcess | None = None
        self._all: set[BrowserProcess] = set()
        self._count = 0
        self._starting = anyio.Lock()

    async def warm(self) -> None:
        """Have a browser ready.

        Raises:
            SandboxError: ``provider_unavailable``: none starts.
        """
        async with self._starting:
            if self._current is None or not self._takes_more(self._current):
                await self._replace()

    async def lease(self) -> BrowserProcess:
        """A browser for one more session, to be given back by `release`; raises as `warm`."""
        async with self._starting:
            if self._current is None or not self._takes_more(self._current):
                await self._replace()
            process = self._current
            assert process is not None
            process.sessions += 1
            process.served += 1
            return process

    async def release(self, process: BrowserProcess) -> None:
        """One session less; a browser that takes no more, and was the last one's, ends."""
        process.sessions -= 1
        if process.sessions == 0 and (process is not self._current or not process.is_alive):
            await self._end(process)

    async def aclose(self) -> None:
        """End them all."""
        self._current = None
        for process in list(self._all):
            await self._end(process)

    def _takes_more(self, process: BrowserProcess) -> bool:
        age = anyio.current_time() - process.began
        return (
            process.is_alive and process.served < self._config.contexts_per_browser and age < self._config.browser_age_s
        )

    async def _replace(self) -> None:
        old, self._current = self._current, None
        self._current = await self._start()
        if old is not None and old.sessions == 0:
            await self._end(old)

    async def _start(self) -> BrowserProcess:
        """Start one the best way that works, which is remembered."""
        while True:
            way = self._ways[0]
            self._count += 1
            try:
                process = await BrowserProcess.start(self._count, way, self._config, self._context)
            except SandboxError as error:
                if len(self._ways) == 1:
                    raise
                self._ways = self._ways[1:]
                self._tell(way, error)
            else:
                self._all.add(process)
                return process

    def _tell(self, way: Way, error: SandboxError) -> None:
        lost = []
        if way.has_sandbox and not self._ways[0].has_sandbox:
            lost.append("without Chromium's own sandbox")
        if way.is_confined and not self._ways[0].is_confined:
            lost.append("as the user of the server")
        if lost:
            message = f"browser: runs {' and '.join(lost)}, since it would not start otherwise: {error.message}"
            self._context.observe(Notice(message=message, level="warning"))

    async def _end(self, process: BrowserProcess) -> None:
        if process in self._all:
            self._all.discard(process)
            if self._current is process:
                self._current = None
            await process.aclose()
