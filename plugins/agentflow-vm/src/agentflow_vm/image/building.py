"""Build the image of a small Debian desktop, step by step; what stands already is not made again."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.folders import remove_folder
from agentflow_core.sandbox.premises import Premises
from agentflow_vm.image.images import DESCRIPTION, READY, Image
from agentflow_vm.image.recipe import FILES
from agentflow_vm.machines.machine import MachineContext
from agentflow_vm.machines.qemu import QemuMachine
from agentflow_vm.machines.qemu_config import QemuConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentflow_vm.image.recipe import Recipe

__all__ = ["build", "qemu_version"]

#: What is called, and the package that has it.
_PROGRAMS: Final = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "tar": "tar",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
}
#: Nothing of these is read by a program.
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_TREE, _BASE, _STATE, _KERNEL, _INITRD = "tree.tar", "base.qcow2", "state.qcow2", "vmlinuz", "initrd.img"
_BOOT_S: Final = 600.0
_LOOK_S: Final = 0.5
#: The desktop is at rest when so many looks in a row see the same.
_SAME: Final = 6
#: Memory that holds copies of files would only make the kept state larger.
_FORGET: Final = "sync; echo 3 > /proc/sys/vm/drop_caches"


def qemu_version() -> str:
    """The version of QEMU, such as ``7.2.22``.

    Raises:
        SandboxError: ``provider_unavailable``: it is not there.
    """
    _check_programs()
    told = _run("qemu-system-x86_64", "--version").split()
    return told[told.index("version") + 1] if "version" in told else "unknown"


def build(recipe: Recipe, parent: Path, say: Callable[[str], None]) -> Path:
    """Build the image of a recipe in a folder of its own below ``parent``, or go on where it was stopped.

    Args:
        recipe: what is built.
        parent: the folder of images.
        say: is told each step.

    Returns:
        The folder of the image.

    Raises:
        SandboxError: ``provider_unavailable``: a program is missing, or the rights; ``internal``: a step failed.
    """
    folder = parent / f"desktop-{recipe.key}"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, say):
        if (folder / DESCRIPTION).exists():
            say(f"it stands already: {folder}")
            return folder
        _check_programs()
        if not (folder / _BASE).exists():
            _build_disk(recipe, folder, say)
        image = Image(
            folder=folder,
            base=folder / _BASE,
            format="qcow2",
            memory_mb=recipe.memory_mb,
            cpus=recipe.cpus,
            guest_agent=True,
            kernel=folder / _KERNEL,
            initrd=folder / _INITRD,
            append=recipe.append,
            accel=recipe.accel,
            width=recipe.width,
            height=recipe.height,
            qemu=recipe.qemu,
        )
        say("3/3 boot it once and keep its state (under a minute; several on a busy machine)")
        whole = anyio.run(_boot, image, recipe)
        _write(folder / DESCRIPTION, whole.written())
        (folder / _TREE).unlink(missing_ok=True)
    say(f"built: {folder}")
    return folder


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process builds it: waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_programs() -> None:
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise SandboxError(
            "programs are missing that build an image",
            code="provider_unavailable",
            hint=f"apt-get install {' '.join(missing)}",
        )


def _build_disk(recipe: Recipe, folder: Path, say: Callable[[str], None]) -> None:
    if os.geteuid() != 0:
        raise SandboxError(
            "the files of a Debian system belong to root, so this takes root",
            code="provider_unavailable",
            hint="sudo env AGENTFLOW_VM_IMAGES=… python -m agentflow_vm build-image",
        )
    tree = folder / _TREE
    if not tree.exists():
        say(f"1/3 download and unpack {len(recipe.packages)} packages and what they need (some minutes)")
        part = folder / f"part-{_TREE}"
        part.unlink(missing_ok=True)
        _run(
            *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"),
            '--aptopt=Apt::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
            f"--include={','.join(recipe.packages)}",
            f'--customize-hook=sh "{FILES / "customize"}" "$1"',
            *(recipe.suite, str(part), *filter(None, [recipe.mirror])),
        )
        part.rename(tree)
    say("2/3 make the disk (under a minute)")
    root = folder / "root"
    remove_folder(root)
    root.mkdir()
    try:
        _run("tar", "-C", str(root), "--numeric-owner", "-xf", str(tree))
        _take(root / "boot", "vmlinuz-*", folder / _KERNEL)
        _take(root / "boot", "initrd.img-*", folder / _INITRD)
        raw, part = folder / "part-disk.raw", folder / f"part-{_BASE}"
        raw.unlink(missing_ok=True)
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(raw), f"{recipe.disk_mb}M")
        _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(part))
        raw.unlink()
        part.chmod(0o644)
        part.rename(folder / _BASE)
    finally:
        remove_folder(root)


def _take(boot: Path, pattern: str, target: Path) -> None:
    """Move the newest file of that name out of the tree: QEMU itself starts it."""
    found = sorted(boot.glob(pattern))
    if not found:
        raise SandboxError(f"the Debian tree has no /boot/{pattern}", code="internal")
    shutil.copyfile(found[-1], target)
    target.chmod(0o644)
    for each in found:
        each.unlink()


async def _boot(image: Image, recipe: Recipe) -> Image:
    """Start the machine until its desktop is at rest, and keep the state beside the disk."""
    from attrs import evolve

    config = QemuConfig(accel="kvm" if recipe.accel == "kvm" else "tcg", boot_s=_BOOT_S)
    async with Premises(image.folder / "building") as premises:
        backend = BackendContext(name="vm", folder=image.folder, observe=lambda _: None, premises=premises)
        context = MachineContext(backend=backend, session_id="build-image", geometry=(image.width, image.height))
        machine = QemuMachine(config, context, image=image)
        await machine.start()
        try:
            await _at_rest(machine)
            await machine.as_root(_FORGET)
            part = image.folder / f"part-{_STATE}"
            part.unlink(missing_ok=True)
            await machine.keep(READY, part)
            name = await machine.machine_type()
        finally:
            await machine.aclose()
    await anyio.to_thread.run_sync(remove_folder, image.folder / "building")
    part.chmod(0o644)
    return evolve(image, state=part.rename(image.folder / _STATE), machine=name)


async def _at_rest(machine: QemuMachine) -> None:
    """Wait until the session of the desktop has begun and its screen changes no more."""
    until = time.monotonic() + _BOOT_S
    same, last = 0, b""
    while same < _SAME:
        if time.monotonic() > until:
            raise SandboxError(
                f"the desktop did not begin within {_BOOT_S:g} s; its console ends with: {(await machine.console())[-2000:]}",
                code="internal",
            )
        await anyio.sleep(_LOOK_S)  # a machine tells nobody that it is at rest
        if await machine.has_file("/run/agentflow/ready"):
            now = (await machine.still()).rgb
            same, last = (same + 1 if now == last else 0), now


def _run(*command: str) -> str:
    """Run a program to its end; what it prints.

    Raises:
        SandboxError: ``internal``, with the last of what it said.
    """
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if ran.returncode:
        said = "\n".join((ran.stderr or ran.stdout).strip().splitlines()[-8:])
        raise SandboxError(f"{Path(command[0]).name} failed with code {ran.returncode}:\n{said}", code="internal")
    return ran.stdout


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"part-{path.name}")
    part.write_text(text, encoding="utf-8")
    part.rename(path)
