"""Join a session that a launcher has confined: its control groups, namespaces, user, limits and system call filter.

Done by a process that root has forked, before anything of the session's user runs in it. What could be done in another
order and is not: the groups of users are dropped while that is still allowed, and the filter comes last.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["die_with_parent", "enter", "join_pid_namespace"]

_NAMESPACES: Final = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
_NEW_PID: Final = 0x20000000
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT = 1, 4, 22, 24, 38, 47
_AMBIENT_CLEAR_ALL = 4
_SECCOMP_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_LAST_CAP = 63

_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, *arguments: Any) -> int:
    values = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    values += [ctypes.c_ulong(0)] * (4 - len(values))
    return int(_libc.prctl(option, *values))


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started this process ends; at once if that has happened already."""
    _checked(_prctl(_SET_PDEATHSIG, int(signal.SIGKILL)), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        os._exit(1)


def join_pid_namespace(descriptor: int) -> None:
    """Let the children of this process, which must have one thread, be born into the pid namespace of a pidfd or file."""
    _checked(_libc.setns(descriptor, _NEW_PID), "setns(pid)")


def enter(order: Mapping[str, Any], pidfd: int) -> None:
    """Become what the session's own processes are; ``order`` says which control groups, user, limits and filter."""
    for door in order["doors"]:
        fd = os.open(door, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, b"0")
        os.close(fd)
    for name, value in order["rlimits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
    os.setgroups([])
    _checked(_libc.setns(pidfd, sum(_NAMESPACES.values())), "setns")
    os.close(pidfd)
    for capability in range(_LAST_CAP + 1):
        _prctl(_CAPBSET_DROP, capability)  # refused for those that the kernel does not know
    os.setresgid(order["uid"], order["uid"], order["uid"])
    os.setresuid(order["uid"], order["uid"], order["uid"])
    _prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    header = _CapHeader(version=_CAPABILITY_VERSION, pid=0)
    _checked(_libc.capset(ctypes.byref(header), (_CapData * 2)()), "capset")
    _checked(_prctl(_SET_PDEATHSIG, int(signal.SIGKILL)), "PR_SET_PDEATHSIG")  # a change of user has cleared it
    _checked(_prctl(_SET_DUMPABLE, 1), "PR_SET_DUMPABLE")  # its own /proc belongs to itself again
    _checked(_prctl(_SET_NO_NEW_PRIVS, 1), "PR_SET_NO_NEW_PRIVS")
    if order["filter"]:
        rules = bytes.fromhex(order["filter"])
        program = _Program(length=len(rules) // 8, filter=rules)
        _checked(_prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program)), "seccomp")
