"""Find out whether the processor's own virtualization can be used, or only emulation."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from agentflow_core.errors import SandboxError

__all__ = ["Accel", "AccelSetting", "accel_of", "why_no_kvm"]

Accel = Literal["kvm", "tcg"]
AccelSetting = Literal["auto", "kvm", "tcg"]

_GET_API_VERSION: Final = 0xAE00
_CREATE_VM: Final = 0xAE01
_API_VERSION: Final = 12
_FLAGS: Final = frozenset({"vmx", "svm"})


def accel_of(setting: AccelSetting) -> Accel:
    """What the setting means on this machine.

    Raises:
        SandboxError: ``provider_unavailable``: KVM is asked for and cannot be used.
    """
    if setting == "tcg":
        return "tcg"
    why = why_no_kvm()
    if why is None:
        return "kvm"
    if setting == "kvm":
        raise SandboxError(
            f"KVM cannot be used here: {why}", code="provider_unavailable", hint="set qemu.accel to auto or tcg"
        )
    return "tcg"


def why_no_kvm(device: Path = Path("/dev/kvm"), cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """Why guests would not run on the processor itself; None if they would.

    A ``/dev/kvm`` alone says little: where the processor tells of no virtualization the device is itself emulated,
    slower than QEMU's own emulation, and fails guests.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"guests are x86-64, this machine is {platform.machine()}"
    try:
        words = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    except OSError as error:
        return f"{cpuinfo} cannot be read: {error.strerror}"
    if _FLAGS.isdisjoint(words):
        return "the processor offers no virtualization (neither vmx nor svm)"
    import fcntl

    try:
        kvm = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"{device}: {error.strerror}"
    try:
        if fcntl.ioctl(kvm, _GET_API_VERSION) != _API_VERSION:
            return f"{device} is of another version"
        os.close(fcntl.ioctl(kvm, _CREATE_VM, 0))
    except OSError as error:
        return f"{device} makes no machine: {error.strerror}"
    finally:
        with suppress(OSError):
            os.close(kvm)
    return None
