"""What QEMU is told: the machine that an image asks for, its sockets, and nothing that it does not need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from attrs import frozen

from agentflow_vm.image.images import Image
from agentflow_vm.machines.accel import Accel

__all__ = ["AGENT_SOCKET", "DISK", "MONITOR_SOCKET", "NODE", "OVERLAY", "VNC_SOCKET", "QemuArguments"]

#: In the workspace: the session's disk and sockets.
OVERLAY: Final = "disk.qcow2"
MONITOR_SOCKET: Final = "qmp.sock"
AGENT_SOCKET: Final = "agent.sock"
VNC_SOCKET: Final = "vnc.sock"
#: The name of the disk's node in QEMU's graph.
NODE: Final = "disk"
DISK: Final = "agentflow-disk"
#: Between two keys that go down or up: what comes faster than an emulated system takes it is lost.
_KEY_MS: Final = 20
#: Of translated code, in MiB.
_TRANSLATED_MB: Final = 256


@frozen(kw_only=True)
class QemuArguments:
    """One start of QEMU, whose current folder is the workspace: its sockets have short names there."""

    image: Image
    executable: str
    accel: Accel
    geometry: tuple[int, int]
    place: Callable[[Path], str]  #: where QEMU sees a file of the image
    with_network: bool = False
    state: str | None = None  #: a kept state of the overlay to go on from

    def argv(self) -> tuple[str, ...]:
        """The command line."""
        return (
            self.executable,
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
            *self._computer(),
            *self._disk(),
            *self._screen(),
            *self._ways_in(),
            *self._net(),
            *self._start(),
        )

    def _computer(self) -> tuple[str, ...]:
        accel = f"tcg,thread=multi,tb-size={_TRANSLATED_MB}" if self.accel == "tcg" else "kvm"
        return (
            *("-accel", accel, "-cpu", "max" if self.accel == "tcg" else "host", "-machine", self.image.machine),
            *("-m", str(self.image.memory_mb), "-smp", str(self.image.cpus), "-rtc", "base=utc"),
        )

    def _disk(self) -> tuple[str, ...]:
        base = {
            "driver": self.image.format,
            "read-only": True,
            "file": {"driver": "file", "filename": self.place(self.image.base), "locking": "off"},
        }
        cache = {"direct": False, "no-flush": True}  # it does not outlive the session
        overlay = {
            "driver": "qcow2",
            "node-name": NODE,
            "cache": cache,
            "discard": "unmap",
            "file": {"driver": "file", "filename": OVERLAY, "cache": cache},
            "backing": base,
        }
        return ("-blockdev", json.dumps(overlay), "-device", f"virtio-blk-pci,id={DISK},drive={NODE}")

    def _screen(self) -> tuple[str, ...]:
        width, height = self.geometry
        return (
            *("-device", f"VGA,edid=on,xres={width},yres={height}", "-device", "qemu-xhci"),
            # keys reach a system that has a driver for it by virtio, which drops none, and others by PS/2
            *("-device", "usb-tablet", "-device", "virtio-keyboard-pci"),
            *("-vnc", f"unix:{VNC_SOCKET},share=force-shared,key-delay-ms={_KEY_MS}"),
        )

    def _ways_in(self) -> tuple[str, ...]:
        agent: tuple[str, ...] = ()
        if self.image.guest_agent:
            agent = (
                *("-device", "virtio-serial-pci"),
                *("-chardev", f"socket,id=agent,path={AGENT_SOCKET}"),
                *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            )
        return (
            *("-chardev", f"socket,id=monitor,path={MONITOR_SOCKET}", "-mon", "chardev=monitor,mode=control"),
            *("-chardev", "ringbuf,id=console,size=65536", "-serial", "chardev:console"),
            *agent,
        )

    def _net(self) -> tuple[str, ...]:
        restrict = "off" if self.with_network else "on"
        return ("-netdev", f"user,id=net,restrict={restrict}", "-device", "virtio-net-pci,netdev=net,romfile=")

    def _start(self) -> tuple[str, ...]:
        if self.state is not None:
            return ("-loadvm", self.state)
        if self.image.kernel is None or self.image.initrd is None:
            return ()
        kernel, initrd = self.place(self.image.kernel), self.place(self.image.initrd)
        return ("-kernel", kernel, "-initrd", initrd, "-append", self.image.append)
