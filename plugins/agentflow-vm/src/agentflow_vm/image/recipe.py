"""What an image is made of: packages of Debian, a few files of ours, and the machine that it is for."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Final

from attrs import asdict, frozen

from agentflow_vm.image.images import Image
from agentflow_vm.machines.qemu_arguments import QemuArguments

__all__ = ["FILES", "PACKAGES", "Recipe"]

#: Our own files in the image, with the script that puts them there.
FILES: Final = Path(str(files("agentflow_vm") / "image" / "files"))
#: A kernel with drivers of displays and input (the cloud kernel has none), X, a window manager, a terminal, GTK, and
#: the way in.
PACKAGES: Final = (
    *("linux-image-amd64", "initramfs-tools", "zstd", "kmod", "udev", "dbus", "iproute2", "procps"),
    *("xserver-xorg-core", "xserver-xorg-input-libinput", "x11-xserver-utils", "x11-utils", "openbox", "wmctrl"),
    *("xterm", "xclip", "fonts-dejavu-core", "at-spi2-core", "python3-gi", "gir1.2-gtk-3.0", "qemu-guest-agent"),
)


@frozen(kw_only=True)
class Recipe:
    """What is built. Two recipes with the same content have the same `key`, and are built once."""

    suite: str = "bookworm"
    mirror: str = ""  #: empty: the one that mmdebstrap chooses
    include: tuple[str, ...] = ()  #: packages beside `PACKAGES`
    disk_mb: int = 3072
    memory_mb: int = 1024
    cpus: int = 2
    width: int = 1280
    height: int = 800
    accel: str = "tcg"  #: with which its state is made, and alone can go on
    qemu: str = ""  #: the version, since another one may not go on from the state

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages, sorted."""
        return tuple(sorted({*PACKAGES, *self.include}))

    @property
    def append(self) -> str:
        """What the kernel is told."""
        return "root=/dev/vda rw console=ttyS0 mitigations=off quiet init=/usr/lib/agentflow/init"

    @property
    def key(self) -> str:
        """A name for its content."""
        content = {
            **asdict(self),
            "packages": self.packages,
            "append": self.append,
            "machine": _devices(),
            "files": {path.name: path.read_text("utf-8") for path in sorted(FILES.iterdir()) if path.is_file()},
        }
        del content["mirror"]  # the same packages, wherever they come from
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _devices() -> list[str]:
    """What the machine consists of, whatever image it has: a state goes on only in a machine of the same parts."""
    folder = Path("/image")
    image = Image(folder=folder, base=folder / "base", format="qcow2", memory_mb=0, cpus=0, guest_agent=True)
    return list(QemuArguments(image=image, executable="", accel="tcg", geometry=(0, 0), place=str).argv())
