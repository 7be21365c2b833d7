"""What a machine with a screen is to this plugin: a display to connect to, perhaps a way in, perhaps snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from agentflow_core.sandbox.backend import BackendContext

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from agentflow_core.sandbox.backend import FileSlice

__all__ = ["Clipping", "Guest", "Machine", "MachineContext", "Ran", "Settling", "Still"]


@frozen(kw_only=True)
class MachineContext:
    """What a machine is made with, beside its own part of the configuration: ``SomeMachine(config, context)``."""

    backend: BackendContext = field(repr=False)  #: launch processes confined, workspaces, the state folder
    session_id: str  #: for labels
    geometry: tuple[int, int]  #: the wanted width and height, in pixels; a machine that cannot choose ignores it
    settings: Mapping[str, Any] = field(factory=dict)
    """What the session was given: ``create_session("vm", {"apps": […], "files": {…}})``; the machine takes what it can,
    and refuses the rest as ``invalid_argument``."""


@frozen(kw_only=True)
class Ran:
    """How a command in the guest went. A program that exits with another code than 0 is no failure of ours."""

    exit_code: int | None  #: 128 + n after signal n; None if it was stopped because its time was over
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    timed_out: bool = False
    omitted_bytes: int = 0  #: of both outputs, beyond what is kept


@frozen(kw_only=True)
class Still:
    """A picture of the whole screen that did not come over RFB."""

    width: int
    height: int
    rgb: bytes = field(repr=False)  #: rows from the top, three bytes a pixel


class Guest(Protocol):
    """A way into the machine beside its screen. Every method may be called while others run."""

    async def run(
        self, argv: tuple[str, ...], *, timeout_s: float, cwd: str | None = None, max_output_bytes: int = 1 << 20
    ) -> Ran:
        """Run a program as the user of the desktop, with its DISPLAY, and wait for it; at the end of its time, it and
        what it started are killed.

        Raises:
            SandboxError: ``session_lost``: the machine is gone; ``not_found``: there is no such program.
        """
        ...

    async def launch(self, argv: tuple[str, ...], *, cwd: str | None = None) -> int:
        """Start a program on the desktop and do not wait for it; its process id in the guest.

        Raises:
            SandboxError: as `run`.
        """
        ...

    async def read_file(self, path: str, start: int, end: int | None) -> FileSlice:
        """As `agentflow_core.sandbox.Backend.read_file`; a relative path is under the home of the desktop's user."""
        ...

    async def write_file(self, path: str, data: bytes) -> None:
        """As `agentflow_core.sandbox.Backend.write_file`."""
        ...


@runtime_checkable
class Settling(Guest, Protocol):
    """A guest that knows when programs have taken in what was typed and clicked; not every `Guest` does."""

    async def sync(self, timeout_s: float) -> None:
        """Wait for that, at most so long; raises as `Guest.run` does."""
        ...


@runtime_checkable
class Clipping(Guest, Protocol):
    """A `Guest` through which the clipboard of the desktop is reached, where the display's does not lead there."""

    async def put_clipboard(self, text: str) -> None:
        """Put a text into it.

        Raises:
            SandboxError: ``unsupported``: there is no program for it.
        """
        ...

    async def get_clipboard(self) -> str | None:
        """The text that it holds; None where it holds none."""
        ...


class Machine(Protocol):
    """One machine of one session. Made with its configuration and a `MachineContext`; nothing runs before `start`.

    `start` and `aclose` are called once each, in the session's task, so that a machine may keep task groups open in
    between. Everything that raises raises `SandboxError`; ``session_lost`` means that the machine is dead.
    """

    kind: str  #: ``xvnc``, ``qemu``, ``docker``, ``remote``
    unicode: Literal["keysym", "clipboard", "none"]
    """How characters that no key of a US keyboard makes are typed: the server takes any keysym and finds a key for it;
    through the guest's clipboard (by Extended Clipboard, else by a program of the guest); not at all."""
    password: str | None  #: for VncAuth, where the display asks for one
    guest: Guest | None  #: from `start` on; None where there is no way in
    programs: Mapping[str, str]  #: names for command lines, as configured
    has_snapshots: bool  #: can it `snapshot`, `restore` and `fork`?
    has_stills: bool  #: is `still` faster than RFB?

    async def start(self) -> None:
        """Start it and wait until its display can be connected to. When it fails or is cancelled, nothing is left.

        Raises:
            SandboxError: ``provider_unavailable`` if a program or image is missing (the hint gets it),
                ``invalid_argument`` for settings that it cannot keep, ``internal``.
        """
        ...

    async def begin(self) -> None:
        """Start the applications that a session begins with; called once, when the display is connected and seen."""
        ...

    async def connect_display(self) -> ByteStream:
        """A new connection that speaks RFB, from its first byte on; the caller closes it."""
        ...

    async def still(self) -> Still:
        """The screen as it is now, where `has_stills`."""
        ...

    async def snapshot(self, name: str) -> None:
        """Keep the whole state under the name, in place of what had it."""
        ...

    async def restore(self, name: str) -> None:
        """Go back to a state that was kept. The display may break off; it is connected to again then.

        Raises:
            SandboxError: ``not_found``: nothing is kept under that name; the message lists what is.
        """
        ...

    async def fork(self, context: MachineContext) -> Machine:
        """A machine of its own, running, in the same state; it shares nothing with this one (it is started already:
        `start` is not called, `aclose` is).
        """
        ...

    async def failure(self) -> str | None:
        """Why it is dead, in a sentence; None as long as it lives. Asked when the display has broken off."""
        ...

    async def aclose(self) -> None:
        """End it and remove what it held; bounded in time; does not raise. Safe to call at any time, also twice.
        The caller shields it from cancellation, so that a machine may leave a task group in it.
        """
        ...
