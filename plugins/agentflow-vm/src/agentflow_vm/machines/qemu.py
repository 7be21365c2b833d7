"""A whole machine a session: QEMU over an image that is not written to, confined, with states that are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import anyio.abc
import anyio.to_thread
from anyio import CancelScope

from agentflow_core.errors import SandboxError
from agentflow_core.records.events import Notice
from agentflow_core.sandbox.beneath import Beneath
from agentflow_core.sandbox.launchers import Bind, LaunchSpec, Limits, Network
from agentflow_core.sandbox.launchers.bare import BareLauncher
from agentflow_vm.image.images import READY, image_of
from agentflow_vm.machines.accel import Accel, accel_of
from agentflow_vm.machines.guest_agent import GuestAgent
from agentflow_vm.machines.machine import Guest, Machine, MachineContext, Still
from agentflow_vm.machines.qemu_arguments import (
    AGENT_SOCKET,
    MONITOR_SOCKET,
    NODE,
    OVERLAY,
    VNC_SOCKET,
    QemuArguments,
)
from agentflow_vm.machines.qmp import Qmp, connect_beneath
from agentflow_vm.machines.settings import SessionSettings, argv_of
from agentflow_vm.machines.shell_guest import ClippingGuest
from agentflow_vm.machines.sockets import UnixListener, UnixStream

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_core.sandbox.launchers import Confined
    from agentflow_vm.image.images import Image
    from agentflow_vm.machines.qemu_config import QemuConfig

__all__ = ["QemuMachine"]

MIB: Final = 1024 * 1024
_INSTALL: Final = "apt-get install qemu-system-x86 qemu-utils"
#: Seconds in which QEMU has read its arguments and connected to us, and in which a state is loaded.
_START_S: Final = 60.0
#: Seconds in which it ends when it has closed its sockets.
_END_S: Final = 10.0
#: Seconds in which an agent whose state was kept answers again.
_AGENT_S: Final = 30.0
#: Before the command line where nothing else ends QEMU with this process.
_DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL", "--")
_FORK: Final = "fork"
_STILL: Final = "still.ppm"
_PIDS: Final = 128
_SAID_BYTES: Final = 4000
_CONSOLE_BYTES: Final = 65536
_INSIDE: Final = "/image"


class QemuMachine:
    """See `agentflow_vm.machines.machine.Machine`.

    Args:
        config: the settings.
        context: what machines are made with; of its ``settings`` none is known.
        image: what it starts from, where that is not the one that the configuration names.
    """

    kind = "qemu"
    has_snapshots = True
    has_stills = True

    def __init__(self, config: QemuConfig, context: MachineContext, *, image: Image | None = None) -> None:
        self.password: str | None = None
        self.guest: Guest | None = None
        self.unicode: Literal["keysym", "clipboard", "none"] = "none"
        self.programs = config.programs
        self._config = config
        self._context = context
        self._settings = SessionSettings.of(context.settings)
        self._image = image
        self._accel: Accel = "tcg"
        self._workspace: Path | None = None
        self._kept: dict[str, str] = {}  # name → tag
        self._tags = 0
        self._jobs = 0
        self._said = ""
        self._stills = anyio.Lock()
        self._confined: Confined | None = None
        self._qmp: Qmp | None = None
        self._agent: Qmp | None = None
        self._programs: GuestAgent | None = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """See `Machine.start`."""
        image = await anyio.to_thread.run_sync(image_of, self._config) if self._image is None else self._image
        self._image = image
        self._accel = self._accel_for(image)
        goes_on = image.state is not None and image.accel == self._accel
        async with AsyncExitStack() as stack:
            self._workspace = await stack.enter_async_context(self._context.backend.workspace(self._context.session_id))
            if image.state is not None and goes_on:
                await _copy(image.state, self.folder / OVERLAY)
            else:
                await _new_overlay(image, self.folder / OVERLAY)
            await self._run(stack, READY if goes_on else None, hint=_rebuild(image))
            self._stack = stack.pop_all()

    def _accel_for(self, image: Image) -> Accel:
        if self._config.accel == "auto" and image.state is not None and image.accel in ("kvm", "tcg"):
            return accel_of("tcg" if image.accel == "tcg" else "auto")
        return accel_of(self._config.accel)

    async def _run(self, stack: AsyncExitStack, state: str | None, *, hint: str = "") -> None:
        """Start QEMU in the workspace, whose overlay is there, and wait until it runs."""
        image = self._known()
        monitor = UnixListener(self.folder, MONITOR_SOCKET)
        stack.callback(monitor.close)
        agent = UnixListener(self.folder, AGENT_SOCKET)
        stack.callback(agent.close)
        self._confined = await self._launched(stack, state)
        try:
            with anyio.fail_after(_START_S):
                self._qmp = Qmp(await stack.enter_async_context(await self._came(monitor, hint)))
                await self._qmp.greet()
                if image.guest_agent:
                    stream = await stack.enter_async_context(await self._came(agent, hint))
                    self._agent = Qmp(stream, name="the machine's agent")
        except TimeoutError as error:
            raise SandboxError(f"QEMU did not begin within {_START_S:g} s", code="internal") from error
        except SandboxError as error:
            if error.code != "session_lost":
                raise
            with anyio.move_on_after(_END_S):
                await self._confined.wait()
            raise self._not_started(await self.failure() or error.message, hint) from error
        if self._agent is not None:
            await self._let_in(self._agent, self._config.boot_s if state is None else _AGENT_S)
        if state is not None:
            await self._set_clock()

    async def _let_in(self, agent: Qmp, seconds: float) -> None:
        """Wait for the agent in the machine; with it there is a way in."""
        try:
            with anyio.fail_after(seconds):
                await agent.synchronize()
        except TimeoutError as error:
            said = (await self.console())[-_SAID_BYTES:].strip()
            raise SandboxError(
                f"the machine's agent did not answer within {seconds:g} s; its console ends with: {said}",
                code="internal",
                hint="give it more time with qemu.boot_s, or set guest_agent: false if there is none in it",
            ) from error
        env = {
            "DISPLAY": self._config.display,
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": "/run/user/1000",
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus",
            **self._config.env,
        }
        self._programs = GuestAgent(agent, user=self._config.user, env=env)
        self.guest = ClippingGuest(self._programs)
        self.unicode = "clipboard"

    async def _set_clock(self) -> None:
        """Set the machine's clock, which stands still while no machine runs, and comes back with a kept state."""
        if self._programs is None:
            return
        was_set = False
        with anyio.move_on_after(_AGENT_S):
            was_set = await self._programs.set_clock(time.time())
        if not was_set:
            message = "vm: the clock of a machine could not be set, and is that of its kept state"
            self._context.backend.observe(Notice(message=message, level="warning"))

    async def _launched(self, stack: AsyncExitStack, state: str | None) -> Confined:
        image = self._known()
        is_bare = self._accel == "kvm" or (await self._context.backend.launcher()).name == "none"
        files = [path for path in (image.base, image.kernel, image.initrd) if path is not None]

        def place(path: Path) -> str:
            return str(path) if is_bare else f"{_INSIDE}/{files.index(path)}-{path.name}"

        arguments = QemuArguments(
            image=image,
            executable=self._config.executable,
            accel=self._accel,
            geometry=(image.width, image.height) if image.width and image.height else self._context.geometry,
            place=place,
            with_network=self._config.network == "user",
            state=state,
        )
        spec = LaunchSpec(
            argv=(*(_DIES_WITH_US if is_bare else ()), *arguments.argv()),
            workspace=self.folder,
            binds=() if is_bare else tuple(Bind(source=path, target=place(path)) for path in files),
            limits=Limits(
                cpus=float(image.cpus),
                memory_bytes=(image.memory_mb + self._config.overhead_mb) * MIB,
                pids=_PIDS,
                disk_bytes=self._config.disk_mb * MIB,
            ),
            network=Network(mode="host" if self._config.network == "user" else "off"),
            label=self._context.session_id,
        )
        if shutil.which(self._config.executable) is None:
            raise SandboxError(
                f"there is no program {self._config.executable!r}", code="provider_unavailable", hint=_INSTALL
            )
        if self._accel == "kvm":
            return await self._beside(stack, spec)
        confined = await self._context.backend.launch(spec)
        stack.push_async_callback(confined.aclose)
        return confined

    async def _beside(self, stack: AsyncExitStack, spec: LaunchSpec) -> Confined:
        """Start it as a process that dies with this one: what confines sessions shows them no ``/dev/kvm``."""
        launcher = await stack.enter_async_context(BareLauncher())
        confined = await launcher.start(spec)
        stack.push_async_callback(confined.aclose)
        return confined

    async def _came(self, listener: UnixListener, hint: str) -> UnixStream:
        """QEMU's connection to us; what QEMU says if it ends instead."""
        confined = self._confined
        assert confined is not None
        came: list[UnixStream] = []
        async with anyio.create_task_group() as group:

            async def ended() -> None:
                await confined.wait()
                group.cancel_scope.cancel()

            group.start_soon(ended)
            came.append(await listener.accept())
            group.cancel_scope.cancel()
        if not came:
            raise self._not_started(await self.failure(), hint)
        return came[0]

    @staticmethod
    def _not_started(why: str | None, hint: str) -> SandboxError:
        return SandboxError(f"QEMU could not start: {why}", code="provider_unavailable", hint=hint)

    async def begin(self) -> None:
        """See `Machine.begin`."""
        chosen = self._config.apps if self._settings.apps is None else self._settings.apps
        apps = [argv_of(app, self.programs) for app in chosen]
        if self.guest is None and (self._config.files or self._settings.files or apps):
            raise SandboxError(
                "files and apps need a way into the machine",
                code="invalid_argument",
                hint="an image of python -m agentflow_vm build-image has one, or set qemu.guest_agent: true",
            )
        if self.guest is not None:
            for name, path in self._config.files.items():
                await self.guest.write_file(name, await anyio.Path(path).read_bytes())
            for name, text in self._settings.files.items():
                await self.guest.write_file(name, text.encode())
            for app in apps:
                await self.guest.launch(app)

    async def connect_display(self) -> anyio.abc.ByteStream:
        """See `Machine.connect_display`."""
        try:
            return connect_beneath(self.folder, VNC_SOCKET)
        except OSError as error:
            raise SandboxError(f"the display of the machine is gone: {error}", code="session_lost") from error

    async def still(self) -> Still:
        """See `Machine.still`."""
        async with self._stills:
            await self._monitor().execute("screendump", filename=_STILL, format="ppm")
            return await anyio.to_thread.run_sync(_read_still, self.folder)

    async def console(self) -> str:
        """What the machine has said on its first serial line, the end of it."""
        said = await self._monitor().execute("ringbuf-read", device="console", size=_CONSOLE_BYTES)
        self._said = f"{self._said}{said}"[-_CONSOLE_BYTES:]  # what was read is not there any more
        return self._said

    @property
    def folder(self) -> Path:
        """The workspace, with the disk and the sockets, while it is started."""
        if self._workspace is None:
            raise SandboxError("the machine was not started", code="not_ready")
        return self._workspace

    @property
    def process(self) -> int:
        """The number of the process on this machine with which QEMU dies, while it is started."""
        return 0 if self._confined is None else self._confined.pid

    async def as_root(self, script: str) -> None:
        """Run a shell script as root in the machine, to its end, where there is a way in."""
        if self._programs is not None:
            await self._programs.as_root(script)

    async def has_file(self, path: str) -> bool:
        """Whether the machine has a file of that name, where there is a way in."""
        return self._programs is not None and await self._programs.has_file(path)

    async def machine_type(self) -> str:
        """The version of the kind of machine that it is: under it a later QEMU goes on from its states."""
        known = await self._monitor().execute("query-machines")
        wanted = self._known().machine
        return next((str(each["name"]) for each in known if each.get("alias") == wanted), wanted)

    async def snapshot(self, name: str) -> None:
        """See `Machine.snapshot`."""
        self._tags += 1
        tag = f"kept-{self._tags}"
        await self._job("snapshot-save", tag=tag, vmstate=NODE, devices=[NODE])
        former, self._kept[name] = self._kept.get(name), tag
        if former is not None:
            await self._job("snapshot-delete", tag=former, devices=[NODE])
        await self._set_clock()

    async def restore(self, name: str) -> None:
        """See `Machine.restore`."""
        tag = self._kept.get(name)
        if tag is None:
            known = ", ".join(sorted(self._kept)) or "none"
            raise SandboxError(f"no snapshot is named {name!r}; there are: {known}", code="not_found")
        await self._job("snapshot-load", tag=tag, vmstate=NODE, devices=[NODE])
        if self._agent is not None:
            await self._let_in(self._agent, _AGENT_S)
        await self._set_clock()

    async def fork(self, context: MachineContext) -> Machine:
        """See `Machine.fork`."""
        child = QemuMachine(self._config, context, image=self._known())
        child._accel = self._accel
        child._kept, child._tags = dict(self._kept), self._tags
        async with AsyncExitStack() as stack:
            child._workspace = await stack.enter_async_context(context.backend.workspace(context.session_id))
            await self.keep(_FORK, child.folder / OVERLAY)
            await self._set_clock()
            await child._run(stack, _FORK)
            await child._job("snapshot-delete", tag=_FORK, devices=[NODE])
            child._stack = stack.pop_all()
        return child

    async def keep(self, tag: str, target: Path) -> None:
        """Copy the session's disk to a new file, with the state as it is now under the tag. It stands still meanwhile.

        Raises:
            SandboxError: ``disk_limit``: there is no room.
        """
        monitor = self._monitor()
        await monitor.execute("stop")
        try:
            await self._job("snapshot-save", tag=tag, vmstate=NODE, devices=[NODE])
            try:
                await _copy(self.folder / OVERLAY, target)
            finally:
                with CancelScope(shield=True):
                    await self._job("snapshot-delete", tag=tag, devices=[NODE])
        finally:
            with CancelScope(shield=True):
                await monitor.execute("cont")

    async def _job(self, command: str, **arguments: Any) -> None:
        self._jobs += 1
        await self._monitor().job(command, f"{command}-{self._jobs}", **arguments)

    async def failure(self) -> str | None:
        """See `Machine.failure`."""
        confined = self._confined
        if confined is None:
            return "it was not started"
        if confined.ended is None:
            return None
        said = (await confined.stderr.read_all(_SAID_BYTES)).decode(errors="replace").strip()
        ended = confined.ended
        how = {
            "oom": "it took more memory than it may",
            "disk": "its disk outgrew qemu.disk_mb",
            "killed": "it was killed",
            "failed": ended.detail,
        }.get(ended.reason, f"it ended with code {ended.returncode}")
        return f"{how}{f': {said}' if said else ''}"

    async def aclose(self) -> None:
        """See `Machine.aclose`."""
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()  # under KVM it leaves a task group, around which no scope of ours may stand

    def _known(self) -> Image:
        if self._image is None:
            raise SandboxError("the machine was not started", code="not_ready")
        return self._image

    def _monitor(self) -> Qmp:
        if self._qmp is None:
            raise SandboxError("the machine was not started", code="not_ready")
        return self._qmp


def _rebuild(image: Image) -> str:
    if image.state is None:
        return ""
    return (
        f"the image was made with QEMU {image.qemu}; after an upgrade make it again: python -m agentflow_vm build-image"
    )


async def _new_overlay(image: Image, target: Path) -> None:
    if shutil.which("qemu-img") is None:
        raise SandboxError("there is no program 'qemu-img'", code="provider_unavailable", hint=_INSTALL)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", image.format, "-b", str(image.base), str(target)]
    made = await anyio.run_process(command, check=False)
    if made.returncode:
        said = made.stderr.decode(errors="replace").strip()
        raise SandboxError(f"the disk {image.base} cannot be used: {said}", code="provider_unavailable")


async def _copy(source: Path, target: Path) -> None:
    try:
        await anyio.to_thread.run_sync(_copied, source, target)
    except OSError as error:
        raise SandboxError(f"the disk of a machine cannot be copied: {error}", code="disk_limit") from error


def _copied(source: Path, target: Path) -> None:
    """Copy a file whose writer stands still; the file system shares the blocks where it can."""
    with (
        open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as original,
        target.open("xb") as copy,
    ):
        while os.copy_file_range(original.fileno(), copy.fileno(), 1 << 30):
            pass


def _read_still(folder: Path) -> Still:
    with Beneath(folder, shown="/workspace", uid=None) as files:
        data = files.read(_STILL, 0, None).data
    with contextlib.suppress(ValueError, IndexError):
        kind, width, height, most, rgb = _header(data)
        if kind == b"P6" and most == b"255" and len(rgb) == int(width) * int(height) * 3:
            return Still(width=int(width), height=int(height), rgb=rgb)
    raise SandboxError("QEMU made a picture that cannot be read", code="internal")


def _header(data: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """The fields of a PPM, which are followed by one white space and the pixels."""
    end = 0
    fields = []
    for _ in range(4):
        start = end
        while data[end : end + 1] not in (b" ", b"\n"):
            end += 1
            if end > start + 16:
                raise ValueError
        fields.append(data[start:end])
        end += 1
    kind, width, height, most = fields
    return kind, width, height, most, data[end:]
