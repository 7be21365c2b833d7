"""A desktop of processes: TigerVNC's X server on a Unix socket, a window manager and applications, confined together."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
import anyio.to_thread

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.beneath import Beneath
from agentflow_core.sandbox.launchers import Bind, LaunchSpec
from agentflow_vm.inside.bundle import PYTHON, command
from agentflow_vm.machines.settings import SessionSettings, argv_of
from agentflow_vm.machines.sockets import connect_unix
from agentflow_vm.machines.supervised import Supervised

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from agentflow_core.sandbox.backend import FileSlice
    from agentflow_core.sandbox.launchers import Confined
    from agentflow_vm.config import XvncConfig
    from agentflow_vm.machines.machine import Guest, Machine, MachineContext, Ran, Still

__all__ = ["XvncMachine"]

#: Seconds for the server and the window manager, and for each application to open a window.
START_S: Final = 30.0
APP_S: Final = 30.0
#: After a display has broken off, for its supervisor to say why.
_FAILURE_S: Final = 1.0
#: Where the server keeps what is its own, in the home of its user.
_OWN: Final = ".desktop"
_ENV: Final = {
    "GDK_BACKEND": "x11",
    "GTK_IM_MODULE": "gtk-im-context-simple",
    "NO_AT_BRIDGE": "1",
    "QT_QPA_PLATFORM": "xcb",
    "LANG": "C.UTF-8",
    "XDG_CURRENT_DESKTOP": "openbox",
}
#: Programs of the X Toolkit, such as xterm, wait for a window manager that has answered them already, five seconds each.
_RESOURCES: Final = ".config/Xresources"
_PATIENCE: Final = "*wmTimeout: 300\n"
#: What fontconfig has found out about the machine's fonts; finding it out again takes seconds.
_FONTS: Final = Path("/var/cache/fontconfig")
_PACKAGES: Final = "tigervnc-standalone-server openbox xterm x11-xkb-utils"
INSTALL: Final = f"apt-get install {_PACKAGES}"
_IN_IMAGE: Final = f"name an image by sandbox.launcher.image in which these are installed: python3 {_PACKAGES}"


class XvncMachine:
    """See the module, and `Machine`."""

    kind = "xvnc"
    unicode: Literal["keysym", "clipboard", "none"] = "keysym"
    password: str | None = None
    has_snapshots = False
    has_stills = False

    def __init__(self, config: XvncConfig, context: MachineContext) -> None:
        self.programs = config.programs
        self._config = config
        self._context = context
        self._settings = SessionSettings.of(context.settings)
        self._stack = AsyncExitStack()
        self._confined: Confined | None = None
        self._supervised: Supervised | None = None
        self.guest: Guest | None = None
        self._folder = Path()

    async def start(self) -> None:
        """See `Machine.start`."""
        launcher = await self._context.backend.launcher()
        if launcher.name != "docker":
            self._check_programs()
        async with AsyncExitStack() as stack:
            self._folder = await stack.enter_async_context(self._context.backend.workspace(self._context.session_id))
            await anyio.to_thread.run_sync(self._furnish, self._folder)
            where = str(self._folder) if launcher.name == "none" else "/workspace"
            self._confined = await stack.enter_async_context(await self._launched(where, launcher.name))
            self._supervised = supervised = Supervised(self._confined)
            with anyio.move_on_after(START_S) as scope:
                told = await supervised.hello()
            if scope.cancelled_caught:
                raise SandboxError(f"the desktop did not start within {START_S:g} s", code="internal")
            if "failed" in told:
                code = "provider_unavailable" if told.get("missing") is True else "internal"
                hint = _IN_IMAGE if launcher.name == "docker" else INSTALL
                raise SandboxError(str(told["failed"])[:2000], code=code, hint=hint)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(supervised.run, name="supervisor")
            root = Beneath(self._folder, shown=where, uid=self._confined.uid)
            stack.callback(root.close)
            self.guest = XvncGuest(supervised, root, where)
            self._stack = stack.pop_all()

    async def _launched(self, home: str, launcher: str) -> Confined:
        try:
            return await self._context.backend.launch(self._spec(home, launcher))
        except SandboxError as error:
            if launcher != "docker" or PYTHON[0] not in error.message:
                raise
            said = f"the launcher's image has no {PYTHON[0]}, by which desktops are started"
            raise SandboxError(said, code="provider_unavailable", hint=_IN_IMAGE) from error

    def _check_programs(self) -> None:
        server, manager = self._config.server, shlex.split(self._config.window_manager)[:1]
        for program in (server, "xkbcomp", *manager):
            if shutil.which(program, path="/usr/local/bin:/usr/bin:/bin") is None:
                raise SandboxError(
                    f"a desktop needs the program {program!r}", code="provider_unavailable", hint=INSTALL
                )

    def _furnish(self, folder: Path) -> None:
        """Put into the home what a session begins with."""
        rules = folder / ".config" / "openbox" / "rc.xml"
        rules.parent.mkdir(parents=True)
        rules.write_bytes((files("agentflow_vm") / "openbox.xml").read_bytes())
        (folder / _RESOURCES).write_text(_PATIENCE)
        for name, source in self._config.files.items():
            target = _beneath(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
        for name, text in self._settings.files.items():
            target = _beneath(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")

    def _spec(self, home: str, launcher: str) -> LaunchSpec:
        width, height = self._context.geometry
        own = f"{home}/{_OWN}"
        server = [
            *(self._config.server, "-geometry", f"{width}x{height}", "-depth", "24", "-SecurityTypes", "None"),
            *("-rfbport", "-1", "-rfbunixpath", f"{own}/rfb", "-rfbunixmode", "0600", "-AlwaysShared"),
            *("-nolisten", "tcp", "-SendPrimary=0", "-desktop", "agentflow"),
        ]
        told: dict[str, Any] = {
            "server": server,
            "authority": f"{own}/authority",
            "log": f"{own}/log",
            "manager": shlex.split(self._config.window_manager),
            "env": {**_ENV, "XDG_RUNTIME_DIR": own, "XENVIRONMENT": f"{home}/{_RESOURCES}", **self._config.env},
            "timeout_s": START_S / 2,
        }
        binds = [Bind(source=source, target=target) for target, source in self._config.binds.items()]
        if binds and launcher == "none":
            raise SandboxError("the launcher 'none' binds nothing", code="invalid_argument", hint="use files")
        if launcher == "bwrap" and _FONTS.is_dir():
            binds.append(Bind(source=_FONTS, target=str(_FONTS)))
        return LaunchSpec(
            argv=command("xclient", "supervisor", arguments=(json.dumps(told),)),
            workspace=self._folder,
            binds=tuple(binds),
            limits=self._config.limits,
            network=self._config.network,
            label=self._context.session_id,
        )

    async def connect_display(self) -> ByteStream:
        """The one connection; made before any application runs, so that nobody can have put another socket there."""
        fd = os.open(self._folder / _OWN, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            # by way of the descriptor, since the path of a socket may have no more than 107 bytes
            return connect_unix(f"/proc/self/fd/{fd}/rfb")
        except OSError as error:
            raise SandboxError(f"the display cannot be connected to: {error}", code="session_lost") from error
        finally:
            os.close(fd)

    async def begin(self) -> None:
        """Start the applications, one after the other, each when the one before has opened a window."""
        assert self._supervised is not None
        chosen = self._config.apps if self._settings.apps is None else self._settings.apps
        apps = [argv_of(app, self.programs) for app in chosen]
        if apps:
            managed = bool(self._config.window_manager)
            timeout_s = APP_S * len(apps)
            await self._supervised.ask("begin", timeout_s, apps=apps, managed=managed, timeout_s=APP_S)

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
        if self._supervised is None:
            return None
        with anyio.move_on_after(_FAILURE_S):
            await self._supervised.ended.wait()
        return self._supervised.gone

    async def aclose(self) -> None:
        """See `Machine.aclose`."""
        if self._supervised is not None:
            self._supervised.lose("the session is closed")
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()


class XvncGuest:
    """See `Guest`."""

    def __init__(self, supervised: Supervised, files: Beneath, home: str) -> None:
        self._supervised = supervised
        self._files = files
        self._home = home

    async def run(
        self, argv: tuple[str, ...], *, timeout_s: float, cwd: str | None = None, max_output_bytes: int = 1 << 20
    ) -> Ran:
        """See `Guest.run`."""
        return await self._supervised.run_program(argv, timeout_s, cwd or self._home, max_output_bytes)

    async def launch(self, argv: tuple[str, ...], *, cwd: str | None = None) -> int:
        """See `Guest.launch`."""
        told = await self._supervised.ask("launch", APP_S, argv=list(argv), cwd=cwd or self._home)
        pid = told.get("pid")
        return pid if isinstance(pid, int) else 0

    async def sync(self, timeout_s: float) -> None:
        """See `Settling`."""
        await self._supervised.ask("sync", timeout_s, timeout_s=timeout_s)

    async def read_file(self, path: str, start: int, end: int | None) -> FileSlice:
        """See `Guest.read_file`."""
        return await anyio.to_thread.run_sync(self._files.read, path, start, end)

    async def write_file(self, path: str, data: bytes) -> None:
        """See `Guest.write_file`."""
        await anyio.to_thread.run_sync(self._files.write, path, data)


def _beneath(folder: Path, name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise SandboxError(f"files: {name!r} is no path in the home of the session", code="invalid_argument")
    return folder / path


def _unsupported(what: str) -> SandboxError:
    return SandboxError(f"the machine 'xvnc' has no {what}", code="unsupported", hint="machine: qemu has")
