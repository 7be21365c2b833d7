"""A container a session, of an image that serves RFB: other people's desktops."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from anyio import CancelScope

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.docker import LABEL, connect
from agentflow_core.sandbox.launchers.ledger import Taken
from agentflow_vm.machines.docker_entering import connect_inside
from agentflow_vm.machines.settings import SessionSettings, argv_of
from agentflow_vm.machines.shell_guest import ClippingGuest, Executed, ShellGuest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import ByteStream

    from agentflow_vm.machines.docker_config import DockerConfig
    from agentflow_vm.machines.machine import Guest, Machine, MachineContext, Still

__all__ = ["DockerMachine"]

#: A container tells nobody when it serves.
_LOOK_S: Final = 0.1
_GRACE_S: Final = 10.0
_STDERR: Final = 2
_HEADER_BYTES: Final = 8
#: Of the outputs of one program.
_OUTPUT_BYTES: Final = 16 << 20

T = TypeVar("T")


class DockerMachine:
    """See `agentflow_vm.machines.machine.Machine`."""

    kind = "docker"
    has_snapshots = False
    has_stills = False

    def __init__(self, config: DockerConfig, context: MachineContext) -> None:
        self.password = config.password
        self.unicode: Literal["keysym", "clipboard", "none"] = config.unicode
        self.guest: Guest | None = None
        self.programs = config.programs
        self._config = config
        self._context = context
        self._settings = SessionSettings.of(context.settings)
        self._client: Any = None
        self._name = ""
        self._pid = 0
        self._address = ""
        self._stack = AsyncExitStack()

    async def _call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Ask the engine from a thread."""
        return await anyio.to_thread.run_sync(partial(function, *arguments, **options))

    async def start(self) -> None:
        """See `Machine.start`."""
        self._check_engine(os.environ.get("DOCKER_HOST", ""))
        async with AsyncExitStack() as stack:
            self._client = await self._call(connect)
            stack.callback(self._client.close)
            import docker  # it is there, else nothing had connected

            try:
                await self._run(stack)
            except docker.errors.ImageNotFound as error:
                raise SandboxError(
                    f"the Docker engine has no image {self._config.image!r}",
                    code="provider_unavailable",
                    hint=f"docker pull {self._config.image}",
                ) from error
            except docker.errors.DockerException as error:
                raise SandboxError(f"the container could not start: {error}", code="internal") from error
            await self._serves()
            self.guest = (ClippingGuest if self.unicode == "clipboard" else ShellGuest)(self._execute)
            self._stack = stack.pop_all()

    def _check_engine(self, host: str) -> None:
        """Refuse an engine into whose containers' network this machine has no way."""
        where = urlsplit(host)
        if self._config.network == "none" and where.hostname not in (None, "localhost", "127.0.0.1", "::1"):
            raise SandboxError(
                f"the Docker engine {host!r} runs on another machine, where the display of a container without a "
                "network is not reached",
                code="unsupported",
                hint="set docker.network: bridge if that network can be reached from here, or unset DOCKER_HOST",
            )

    async def _run(self, stack: AsyncExitStack) -> None:
        """Make and start the container, written down before so that it ends with this process in any case."""
        readable = "".join(char if char.isalnum() else "-" for char in self._context.session_id)[:32].strip("-")
        self._name = f"{readable or 'vm'}-{secrets.token_hex(6)}"
        ledger = self._context.backend.ledger()
        ledger.take(Taken(session=self._name, launcher="docker", container=self._name))
        stack.callback(ledger.give_back, self._name)
        stack.push_async_callback(self._removed)
        api = self._client.api
        with CancelScope(shield=True):  # a container whose making was given up would be made all the same
            await self._call(api.create_container, **self._container())
            await self._call(api.start, self._name)
        state = await self._call(api.inspect_container, self._name)
        self._pid = int(state["State"]["Pid"])
        networks = state["NetworkSettings"].get("Networks") or {}
        self._address = str(networks.get(self._config.network, {}).get("IPAddress") or "")
        if self._config.network == "bridge" and not self._address and state["State"]["Running"]:
            raise SandboxError(
                "the Docker engine gave the container no address in the network 'bridge'",
                code="provider_unavailable",
                hint="run the engine with its bridge (without --bridge=none), or set docker.network: none",
            )

    def _container(self) -> dict[str, Any]:
        limits = self._config.limits
        host = self._client.api.create_host_config(
            ipc_mode="private",
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            nano_cpus=int(limits.cpus * 1e9),
            network_mode=self._config.network,
            pids_limit=limits.pids,
            security_opt=["no-new-privileges"],
            shm_size=limits.tmp_bytes,
        )
        return {
            "image": self._config.image,
            "name": self._name,
            "command": list(self._config.command) or None,
            "environment": dict(self._config.env),
            "labels": {LABEL: self._name},
            "host_config": host,
        }

    async def _removed(self) -> None:
        import docker

        try:
            await self._call(self._client.api.remove_container, self._name, force=True, v=True)
        except docker.errors.NotFound:
            return

    async def _serves(self) -> None:
        """Wait until something answers at the port with the version of its protocol."""
        until = time.monotonic() + self._config.start_s
        while True:
            try:
                stream = await self._connected()
            except PermissionError as error:
                raise SandboxError(
                    "the network of the container cannot be entered",
                    code="provider_unavailable",
                    hint="run the server as root, or set docker.network: bridge",
                ) from error
            except OSError as error:
                why = str(error)
            else:
                async with stream:
                    with anyio.move_on_after(_GRACE_S):
                        if (await stream.receive(12)).startswith(b"RFB "):
                            return
                why = "it does not speak RFB"
            ended = await self.failure()
            if ended or time.monotonic() > until:
                raise SandboxError(
                    f"the container of {self._config.image!r} serves no display at port {self._config.port}: "
                    f"{ended or why}",
                    code="provider_unavailable",
                    hint="set docker.port, docker.command or docker.start_s to what the image needs",
                )
            await anyio.sleep(_LOOK_S)

    async def _connected(self) -> ByteStream:
        if self._config.network == "bridge":
            return await anyio.connect_tcp(self._address, self._config.port)
        connected = await self._call(connect_inside, self._pid, self._config.port)
        return await anyio.abc.SocketStream.from_socket(connected)

    async def begin(self) -> None:
        """See `Machine.begin`."""
        assert self.guest is not None
        for name, text in self._settings.files.items():
            await self.guest.write_file(name, text.encode())
        for app in self._config.apps if self._settings.apps is None else self._settings.apps:
            await self.guest.launch(argv_of(app, self.programs))

    async def connect_display(self) -> ByteStream:
        """See `Machine.connect_display`."""
        try:
            return await self._connected()
        except OSError as error:
            why = await self.failure() or str(error)
            raise SandboxError(f"the display of the container is gone: {why}", code="session_lost") from error

    async def _execute(self, argv: Sequence[str], *, timeout_s: float, given: bytes) -> Executed:
        """See `agentflow_vm.machines.shell_guest.Executor`; the image needs ``timeout``."""
        import docker

        command = ["timeout", "-s", "KILL", str(max(1, round(timeout_s))), *argv]
        try:
            with CancelScope(shield=True):  # its time is bounded in the container
                executed = await self._call(self._executed, command, given, timeout_s + _GRACE_S)
        except (docker.errors.DockerException, OSError) as error:
            why = await self.failure() or str(error)
            raise SandboxError(f"the container runs nothing: {why}", code="session_lost") from error
        return executed

    def _executed(self, command: list[str], given: bytes, timeout_s: float) -> Executed:
        api = self._client.api
        options: dict[str, Any] = {"user": self._config.user, "environment": {"DISPLAY": self._config.display}}
        if self._config.home:
            options["workdir"] = self._config.home
        made = api.exec_create(self._name, command, stdin=bool(given), **options)
        attached = api.exec_start(made["Id"], socket=True)
        below = getattr(attached, "_sock", attached)
        try:
            below.settimeout(timeout_s)
            if given:
                below.sendall(given)
                below.shutdown(socket.SHUT_WR)
            outputs = _outputs(below)
        finally:
            attached.close()
            below.close()
        code = api.exec_inspect(made["Id"])["ExitCode"]
        return Executed(exit_code=128 + 9 if code is None else int(code), stdout=outputs[0], stderr=outputs[1])

    async def still(self) -> Still:
        """Not faster than RFB."""
        raise _unsupported("stills")

    async def snapshot(self, name: str) -> None:
        """Processes cannot be kept."""
        raise _unsupported("snapshots")

    async def restore(self, name: str) -> None:
        """Processes cannot be kept."""
        raise _unsupported("snapshots")

    async def fork(self, context: MachineContext) -> Machine:
        """Processes cannot be copied."""
        raise _unsupported("forks")

    async def failure(self) -> str | None:
        """See `Machine.failure`."""
        import docker

        try:
            state = (await self._call(self._client.api.inspect_container, self._name))["State"]
            if state["Running"]:
                return None
            said = (await self._call(self._client.api.logs, self._name, tail=5)).decode(errors="replace").strip()
        except (docker.errors.DockerException, OSError) as error:
            return f"the container is gone: {error}"
        how = "it took more memory than it may" if state["OOMKilled"] else f"it ended with code {state['ExitCode']}"
        return f"{how}{f': {said}' if said else ''}"

    async def aclose(self) -> None:
        """See `Machine.aclose`."""
        stack, self._stack = self._stack, AsyncExitStack()
        with CancelScope(shield=True):
            await stack.aclose()


def _outputs(connection: socket.socket) -> tuple[bytes, bytes]:
    """Both outputs of a program to their end, taken apart; what is beyond the most that is kept is dropped."""
    kept = (bytearray(), bytearray())
    pending = bytearray()
    while data := connection.recv(1 << 16):
        pending += data
        while len(pending) >= _HEADER_BYTES:
            size = int.from_bytes(pending[4:_HEADER_BYTES], "big")
            if len(pending) < _HEADER_BYTES + size:
                break
            part = pending[_HEADER_BYTES : _HEADER_BYTES + size]
            output = kept[1 if pending[0] == _STDERR else 0]
            output += part[: max(0, _OUTPUT_BYTES - len(output))]
            del pending[: _HEADER_BYTES + size]
    return bytes(kept[0]), bytes(kept[1])


def _unsupported(what: str) -> SandboxError:
    return SandboxError(f"the machine 'docker' has no {what}", code="unsupported", hint="machine: qemu has")
