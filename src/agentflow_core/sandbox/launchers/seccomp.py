"""The system call filter, as BPF bytes for x86_64 and aarch64, made without a C library.

A deny list: what reaches parts of the kernel that are not divided by namespaces, or that make new ones. Refused calls
answer with an error number, so programs go on. Built as Docker's and Flatpak's lists are, and narrower: of the socket
families only local, IPv4, IPv6 and netlink ones are left, since virtual machine sockets (AF_VSOCK) ignore network
namespaces and reach the hypervisor.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import Final

from attrs import frozen

__all__ = ["DENIED", "seccomp_filter"]


@frozen
class _Machine:
    audit_arch: int
    numbers: dict[str, int]


#: Calls with one number on every machine (all that came with Linux 5.1 or later, or with the generic table).
_LATER: Final = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}

_MACHINES: Final = {
    "x86_64": _Machine(
        0xC000003E,
        {
            "ioctl": 16,
            "socket": 41,
            "clone": 56,
            "clone3": 435,
            "ptrace": 101,
            "syslog": 103,
            "uselib": 134,
            "personality": 135,
            "ustat": 136,
            "sysfs": 139,
            "pivot_root": 155,
            "_sysctl": 156,
            "adjtimex": 159,
            "chroot": 161,
            "acct": 163,
            "settimeofday": 164,
            "mount": 165,
            "umount2": 166,
            "swapon": 167,
            "swapoff": 168,
            "reboot": 169,
            "iopl": 172,
            "ioperm": 173,
            "create_module": 174,
            "init_module": 175,
            "delete_module": 176,
            "quotactl": 179,
            "nfsservctl": 180,
            "lookup_dcookie": 212,
            "clock_settime": 227,
            "mbind": 237,
            "set_mempolicy": 238,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "migrate_pages": 256,
            "unshare": 272,
            "move_pages": 279,
            "perf_event_open": 298,
            "fanotify_init": 300,
            "open_by_handle_at": 304,
            "clock_adjtime": 305,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "kcmp": 312,
            "finit_module": 313,
            "kexec_file_load": 320,
            "bpf": 321,
            "userfaultfd": 323,
            "vhangup": 153,
        },
    ),
    "aarch64": _Machine(
        0xC00000B7,
        {
            "ioctl": 29,
            "socket": 198,
            "clone": 220,
            "clone3": 435,
            "lookup_dcookie": 18,
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "nfsservctl": 42,
            "chroot": 51,
            "vhangup": 58,
            "quotactl": 60,
            "acct": 89,
            "personality": 92,
            "unshare": 97,
            "kexec_load": 104,
            "init_module": 105,
            "delete_module": 106,
            "clock_settime": 112,
            "syslog": 116,
            "ptrace": 117,
            "reboot": 142,
            "settimeofday": 170,
            "adjtimex": 171,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "swapon": 224,
            "swapoff": 225,
            "mbind": 235,
            "set_mempolicy": 237,
            "migrate_pages": 238,
            "move_pages": 239,
            "perf_event_open": 241,
            "fanotify_init": 262,
            "open_by_handle_at": 265,
            "clock_adjtime": 266,
            "setns": 268,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "kcmp": 272,
            "finit_module": 273,
            "bpf": 280,
            "userfaultfd": 282,
            "kexec_file_load": 294,
        },
    ),
}

#: Calls that are looked at by their arguments, so not refused outright.
_BY_ARGUMENT: Final = frozenset({"ioctl", "socket", "clone", "clone3", "personality"})

#: The calls that answer EPERM, by machine.
DENIED: Final = {
    name: {**{call: number for call, number in machine.numbers.items() if call not in _BY_ARGUMENT}, **_LATER}
    for name, machine in _MACHINES.items()
}

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_X32 = 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put characters into somebody's terminal
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
_PERSONALITIES = (0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF, 0x40000)  # as Docker allows, and no address randomization


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _answer(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _argument(index: int) -> bytes:
    """Load the low half of an argument: all that these calls look at themselves."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * index)


def _when(number: int, body: list[bytes]) -> list[bytes]:
    """Run the body, which ends in a return, if this is the call."""
    return [_instruction(_EQUAL, number, 0, len(body)), *body]


def _only(values: tuple[int, ...], refusal: int) -> list[bytes]:
    """Allow the loaded value if it is one of these."""
    allow = [_instruction(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [*allow, _answer(refusal), _instruction(_RETURN, _ALLOW)]


def _none_of(values: tuple[int, ...], refusal: int) -> list[bytes]:
    """Refuse the loaded value if it is one of these."""
    refuse = [_instruction(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [*refuse, _instruction(_RETURN, _ALLOW), _answer(refusal)]


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter as ``struct sock_filter[]`` for a machine (default: this one); None where there is no table for it."""
    name = machine or platform.machine()
    table = _MACHINES.get(name)
    if table is None:
        return None
    number = table.numbers
    program = [
        _instruction(_LOAD, _ARCH),
        _instruction(_EQUAL, table.audit_arch, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),  # a call by another machine's numbers
        _instruction(_LOAD, _NUMBER),
    ]
    if name == "x86_64":
        program += [_instruction(_AT_LEAST, _X32, 0, 1), _answer(errno.ENOSYS)]
    program += _when(number["clone3"], [_answer(errno.ENOSYS)])  # flags in memory: libraries go back to clone
    program += _when(
        number["clone"],
        [
            _argument(0),
            _instruction(_AND, _NEW_NAMESPACES),
            _instruction(_EQUAL, 0, 0, 1),
            _instruction(_RETURN, _ALLOW),
            _answer(errno.EPERM),
        ],
    )
    program += _when(number["ioctl"], [_argument(1), *_none_of((_TIOCSTI, _TIOCLINUX), errno.EPERM)])
    program += _when(number["socket"], [_argument(0), *_only(_FAMILIES, errno.EAFNOSUPPORT)])
    program += _when(number["personality"], [_argument(0), *_only(_PERSONALITIES, errno.EPERM)])
    for denied in sorted(DENIED[name].values()):
        program += _when(denied, [_answer(errno.EPERM)])
    return b"".join([*program, _instruction(_RETURN, _ALLOW)])
