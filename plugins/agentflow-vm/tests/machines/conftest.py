"""What tests of machines share: the premises of an engine, and a guest of 512 bytes that says what is typed into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.sandbox.premises import Premises
from agentflow_vm.image.images import DESCRIPTION, IMAGES
from agentflow_vm.machines.machine import MachineContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: Sets up the first serial line, hides the cursor, then for ever reads a key, writes it on the screen and on the line.
ECHO = bytes.fromhex(
    "31d2 b8e300 cd14"  # xor dx,dx; mov ax,0xe3; int 0x14
    "b401 b90020 cd10"  # mov ah,1; mov cx,0x2000; int 0x10
    "31c0 cd16 50"  # key: xor ax,ax; int 0x16; push ax
    "b40e bb0700 cd10 58"  # mov ah,0x0e; mov bx,7; int 0x10; pop ax
    "b401 31d2 cd14 ebeb"  # mov ah,1; xor dx,dx; int 0x14; jmp key
)


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A disk whose boot sector is `ECHO`; it is ready within a second, in emulation too."""
    disk = tmp_path / "echo.img"
    disk.write_bytes(ECHO.ljust(510, b"\0") + b"\x55\xaa" + bytes((1 << 20) - 512))
    disk.chmod(0o644)
    return disk


@pytest.fixture
def qemu(missing: Callable[[str], None]) -> None:
    """QEMU is here."""
    if shutil.which("qemu-system-x86_64") is None or shutil.which("qemu-img") is None:
        missing("no QEMU: apt-get install qemu-system-x86 qemu-utils")


@pytest.fixture
def premises(tmp_path: Path, missing: Callable[[str], None]) -> Callable[..., Any]:
    """What machines are made with: ``async with premises("none") as context_of``, then ``context_of("session")``."""

    @asynccontextmanager
    async def opened(kind: str = "bwrap") -> AsyncIterator[Callable[..., MachineContext]]:
        if kind == "bwrap" and shutil.which("bwrap") is None:
            missing("no bubblewrap: apt-get install bubblewrap")
        state = Path(tempfile.mkdtemp(dir=tmp_path))
        async with Premises(state, LauncherConfig(kind=kind)) as entered:
            backend = BackendContext(name="vm", folder=state / "vm", observe=lambda _: None, premises=entered)

            def context_of(session: str = "session", **settings: Any) -> MachineContext:
                return MachineContext(backend=backend, session_id=session, geometry=(1280, 800), settings=settings)

            yield context_of

    return opened


@pytest.fixture(scope="session")
def images(missing: Callable[[str], NoReturn]) -> Path:
    """The folder of images that the variable names; an image is built in it, in some minutes, if it has none yet."""
    named = os.environ.get(IMAGES)
    if not named:
        missing(f"no {IMAGES}: set it to a folder that is kept, and as root run: python -m agentflow_vm build-image")
    folder = Path(named)
    if not list(folder.glob(f"*/{DESCRIPTION}")):
        subprocess.run([sys.executable, "-m", "agentflow_vm", "build-image", "--folder", folder], check=True)
    return folder
