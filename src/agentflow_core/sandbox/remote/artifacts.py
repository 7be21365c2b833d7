"""Artifacts of remote results: read from the server that has them, kept in a store where there is one."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

import anyio.to_thread

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore
    from agentflow_core.records import ToolResult
    from agentflow_core.sandbox.remote.fleet import Fleet, Server

__all__ = ["Artifacts"]

_log = logging.getLogger("agentflow_core.sandbox")
_REMEMBERED = 10_000


class Artifacts:
    """Finds artifacts on the servers of a fleet, and copies those of results into a store.

    Args:
        fleet: the servers.
        store: gets every artifact of a result, so that what refers to it can be read when the server is gone.
    """

    def __init__(self, fleet: Fleet, store: BlobStore | None) -> None:
        self._fleet = fleet
        self._store = store
        self._homes: OrderedDict[str, Server] = OrderedDict()

    async def kept(self, result: ToolResult, server: Server) -> ToolResult:
        """The result, once its artifacts are in the store."""
        for artifact in result.artifacts:
            self._homes[artifact.sha256] = server
            self._homes.move_to_end(artifact.sha256)
            if len(self._homes) > _REMEMBERED:
                self._homes.popitem(last=False)
            if self._store is not None and artifact.sha256 not in self._store:
                try:
                    data = await self._whole(result, artifact.sha256)
                except SandboxError as error:
                    _log.warning("an artifact of %s could not be kept: %s", result.tool, error.message)
                else:
                    await anyio.to_thread.run_sync(self._store.put, data)
        return result

    async def _whole(self, result: ToolResult, sha256: str) -> bytes:
        if result.truncation is not None and result.truncation.artifact == sha256:
            text = result.text.encode("utf-8")  # it came with the result
            if hashlib.sha256(text).hexdigest() == sha256:
                return text
        return await self.fetch(sha256)

    async def fetch(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``[start, end)`` of the artifact, from the server that has it.

        Raises:
            SandboxError: no server has it (code ``not_found``).
        """
        home = self._homes.get(sha256)
        servers = self._fleet.up() if home is None or home.is_down else [home]
        missing: SandboxError | None = None
        for server in servers:
            try:
                return await server.routes.artifact(sha256, start, end)
            except SandboxError as error:
                if error.code not in ("not_found", "invalid_argument"):
                    raise
                missing = error
        raise SandboxError(f"no artifact {sha256[:80]!r}", code="not_found") from missing

    async def read(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The same, from the store if it is there."""
        if self._store is not None and len(sha256) == 64 and sha256.isalnum() and sha256 in self._store:
            return (await anyio.to_thread.run_sync(self._store.get, sha256))[start:end]
        return await self.fetch(sha256, start, end)
