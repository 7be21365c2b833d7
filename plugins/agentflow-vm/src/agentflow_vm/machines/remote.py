"""A machine that is there already, whose display somebody else serves: it is looked at, and neither started nor ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import anyio

from agentflow_core.errors import SandboxError
from agentflow_vm.machines.settings import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import ByteStream

    from agentflow_vm.machines.machine import Guest, Machine, MachineContext, Still
    from agentflow_vm.machines.remote_config import RemoteConfig

__all__ = ["RemoteMachine"]

_CONNECT_S = 15.0


class RemoteMachine:
    """See `agentflow_vm.machines.machine.Machine`. Sessions share the display, as people who look at it do."""

    kind = "remote"
    has_snapshots = False
    has_stills = False

    def __init__(self, config: RemoteConfig, context: MachineContext) -> None:
        settings = SessionSettings.of(context.settings)
        if settings.apps or settings.files:
            raise SandboxError(
                "a remote machine has no way in for apps and files",
                code="invalid_argument",
                hint="leave them out, or use the machine xvnc or qemu",
            )
        self.password = config.password
        self.unicode: Literal["keysym", "clipboard", "none"] = config.unicode
        self.guest: Guest | None = None
        self.programs: Mapping[str, str] = {}
        self._config = config
        self._lost: str | None = None

    async def start(self) -> None:
        """See `Machine.start`: its display is tried once."""
        await (await self._connected("provider_unavailable")).aclose()

    async def begin(self) -> None:
        """See `Machine.begin`: nothing is started here."""

    async def connect_display(self) -> ByteStream:
        """See `Machine.connect_display`."""
        return await self._connected("session_lost")

    async def _connected(self, code: str) -> ByteStream:
        host, port = self._config.host or "", self._config.port
        try:
            with anyio.fail_after(_CONNECT_S):
                stream = await anyio.connect_tcp(host, port)
        except (OSError, TimeoutError) as error:
            why = str(error) or f"it did not answer within {_CONNECT_S:g} s"
            self._lost = f"{host}:{port} cannot be connected to: {why}"
            raise SandboxError(
                self._lost, code=code, hint="see whether a VNC server listens there; remote.port is 5900 + the display"
            ) from error
        self._lost = None
        return stream

    async def still(self) -> Still:
        """Not faster than RFB."""
        raise _unsupported("stills")

    async def snapshot(self, name: str) -> None:
        """It is not ours."""
        raise _unsupported("snapshots")

    async def restore(self, name: str) -> None:
        """It is not ours."""
        raise _unsupported("snapshots")

    async def fork(self, context: MachineContext) -> Machine:
        """It is not ours."""
        raise _unsupported("forks")

    async def failure(self) -> str | None:
        """See `Machine.failure`: why it could not be connected to, the last time."""
        return self._lost

    async def aclose(self) -> None:
        """See `Machine.aclose`."""


def _unsupported(what: str) -> SandboxError:
    return SandboxError(f"the machine 'remote' has no {what}", code="unsupported", hint="machine: qemu has")
