"""Run Playwright's driver apart from the server: it dies with it, as another user and in namespaces of its own where that can be had.

Stands in for Node.js (``PLAYWRIGHT_NODEJS_PATH``): it is run as a program, with a file that says how, and leans on
nothing but the standard library. Everything below the driver (Chromium with all of its processes) is inside too: it
sees a ``/tmp`` of its own, no network but its loopback, where the proxies of sessions listen, and no other process.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HOME", "main"]

#: Where the browser's own folder stands inside.
HOME: Final = "/tmp/home"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWNS: Final = 0x00020000
_CLONE_NEWIPC: Final = 0x08000000
_CLONE_NEWPID: Final = 0x20000000
_CLONE_NEWNET: Final = 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def main(config: Mapping[str, Any], argv: Sequence[str]) -> NoReturn:
    """Become the driver, or wait for it outside.

    Args:
        config: ``node``, ``env``, ``home``, ``pid_file``, and for a driver that is confined ``uid`` and ``binds``: pairs of a
            folder and where it stands inside, read-only.
        argv: the driver's arguments; those below a bound folder are rewritten.
    """
    os.setsid()  # an interrupt from the terminal is the server's to answer
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    uid = config.get("uid")
    if uid is None:
        _tell(config, os.getpid())
        os.execve(config["node"], [config["node"], *argv], config["env"])
    binds = [(source, target) for source, target in config["binds"]]
    _unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC)
    _loopback_up()
    written, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(written, 1)  # the server reads the file as soon as the driver answers
            _enter(config["home"], binds)
            _become(uid)
            rewritten = [_inside(arg, binds) for arg in (config["node"], *argv)]
            os.chdir(HOME)
            os.execve(rewritten[0], rewritten, config["env"])
        except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
            os.write(2, f"agentflow-browser: {error!r}\n".encode())
            os._exit(126)
    _tell(config, child)
    os.write(writing, b".")
    os.close(0)
    os.close(1)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _tell(config: Mapping[str, Any], pid: int) -> None:
    """Write down with which process all of it ends."""
    with open(config["pid_file"] + ".new", "w") as file:
        file.write(str(pid))
    os.rename(file.name, config["pid_file"])


def _enter(home: str, binds: list[tuple[str, str]]) -> None:
    """A ``/tmp`` with the folders that are bound, and a ``/proc`` of the new processes."""
    sources = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source in (home, *(source for source, _ in binds))]
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=50%")
    for fd, target in zip(sources, (HOME, *(target for _, target in binds)), strict=True):
        os.makedirs(target, mode=0o755)
        _mount(f"/proc/self/fd/{fd}", target, None, _MS_BIND | _MS_REC)
        if target != HOME:
            _mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    with suppress(OSError):  # there is none where a container lacks it
        _mount("tmpfs", "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=50%")
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # forgotten by a change of user, so it comes last


def _inside(arg: str, binds: list[tuple[str, str]]) -> str:
    for source, target in binds:
        if arg == source or arg.startswith(source + "/"):
            return target + arg[len(source) :]
    return arg


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(asking, _SIOCGIFFLAGS, request))
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        _fail()


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        _fail()


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    if _libc.mount(*encoded[:3], ctypes.c_ulong(flags), encoded[3]) != 0:
        _fail(target)


def _fail(*what: str) -> NoReturn:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), *what)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        told = json.load(file)
    main(told, sys.argv[2:])
