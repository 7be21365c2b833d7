"""What bubblewrap is told: the tree that a session sees, and the limits of its view."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from agentflow_core.sandbox.launchers.spec import CONTROL, HOST_NAME, WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.sandbox.launchers.spec import Bind, LaunchSpec

__all__ = ["AGENT_UID", "bwrap_arguments", "entering_command", "write_etc"]

#: The uid and gid that a session sees itself under, the same in each.
AGENT_UID = 1000

#: What of the host's /etc programs need to run; nothing that tells of its users, names or networks.
_ETC_FOLDERS = (
    *("alternatives", "fonts", "ld.so.conf.d", "python3", "terminfo", "ssl/certs", "pki/tls/certs"),
    "pki/ca-trust/extracted",
)
_ETC_COPIES = ("ld.so.cache", "ld.so.conf", "mime.types", "protocols", "services", "ssl/openssl.cnf")

_ETC_FILES = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\n"
    f"agent:x:{AGENT_UID}:{AGENT_UID}:agent:{WORKSPACE}:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": f"root:x:0:\nagent:x:{AGENT_UID}:\nnogroup:x:65534:\n",
    "hosts": f"127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n",
    "hostname": f"{HOST_NAME}\n",
    "host.conf": "multi on\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
}


def write_etc(folder: Path) -> None:
    """Write the ``/etc`` that every session sees: copies of small files, our own users and names, places for folders."""
    folder.mkdir(mode=0o755)
    for name in _ETC_COPIES:
        source = Path("/etc", name)
        if source.is_file() and os.access(source, os.R_OK):
            (folder / name).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    for name, text in _ETC_FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    for path in _etc_folders():
        (folder / path.relative_to("/etc")).mkdir(mode=0o755, parents=True, exist_ok=True)


def _etc_folders() -> list[Path]:
    return [path for name in _ETC_FOLDERS if (path := Path("/etc", name)).is_dir()]


def bwrap_arguments(
    spec: LaunchSpec, *, env: Mapping[str, str], etc: Path, control: Path, workspace: Path | None, binds: Sequence[Bind]
) -> list[str]:
    """The options, for ``--args``, so that neither environment nor paths stand in the list of processes."""
    limits = spec.limits
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--new-session", "--die-with-parent"]
    options += ["--uid", str(AGENT_UID), "--gid", str(AGENT_UID), "--hostname", HOST_NAME, "--cap-drop", "ALL"]
    is_networked = spec.network.mode == "host"
    if is_networked:
        options.append("--share-net")
    options.append("--clearenv")
    for name, value in env.items():
        options += ["--setenv", name, value]
    options += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    options += ["--ro-bind", str(etc), "/etc"]
    for path in _etc_folders():
        options += ["--ro-bind", str(path), str(path)]
    if is_networked:
        options += ["--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]
    options += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    options += ["--dev", "/dev", "--perms", "1777", "--size", str(limits.tmp_bytes), "--tmpfs", "/dev/shm"]
    options += ["--remount-ro", "/dev"]
    options += ["--perms", "1777", "--size", str(limits.tmp_bytes), "--tmpfs", "/tmp"]
    options += ["--dir", "/run", "--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--symlink", "/run", "/var/run"]
    options += ["--ro-bind", str(control), CONTROL]
    if workspace is not None:
        options += ["--bind", str(workspace), WORKSPACE]
    for bind in binds:
        options += ["--bind" if bind.writable else "--ro-bind", str(bind.source), bind.target]
    options += ["--remount-ro", "/"]
    return [*options, "--chdir", spec.cwd or (WORKSPACE if workspace is not None else "/")]


_ENTER = """
while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done
shift
while [ "$1" != -- ]; do mount --rbind "$1" "$2" || exit 125; shift 2; done
shift
exec "$@"
"""


def entering_command(tools: Mapping[str, str], doors: Sequence[Path], staged: Sequence[tuple[Path, Path]]) -> list[str]:
    """The command before all others: join the control groups, and mount sources where the session's uid reaches them.

    They are mounted in a mount namespace that only the session has.
    """
    if not doors and not staged:
        return []
    unshare = [tools["unshare"], "--mount", "--propagation", "private", "--"] if staged else []
    pairs = [str(path) for pair in staged for path in pair]
    return [*unshare, tools["sh"], "-c", _ENTER, "sh", *map(str, doors), "--", *pairs, "--"]
