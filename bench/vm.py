"""What desktops of agentflow-vm cost: to be ready, to be looked at, and from a click to what it changes.

Run: python bench/vm.py
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.sandbox.premises import Premises
from agentflow_vm.backend import VmBackend
from agentflow_vm.config import VmConfig, XvncConfig
from agentflow_vm.machines.machine import MachineContext
from agentflow_vm.machines.xvnc import XvncMachine
from agentflow_vm.png import Picture, png
from agentflow_vm.rfb.display import connected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 20
#: A window that shows a text at one click, and hides it at the next.
APP = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
def turn(area, event):
    if event.type == Gdk.EventType.BUTTON_PRESS:  # GTK tells of double clicks beside
        label.set_text("" if label.get_text() else 40 * "lit ")
window = Gtk.Window(title="Lamp")
area = Gtk.EventBox()
label = Gtk.Label(wrap=True)
area.connect("button-press-event", turn)
area.add(label)
window.add(area)
window.set_default_size(400, 300)
window.show_all()
Gtk.main()
"""


def told(name: str, took: list[float], limit_ms: float) -> None:
    took = sorted(took)
    p50 = statistics.median(took)
    print(
        f"{name:52} p50 {p50:8.2f} ms  best {took[0]:8.2f} ms  worst {took[-1]:8.2f} ms  {p50 / limit_ms:5.2f} × limit"
    )


async def times(call: Callable[[], Awaitable[object]], count: int = ROUNDS) -> list[float]:
    took = []
    for _ in range(count):
        began = perf_counter()
        await call()
        took.append((perf_counter() - began) * 1e3)
    return took


async def machines(state: Path) -> None:
    """A machine by itself: the server, the window manager, the first picture."""
    async with Premises(state, LauncherConfig()) as premises:
        backend = BackendContext(name="vm", folder=state / "vm", observe=lambda _: None, premises=premises)
        await backend.launcher()

        async def ready() -> None:
            context = MachineContext(backend=backend, session_id="bench", geometry=(1280, 800))
            machine = XvncMachine(XvncConfig(), context)
            began = perf_counter()
            await machine.start()
            try:
                async with connected(await machine.connect_display()):
                    took.append((perf_counter() - began) * 1e3)
            finally:
                await machine.aclose()

        took: list[float] = []
        for _ in range(ROUNDS // 2):
            await ready()
        told("desktop ready, with window manager and picture", took, 400)


async def sessions(state: Path) -> None:
    """A session: pictures, and from a click to what it changes."""
    catalog = Catalog.of(vm=lambda: VmBackend(VmConfig()))
    async with Sandbox(catalog=catalog, config=SandboxConfig(state_dir=state)) as sandbox:
        await sandbox.create_session({"vm": {"apps": ["python3 app.py"], "files": {"app.py": APP}}})

        async def look() -> None:
            result = await sandbox.execute("vm:screenshot", {})
            assert result.ok

        async def click_and_look() -> None:
            changed.append((await sandbox.execute("vm:click", {"x": 200, "y": 150})).data["changed"])
            began = perf_counter()
            await look()
            took.append((perf_counter() - began) * 1e3)

        took: list[float] = []
        changed: list[bool] = []
        await times(click_and_look)
        told("screenshot as PNG, changed", [ms for ms, was in zip(took, changed, strict=True) if was] or took, 60)
        print(f"{'clicks whose effect was seen by the call itself':52} {sum(changed)} of {len(changed)}")
        await look()
        told("screenshot as PNG, unchanged", await times(look), 5)
        told(
            "click, with the wait for a stable screen",
            await times(lambda: sandbox.execute("vm:click", {"x": 200, "y": 150})),
            1000,
        )


async def clicks(state: Path) -> None:
    """From the click's message to the changed frame, over RFB alone."""
    async with Premises(state, LauncherConfig()) as premises:
        backend = BackendContext(name="vm", folder=state / "vm", observe=lambda _: None, premises=premises)
        settings = {"apps": ["python3 app.py"], "files": {"app.py": APP}}
        context = MachineContext(backend=backend, session_id="bench", geometry=(1280, 800), settings=settings)
        machine = XvncMachine(XvncConfig(), context)
        await machine.start()
        try:
            async with connected(await machine.connect_display()) as display:
                await machine.begin()
                await display.point(200, 150)
                with display.watch() as watch:
                    await watch.stable(1.0)
                took = []
                for _ in range(ROUNDS):
                    with display.watch() as watch:
                        began = perf_counter()
                        await display.point(200, 150, 1)
                        await display.point(200, 150, 0)
                        await watch.change()
                        took.append((perf_counter() - began) * 1e3)
                        await watch.stable(0.1)
                told("click to changed frame", took, 30)
                frame = await display.frame()
                width, height, pixels = frame.width, frame.height, frame.crop(frame.box)
                took = []
                for _ in range(ROUNDS):
                    began = perf_counter()
                    png(Picture.of(width, height, pixels))
                    took.append((perf_counter() - began) * 1e3)
                told("encoding 1280x800 as PNG alone", took, 60)
        finally:
            await machine.aclose()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate((machines, sessions, clicks)):
            await part(Path(folder) / str(number))


if __name__ == "__main__":
    anyio.run(main)
