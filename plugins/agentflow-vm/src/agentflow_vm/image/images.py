"""What a machine starts from: an image that ``build-image`` made, with a running desktop in it, or any disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, frozen

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_vm.machines.qemu_config import QemuConfig

__all__ = ["DESCRIPTION", "IMAGES", "READY", "Image", "image_of", "images_folder"]

#: The variable that names the folder of images, where they do not stand in the state folder.
IMAGES: Final = "AGENTFLOW_VM_IMAGES"
#: The file that says what an image is; it is written last.
DESCRIPTION: Final = "image.json"
#: The name of the kept state that sessions begin with.
READY: Final = "ready"
_BUILD: Final = "python -m agentflow_vm build-image"


@frozen(kw_only=True)
class Image:
    """What a machine starts from. Every path is absolute; all stand in ``folder``."""

    folder: Path
    base: Path  #: the disk, never written to
    format: str  #: of the base: ``qcow2`` or ``raw``
    memory_mb: int
    cpus: int
    guest_agent: bool
    state: Path | None = None  #: a qcow2 file over ``base`` that holds the state `READY`
    kernel: Path | None = None  #: started by QEMU itself, with ``initrd`` and ``append``
    initrd: Path | None = None
    append: str = ""
    accel: str = ""  #: what the state was made with, which is all that it can go on with
    machine: str = "q35"
    width: int = 0  #: of the screen, where the state has one
    height: int = 0
    qemu: str = ""  #: the version that made it

    def written(self) -> str:
        """As JSON, with paths relative to the folder."""
        values = asdict(self, filter=lambda each, _: each.name != "folder")
        return json.dumps(
            {name: value.name if isinstance(value, Path) else value for name, value in values.items()}, indent=1
        )

    @classmethod
    def read(cls, folder: Path) -> Image:
        """The image in a folder.

        Raises:
            SandboxError: ``provider_unavailable``: there is none, or it is not whole.
        """
        folder = folder.absolute()
        try:
            told: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            for name in ("base", "state", "kernel", "initrd"):
                if told.get(name):
                    told[name] = folder / Path(told[name]).name
                    told[name].stat()
            return cls(folder=folder, **told)
        except (OSError, ValueError, TypeError) as error:
            raise SandboxError(
                f"{folder} holds no whole image of a machine: {error}", code="provider_unavailable", hint=_BUILD
            ) from error


def images_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where images stand: `IMAGES`, else below the state folder of AgentFlow."""
    variables = os.environ if environ is None else environ
    if named := variables.get(IMAGES):
        return Path(named).absolute()
    if state := variables.get("AGENTFLOW_STATE"):
        return Path(state).absolute() / "vm-images"
    import platformdirs  # only where nothing is said

    return Path(platformdirs.user_state_dir("agentflow")) / "vm-images"


def image_of(config: QemuConfig) -> Image:
    """The image that a configuration names, or the newest that was built.

    Raises:
        SandboxError: ``provider_unavailable``: there is none; the hint makes one.
    """
    if config.image is None:
        return _newest(images_folder())
    path = config.image.absolute()
    if path.is_dir():
        return Image.read(path)
    try:
        with path.open("rb") as disk:
            is_qcow2 = disk.read(4) == b"QFI\xfb"
    except OSError as error:
        raise SandboxError(
            f"the image of the machine cannot be read: {error}",
            code="provider_unavailable",
            hint=f"set qemu.image to a disk, or leave it out and run: {_BUILD}",
        ) from error
    return Image(
        folder=path.parent,
        base=path,
        format="qcow2" if is_qcow2 else "raw",
        memory_mb=config.memory_mb,
        cpus=config.cpus,
        guest_agent=config.guest_agent,
    )


def _newest(folder: Path) -> Image:
    made = sorted(folder.glob(f"*/{DESCRIPTION}"), key=lambda path: path.stat().st_mtime)
    if not made:
        raise SandboxError(
            f"no image of a machine stands in {folder}",
            code="provider_unavailable",
            hint=f"{_BUILD}   (some minutes), or set qemu.image to a disk",
        )
    return Image.read(made[-1].parent)
