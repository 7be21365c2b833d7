"""What a session under bubblewrap cannot do, found by looking: access checks, mount tables, error numbers."""

from __future__ import annotations

import errno
import json
import os
import socket

import pytest

from agentflow_core.sandbox.launchers import LaunchSpec
from agentflow_core.sandbox.launchers.seccomp import DENIED, seccomp_filter

pytestmark = pytest.mark.serial

LOOK = r"""
import ctypes, errno, fcntl, json, os, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
ctypes.set_errno(0)

def call(function, *arguments):
    result = function(*arguments)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result == -1 else "done"

def family(number):
    try:
        socket.socket(number, socket.SOCK_RAW if number == 16 else socket.SOCK_STREAM).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def reach(address, family=socket.AF_INET):
    try:
        with socket.socket(family) as s:
            s.settimeout(2)
            s.connect(address)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "reached"

def tiocsti():
    main, side = os.openpty()
    try:
        fcntl.ioctl(side, 0x5412, b"x")
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

mounts = [line.split() for line in open("/proc/self/mountinfo")]
writable = [
    os.path.join(folder, name)
    for top in ("/usr", "/etc", "/proc/sys", "/control", "/dev", "/run", "/var")
    for folder, names, files in os.walk(top)
    for name in [".", *files]
    if os.access(os.path.join(folder, name), os.W_OK) and stat.S_IFMT(os.lstat(os.path.join(folder, name)).st_mode)
    in (stat.S_IFREG, stat.S_IFDIR)
]
proc = [name for name in os.listdir("/proc") if os.access("/proc/" + name, os.W_OK) and not name.isdigit()]
status = {line.split(":")[0]: line.partition(":")[2].strip() for line in open("/proc/self/status")}
print(json.dumps({
    "mounts": {line[4]: line[5].split(",") for line in mounts},
    "sources": sorted({line[3] for line in mounts}),
    "root_writable": os.access("/", os.W_OK),
    "writable": sorted(writable),
    "proc_writable": proc,
    "run": os.listdir("/run"), "home": os.path.isdir("/home"), "root": os.path.isdir("/root"), "sys": os.path.exists("/sys"),
    "docker": os.path.exists("/run/docker.sock") or os.path.exists("/var/run/docker.sock"),
    "caps": [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"], "seccomp": status["Seccomp"], "groups": os.getgroups(),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1],
    "uid_map": open("/proc/self/uid_map").read().split(),
    "pids": [int(name) for name in os.listdir("/proc") if name.isdigit()],
    "interfaces": [name for _, name in socket.if_nameindex()],
    "mount": call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": call(libc.umount2, b"/tmp", 0),
    "unshare": call(libc.unshare, 0x10000000),
    "setns": call(libc.setns, os.open("/proc/self/ns/user", os.O_RDONLY), 0),
    "ptrace": call(libc.ptrace, 16, 1, None, None),
    "keyctl": call(libc.syscall, {"x86_64": 250, "aarch64": 219}[os.uname().machine], 0, -3, 0),
    "bpf": call(libc.syscall, {"x86_64": 321, "aarch64": 280}[os.uname().machine], 0, None, 0),
    "perf": call(libc.syscall, {"x86_64": 298, "aarch64": 241}[os.uname().machine], None, 0, -1, -1, 0),
    "userfaultfd": call(libc.syscall, {"x86_64": 323, "aarch64": 282}[os.uname().machine], 0),
    "io_uring": call(libc.syscall, 425, 1, None),
    "clone3": call(libc.syscall, 435, None, 0),
    "open_tree": call(libc.syscall, 428, -100, b"/", 1),
    "x32": call(libc.syscall, 0x40000000 + 39) if os.uname().machine == "x86_64" else "ENOSYS",
    "personality": call(libc.personality, 0x0100000),
    "tiocsti": tiocsti(),
    "families": {str(number): family(number) for number in (1, 2, 10, 16, 17, 38, 40)},
    "abstract": reach("\0" + os.environ["ABSTRACT"], socket.AF_UNIX),
    "loopback": reach(("127.0.0.1", int(os.environ["PORT"]))),
    "outside": reach(("192.0.2.1", 80)),
    "kcore": os.access("/proc/kcore", os.R_OK), "kmsg": os.access("/dev/kmsg", os.F_OK),
    "disks": [name for name in os.listdir("/dev") if name.startswith(("sd", "vd", "nvme", "mem", "fuse", "kvm", "vsock"))],
}))
"""


@pytest.fixture
async def seen(bwrap, ran, workspace):
    """What a session sees of the host, which listens on an abstract socket and on loopback."""
    name = f"agentflow-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as loopback:
        abstract.bind("\0" + name)
        abstract.listen()
        env = {"ABSTRACT": name, "PORT": str(loopback.getsockname()[1])}
        spec = LaunchSpec(argv=("/usr/bin/python3", "-I", "-c", LOOK), env=env, workspace=workspace)
        got = await ran(bwrap, spec)
    assert got.err == ""
    return json.loads(got.out)


async def test_the_host_cannot_be_written_or_seen(seen):
    assert (seen["root_writable"], seen["writable"], seen["proc_writable"]) == (False, ["/dev/pts/.", "/dev/shm/."], [])
    assert (seen["run"], seen["home"], seen["root"], seen["sys"], seen["docker"]) == ([], False, False, False, False)
    assert (seen["kcore"], seen["kmsg"], seen["disks"]) == (False, False, [])


async def test_only_the_workspace_and_memory_are_mounted_writable(seen):
    writable = {target for target, options in seen["mounts"].items() if "ro" not in options}
    assert writable - {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")} == {
        *("/workspace", "/tmp", "/dev/shm", "/dev/pts", "/proc")
    }
    assert "ro" in seen["mounts"]["/proc/sys"]
    assert "ro" in seen["mounts"]["/control"]
    for target, options in seen["mounts"].items():
        assert "nosuid" in options, target


async def test_no_right_is_left(seen):
    assert set(seen["caps"]) == {"0000000000000000"}
    assert (seen["no_new_privs"], seen["seccomp"], seen["groups"]) == ("1", "2", [])
    assert seen["fds"] == [0, 1, 2]
    assert seen["uid_map"][0::2] == ["1000", "1"]


async def test_a_session_is_not_root_on_the_host(bwrap, shell, uids_of):
    async with await bwrap.start(shell("cat")) as confined:
        uids = uids_of(confined.pid)
    assert uids == {str(os.geteuid() if confined.uid is None else confined.uid)}
    assert "0" not in uids
    assert confined.enforced["uid"] == ("shared" if confined.uid is None else "own")


async def test_calls_into_undivided_parts_of_the_kernel_are_refused(seen):
    refused = ("mount", "umount", "unshare", "setns", "ptrace", "keyctl", "bpf", "perf", "userfaultfd", "io_uring")
    assert {name: seen[name] for name in (*refused, "open_tree", "personality", "tiocsti")} == dict.fromkeys(
        (*refused, "open_tree", "personality", "tiocsti"), "EPERM"
    )
    assert (seen["clone3"], seen["x32"]) == ("ENOSYS", "ENOSYS")


async def test_sockets_reach_nobody_outside(seen):
    assert seen["interfaces"] == ["lo"]
    assert seen["abstract"] == "ECONNREFUSED"
    assert seen["loopback"] == "ECONNREFUSED"
    assert seen["outside"] == "ENETUNREACH"
    open_families = {number for number, answer in seen["families"].items() if answer == "done"}
    assert open_families == {"1", "2", "10", "16"}
    assert seen["families"]["40"] == "EAFNOSUPPORT"  # virtual machine sockets know no network namespaces


async def test_nobody_elses_processes_are_seen(seen):
    assert seen["pids"] == [1, 2]


async def test_threads_and_processes_still_work(bwrap, ran, python):
    script = """
    import subprocess, threading, multiprocessing, socket
    thread = threading.Thread(target=print, args=("thread",), kwargs={"flush": True}); thread.start(); thread.join()
    print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
    server = socket.create_server(("127.0.0.1", 0)); socket.create_connection(server.getsockname()); print("loopback")
    """
    assert (await ran(bwrap, python(script))).out == "thread\nchild\nloopback\n"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_answers_every_call_as_the_list_says(machine):
    program = seccomp_filter(machine)
    arch = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    for number in range(500):
        denied = number in DENIED[machine].values()
        assert (
            evaluate(program, number, arch) == (refusal(errno.EPERM) if denied else 0x7FFF0000)
            or number in (SPECIAL[machine])
        ), number
    assert evaluate(program, 0, 0x40000003) == 0x80000000
    socket_call, clone = SPECIAL[machine][1], SPECIAL[machine][2]
    assert evaluate(program, socket_call, arch, 40) == refusal(errno.EAFNOSUPPORT)
    assert evaluate(program, socket_call, arch, 2) == 0x7FFF0000
    assert evaluate(program, clone, arch, 0x10000011) == refusal(errno.EPERM)
    assert evaluate(program, clone, arch, 0x3D0F00) == 0x7FFF0000
    assert seccomp_filter("riscv64") is None


#: ioctl, socket, clone, clone3, personality: judged by their arguments.
SPECIAL = {"x86_64": (16, 41, 56, 435, 135), "aarch64": (29, 198, 220, 435, 92)}


def refusal(number):
    return 0x00050000 | number


def evaluate(program, number, arch, *arguments):
    """Run a filter as the kernel would."""
    import struct

    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x15:
            at += if_true if accumulator == value else if_false
        elif code == 0x35:
            at += if_true if accumulator >= value else if_false
        else:
            assert code == 0x06
            return value
