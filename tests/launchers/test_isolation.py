"""What a session under bubblewrap cannot do, found by looking: access checks, mount tables, error numbers."""

from __future__ import annotations

import errno
import json
import os
import platform
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
        assert "nodev" in options or target.startswith("/dev/"), target


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


PLAY = r"""
import ctypes, errno, json, os, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
denied = json.loads(os.environ["DENIED"])
outside = os.environ["OUTSIDE"]

def tried(function, *arguments):
    try:
        done = function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done" if done is None or isinstance(done, int) else done

def refused(number, *arguments):
    ctypes.set_errno(0)
    done = libc.syscall(number, *(ctypes.c_ulong(each) for each in (arguments + (0,) * 6)[:6]))
    return errno.errorcode.get(ctypes.get_errno(), "?") if done == -1 else "done"

def in_a_child(check):
    pid = os.fork()
    if not pid:
        os._exit(0 if check() else 1)
    return os.waitpid(pid, 0)[1] == 0

def reach(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)

def led(target):
    name = f"/workspace/link-{len(os.listdir('/workspace'))}"
    os.symlink(target, name)
    return os.access(name, os.F_OK)

places = [outside, outside + "/secret", "/proc/1/root" + outside, "/proc/self/root/.." + outside, "../../.." + outside,
          "/proc/1/cwd/../../.." + outside, "/root", "../../../../root", "/proc/1/root/root", "/etc/shadow",
          "/proc/1/root/etc/shadow", "/sys/fs/cgroup", "/boot", "/home", "/mnt", "/var/lib", "/var/log"]
sockets = ["/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock",
           "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/user", "/run/agentflow", "/tmp/.X11-unix",
           outside + "/docker.sock"]
hard = ["/etc/passwd", "/usr/bin/env", "/control/commands", "/proc/self/status", "/proc/1/environ"]
nodes = {"disk": (stat.S_IFBLK, 8, 0), "memory": (stat.S_IFCHR, 1, 1), "log": (stat.S_IFCHR, 1, 11), "fuse": (stat.S_IFCHR, 10, 229)}
status = {line.split(":")[0]: line.partition(":")[2].strip() for line in open("/proc/1/status")}
print(json.dumps({
    "links": [place for place in places if led(place)],
    "sockets": [path for path in sockets if os.path.exists(path) or led(path)],
    "connected": tried(reach, outside + "/docker.sock", socket.AF_UNIX),
    "hard": {path: tried(os.link, path, f"/workspace/hard-{number}") for number, path in enumerate(hard)},
    "nodes": {name: tried(os.mknod, "/workspace/" + name, kind | 0o600, os.makedev(major, minor))
              for name, (kind, major, minor) in nodes.items()},
    "moved": [tried(os.rename, "/workspace", "/gone"), tried(os.rmdir, "/workspace"), tried(os.mkdir, "/made"),
              tried(os.rename, "/control/commands", "/control/mine"), tried(os.unlink, "/control/replies"),
              tried(os.symlink, "/root", "/control/link"), tried(os.symlink, "/root", "/run/link")],
    "owner": [tried(os.setgroups, [0]), tried(os.chroot, "/workspace"), tried(os.nice, -5)],
    "ids": [tried(os.chown, "/workspace", 0, 0), tried(os.setuid, 0), tried(os.setgid, 0)],
    "first": {name: status[name] for name in ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Groups")},
    "first_fds": {fd: [tried(os.open, f"/proc/1/fd/{fd}", flags | os.O_NONBLOCK) for flags in (os.O_RDONLY, os.O_WRONLY)]
                  for fd in os.listdir("/proc/1/fd")},
    "first_root": [tried(os.readlink, "/proc/1/root"), sorted(os.listdir("/proc/1/root")) == sorted(os.listdir("/"))],
    "first_told": [line for line in open("/proc/1/environ", "rb").read().decode().split(chr(0)) if line],
    "environ": sorted(os.environ),
    "calls": {name: refused(number) for name, number in denied.items()},
    "tiocsti_wide": refused(int(os.environ["IOCTL"]), 0, 0x100005412, 0),
    "clone": in_a_child(lambda: refused(int(os.environ["CLONE"]), 0x10000000 | 17) == "EPERM"),
    "metadata": {str(address): tried(reach, address, *more) for address, *more in (
        (("169.254.169.254", 80),), (("169.254.169.254", 53), socket.AF_INET, socket.SOCK_DGRAM), (("169.254.170.2", 80),),
        (("100.100.100.200", 80),), (("fd00:ec2::254", 80), socket.AF_INET6), (("192.168.0.1", 80),))},
    "names": [tried(socket.gethostbyname, name) for name in ("metadata.google.internal", "instance-data")],
    "routes": open("/proc/net/route").read().splitlines()[1:],
}))
"""


@pytest.fixture
async def played(bwrap, ran, workspace, tmp_path):
    """What a session comes to that plays games with links, devices, its first process, and names and addresses."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "secret").write_text("kept")
    machine = platform.machine()
    special = dict(zip(("ioctl", "socket", "clone", "clone3", "personality"), SPECIAL[machine], strict=True))
    denied = {name: number for name, number in DENIED[machine].items() if number not in special.values()}
    env = {
        "OUTSIDE": str(outside),
        "DENIED": json.dumps(denied),
        "IOCTL": str(special["ioctl"]),
        "CLONE": str(special["clone"]),
    }
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(outside / "docker.sock"))
        engine.listen()
        (outside / "docker.sock").chmod(0o777)
        spec = LaunchSpec(argv=("/usr/bin/python3", "-I", "-c", PLAY), env=env, workspace=workspace)
        before = [(path.name, path.lstat()) for path in sorted(outside.iterdir())]
        got = await ran(bwrap, spec)
        assert [(path.name, path.lstat()) for path in sorted(outside.iterdir())] == before
    assert got.err == ""
    return json.loads(got.out)


async def test_links_lead_to_nothing_of_the_host(played):
    assert played["links"] == []
    assert played["hard"] == dict.fromkeys(played["hard"], "EXDEV")
    assert set(played["moved"]) <= {"EROFS", "EBUSY"}


async def test_sockets_of_the_host_s_services_are_not_there(played):
    assert played["sockets"] == []
    assert played["connected"] == "ENOENT"
    assert not [name for name in played["environ"] if "DOCKER" in name or "TOKEN" in name or "SSH" in name]


async def test_devices_owners_and_priorities_cannot_be_had(played):
    assert played["nodes"] == dict.fromkeys(played["nodes"], "EPERM")
    assert set(played["owner"]) == {"EPERM"}
    assert set(played["ids"]) <= {"EPERM", "EINVAL"}  # there is no uid 0 to become


async def test_the_first_process_is_as_confined_and_holds_nothing_more(played):
    nothing = "0000000000000000"
    first = {"CapPrm": nothing, "CapEff": nothing, "CapBnd": nothing, "NoNewPrivs": "1", "Seccomp": "2", "Groups": ""}
    assert played["first"] == first
    assert set(played["first_fds"]) >= {"0", "1", "2"}
    assert all(opened == ["EACCES", "EACCES"] for opened in played["first_fds"].values())
    assert played["first_root"] == ["/", True]
    assert {line.partition("=")[0] for line in played["first_told"]} <= {"PATH", "PWD"}


async def test_the_kernel_refuses_every_call_of_the_list(played):
    assert played["calls"] == dict.fromkeys(played["calls"], "EPERM")
    assert len(played["calls"]) > 50
    assert played["tiocsti_wide"] == "EPERM"
    assert played["clone"] is True


async def test_the_metadata_of_clouds_is_out_of_reach(played):
    assert played["metadata"] == dict.fromkeys(played["metadata"], "ENETUNREACH")
    assert not [address for address in played["names"] if address[:1].isdigit()]
    assert played["routes"] == []


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
