"""The environment ``vm``: a desktop a session, seen through its screen and used by mouse, keyboard and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, Range, Session, tool
from agentflow_vm.config import VmConfig
from agentflow_vm.hands import Hands
from agentflow_vm.machines.machine import MachineContext
from agentflow_vm.machines.opening import machine_of
from agentflow_vm.machines.settings import argv_of
from agentflow_vm.probes import observed, windows_of
from agentflow_vm.recording import Recording
from agentflow_vm.results import effect_result, image, ran_result, same_effect, shot_result
from agentflow_vm.session import VmSession, opened
from agentflow_vm.writing import get_clipboard, put_clipboard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.sandbox.backend import FileSlice

__all__ = ["VmBackend"]

_MAX_S = 600.0
#: Of the engine, beyond ours.
_TOOL_S = _MAX_S + 30

Region = Annotated[list[int], Range(4, 4)]
Seconds = Annotated[float, Range(0.0, _MAX_S)]
Name = Annotated[str, Range(1, 64)]


class VmBackend(Hands, Backend):
    """See the module."""

    sharing = "session"

    def __init__(self, config: VmConfig | None = None) -> None:
        self.config = config or VmConfig()

    def _context(self, session: Session) -> MachineContext:
        return MachineContext(
            backend=self.context,
            session_id=session.id,
            geometry=(self.config.width, self.config.height),
            settings=session.settings,
        )

    async def initialize(self, session: Session) -> VmSession:
        """Start a machine, connect to its display and start the applications; see `SessionSettings`."""
        state = await opened(machine_of(self.config, self._context(session)), self.config)
        session.data.update(self._about(state))
        return state

    @staticmethod
    def _about(state: VmSession) -> dict[str, Any]:
        frame = state.display.framebuffer
        return {"machine": state.machine.kind, "width": frame.width, "height": frame.height}

    async def cleanup(self, state: VmSession) -> None:
        """Release the keys and end the machine."""
        await state.aclose()

    @classmethod
    def can_fork(cls, config: VmConfig | None = None) -> bool:
        """Only where whole machines are copied."""
        return config is not None and config.machine == "qemu"

    async def fork(self, state: VmSession, session: Session) -> VmSession:
        """A machine in the same state."""
        machine = await state.machine.fork(self._context(session))
        child = await opened(machine, self.config, is_running=True)
        session.data.update(self._about(child))
        return child

    async def read_file(self, state: VmSession, path: str, start: int, end: int | None) -> FileSlice:
        """A part of a file of the machine."""
        return await state.guest.read_file(path, start, end)

    async def write_file(self, state: VmSession, path: str, data: bytes) -> None:
        """Put a file into the machine."""
        await state.guest.write_file(path, data)

    async def observe_end(self, state: VmSession, probes: Sequence[str]) -> Mapping[str, Any]:
        """What is there at the end: see `agentflow_vm.probes`."""
        return await observed(state, probes)

    @tool(read_only=True, relative=True)
    async def screenshot(
        self,
        state: VmSession,
        region: Region | None = None,
        scale: Annotated[float, Range(0.05, 4.0)] | Literal["auto"] = "auto",
    ) -> ToolResult:
        """Look at the screen. Coordinates of all tools are pixels of the screen, from its upper left corner.

        Args:
            region: [x, y, width, height] of a part of the screen; default: all of it.
            scale: how large the picture is compared with the screen; auto: as large, unless that is very large.
        """
        box = state.box(region)
        factor = scale if isinstance(scale, float) else min(1.0, self.config.max_edge / max(box.width, box.height))
        size = (max(1, round(box.width * factor)), max(1, round(box.height * factor)))
        return shot_result(state, await state.shot(box, size))

    @tool(read_only=True, relative=True)
    async def zoom(self, state: VmSession, region: Region) -> ToolResult:
        """Look at a part of the screen, enlarged.

        Args:
            region: [x, y, width, height] of the part.
        """
        box = state.box(region)
        factor = max(1.0, min(4.0, 1024 / max(box.width, box.height)))
        return shot_result(state, await state.shot(box, (round(box.width * factor), round(box.height * factor))))

    @tool(relative=True, compare=same_effect, timeout_s=_TOOL_S)
    async def wait(
        self,
        state: VmSession,
        until: Literal["stable", "change", "ms"] = "stable",
        region: Region | None = None,
        ms: Annotated[int, Range(0, 600_000)] = 1000,
        timeout_s: Seconds = 10.0,
    ) -> ToolResult:
        """Wait for the screen to come to rest or to change, or for some time.

        Args:
            until: stable: nothing has changed for a moment; change: something has; ms: the time is over.
            region: [x, y, width, height] of the part that is watched; default: all of the screen.
            ms: how long to wait, with until ms.
            timeout_s: how long to wait for the screen at most, in seconds.
        """
        box = None if region is None else state.box(region)
        began = anyio.current_time()
        came = True
        async with state.using() as display:
            with display.watch(box) as watch:
                if until == "ms":
                    await anyio.sleep(ms / 1000)
                else:
                    with anyio.move_on_after(timeout_s) as scope:
                        await (watch.change() if until == "change" else watch.stable(self.config.stable_ms / 1000))
                    came = not scope.cancelled_caught
                changed = watch.changes > 0
        waited = round((anyio.current_time() - began) * 1000)
        said = {
            "ms": "waited",
            "stable": "the screen is stable" if came else f"the screen still changes after {timeout_s:g} s",
            "change": "the screen changed" if came else f"the screen did not change for {timeout_s:g} s",
        }[until]
        stable = came if until == "stable" else None
        return ToolResult.success({"stable": stable, "changed": changed, "waited_ms": waited}, text=said)

    @tool(relative=True)
    async def clipboard(self, state: VmSession, text: Annotated[str, Range(0, 1_000_000)] | None = None) -> ToolResult:
        """Read the clipboard of the desktop, or put a text into it.

        Args:
            text: what to put into it; default: read it.
        """
        async with state.using() as display:
            if text is not None:
                await put_clipboard(state, display, text)
                return ToolResult.success({"text": text}, text=f"The clipboard holds {len(text)} characters now.")
            found = await get_clipboard(state, display)
        return ToolResult.success({"text": found}, text="The clipboard holds no text." if found is None else found)

    @tool(compare=same_effect, timeout_s=_TOOL_S)
    async def launch(
        self, state: VmSession, program: Annotated[str, Range(1, 4000)], timeout_s: Seconds = 10.0
    ) -> ToolResult:
        """Start a program on the desktop, and wait for it to open a window.

        Args:
            program: a command line, or a name that is configured.
            timeout_s: how long to wait for its window at most, in seconds.
        """
        if "\0" in program:
            return _holds_nul("program")
        argv = argv_of(program, state.machine.programs)
        before = await _count_windows(state)
        pid, found = 0, before

        async def start(_: object) -> None:
            nonlocal pid, found
            pid = await _launched(state, argv)
            if before is not None:
                found = await _count_windows(state, least=before + 1, timeout_s=timeout_s)

        effect = await state.do(start)
        is_open = before is None or found is None or found > before
        said = f"started {argv[0]}" + ("" if is_open else ", which has opened no window yet")
        return effect_result(said, effect, {"pid": pid, "windows": found})

    @tool(read_only=True, relative=True)
    async def windows(self, state: VmSession) -> ToolResult:
        """List the windows on the desktop: titles, places and sizes, and which one is active."""
        found = await windows_of(state)
        lines = [
            f"{'* ' if each['active'] else '  '}{each['title']!r} ({each['app']}) "
            f"at ({each['x']}, {each['y']}), {each['width']}x{each['height']}{', hidden' if each['hidden'] else ''}"
            for each in found
        ]
        return ToolResult.success({"windows": found}, text="\n".join(lines) or "There are no windows.")

    @tool(timeout_s=_TOOL_S)
    async def exec(
        self,
        state: VmSession,
        command: Annotated[str, Range(1, 100_000)],
        timeout_s: Annotated[float, Range(0.1, _MAX_S)] | None = None,
    ) -> ToolResult:
        """Run a shell command in the machine, beside the screen, and wait for it to end.

        Args:
            command: for /bin/sh.
            timeout_s: how long it may run, in seconds; default: what is configured.
        """
        if "\0" in command:
            return _holds_nul("command")
        seconds = self.config.exec_timeout_s if timeout_s is None else timeout_s
        return ran_result(await state.guest.run(("/bin/sh", "-c", command), timeout_s=seconds), seconds)

    @tool(relative=True, timeout_s=_TOOL_S)
    async def record(
        self,
        state: VmSession,
        action: Literal["start", "stop"],
        fps: Annotated[float, Range(0.1, 20.0)] = 4.0,
        max_frames: Annotated[int, Range(1, 1000)] = 60,
    ) -> ToolResult:
        """Record the screen from start to stop, as an animated PNG with a picture for each change.

        Args:
            action: start or stop.
            fps: how many pictures a second at most.
            max_frames: after so many pictures the recording ends by itself; stop gives it all the same.
        """
        if action == "start":
            if state.recording is not None:
                return ToolResult.failure("conflict", "a recording runs already", hint="stop it first")
            state.recording = Recording(state, fps=fps, max_frames=max_frames)
            state.tasks.start_soon(state.recording.run, name="recording")
            return ToolResult.success({"recording": True}, text="The recording has begun.")
        recording, state.recording = state.recording, None
        if recording is None:
            return ToolResult.failure("conflict", "nothing is recorded", hint="start a recording first")
        data, count = await recording.stop()
        told = {"recording": False, "frames": count, "complete": not recording.is_full}
        return ToolResult.success(told, text="The recording has ended.", content=[image(data)])

    @tool(relative=True, timeout_s=_TOOL_S)
    async def snapshot(self, state: VmSession, name: Name = "default") -> ToolResult:
        """Keep the whole state of the machine, to go back to it by vm:restore.

        Args:
            name: under which name.
        """
        self._check_snapshots(state)
        await state.machine.snapshot(name)
        return ToolResult.success({"name": name}, text=f"The state is kept as {name!r}.")

    @tool(relative=True, timeout_s=_TOOL_S)
    async def restore(self, state: VmSession, name: Name = "default") -> ToolResult:
        """Go back to a state that vm:snapshot has kept.

        Args:
            name: under which name.
        """
        self._check_snapshots(state)
        await state.machine.restore(name)
        await state.reconnect()
        return ToolResult.success({"name": name}, text=f"The machine is in the state {name!r} again.")

    @staticmethod
    def _check_snapshots(state: VmSession) -> None:
        if not state.machine.has_snapshots:
            raise SandboxError(
                f"the machine {state.machine.kind!r} has no snapshots", code="unsupported", hint="machine: qemu has"
            )


def _holds_nul(name: str) -> ToolResult:
    return ToolResult.failure("invalid_argument", f"{name}: holds a NUL character", hint="leave it out")


async def _count_windows(state: VmSession, **until: Any) -> int | None:
    """How many windows there are; None where nobody can look."""
    try:
        return len(await windows_of(state, **until))
    except SandboxError as error:
        if error.code == "unsupported" and state.machine.guest is not None:
            return None
        raise


async def _launched(state: VmSession, argv: tuple[str, ...]) -> int:
    """Start a program; a name that means none is answered with those that do."""
    try:
        return await state.guest.launch(argv)
    except SandboxError as error:
        if error.code != "not_found":
            raise
        machine = state.machine
        known = ", ".join(sorted(machine.programs)) or f"none; they are set by {machine.kind}.programs"
        raise SandboxError(error.message, code=error.code, hint=f"names that are configured: {known}") from error
