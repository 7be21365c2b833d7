"""Hold a session's memory, processes and processor time by control groups, version 1 or 2, whichever can be written."""

from __future__ import annotations

import errno
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import anyio
from attrs import frozen

from agentflow_core.sandbox.launchers.spec import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.sandbox.launchers.spec import Limits

__all__ = ["CGROUP_PREFIX", "Cgroup", "Hierarchies", "Hierarchy", "find_hierarchies", "kill_and_remove", "usage_of"]

#: How every group of ours begins; what the ownership journal names is found by the whole path.
CGROUP_PREFIX: Final = "agentflow-"
_OWN: Final = "agentflow-server"
_CONTROLLERS: Final = ("memory", "pids", "cpu")
_PERIOD_US: Final = 100_000
#: After each try to remove a group whose processes are being killed.
_PAUSES_S = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

_log = logging.getLogger("agentflow_core.sandbox")


@frozen(kw_only=True)
class Hierarchy:
    """A mounted tree of groups, the folder in which ours are made, and the controllers that it holds there."""

    version: Literal[1, 2]
    parent: Path
    controllers: frozenset[str]


@frozen
class Hierarchies:
    """All trees that groups are made in; empty where none can be written."""

    found: tuple[Hierarchy, ...] = ()

    def holder(self, controller: str) -> str:
        """``cgroup-v1``, ``cgroup-v2`` or ``none``."""
        versions = [each.version for each in self.found if controller in each.controllers]
        return f"cgroup-v{versions[0]}" if versions else "none"


def find_hierarchies(
    *, mounts: Path = Path("/proc/self/mountinfo"), own: Path = Path("/proc/self/cgroup")
) -> Hierarchies:
    """The trees below this process's own groups that can be written, so that what limits the server limits its sessions.

    Under version 2 a group with processes cannot pass controllers on: where that is in the way, this process moves
    into a group of its own beside those of the sessions, as systemd asks of whoever is delegated a tree.
    """
    try:
        paths = _own_paths(own.read_text())
        lines = mounts.read_text().splitlines()
    except OSError:  # not Linux, or without /proc
        return Hierarchies()
    found: list[Hierarchy] = []
    held: set[str] = set()
    for version, root, mount_point, controllers in map(_tree, lines):
        if version == 1:
            named = controllers - held
            if not named or (path := _below(mount_point, root, paths.get(min(named), "/"))) is None:
                continue
            if os.access(path, os.W_OK):
                found.append(Hierarchy(version=1, parent=path, controllers=frozenset(named)))
                held |= named
        elif version == 2:
            path = _below(mount_point, root, paths.get("", "/"))
            if path is not None and os.access(path, os.W_OK) and os.access(path / "cgroup.procs", os.W_OK):
                if not (named := _delegated(path) - held):
                    continue
                found.append(Hierarchy(version=2, parent=path, controllers=frozenset(named)))
                held |= named
    return Hierarchies(tuple(found))


def _tree(line: str) -> tuple[Literal[0, 1, 2], str, str, set[str]]:
    """Of a line of mountinfo, the version of the tree (0 if it is none), its root, where it stands, its controllers."""
    fields, _, rest = line.partition(" - ")
    kind, _, options = rest.split(" ", 2)
    root, mount_point = (_unescaped(part) for part in fields.split()[3:5])
    if kind == "cgroup":
        return 1, root, mount_point, set(options.split(",")) & {"memory", "pids", "cpu", "cpuacct"}
    return 2 if kind == "cgroup2" else 0, root, mount_point, set()


def _own_paths(text: str) -> dict[str, str]:
    """The path of the process by controller; that of version 2 under the empty name."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        paths.update(dict.fromkeys(names.split(","), path))
    return paths


def _below(mount_point: str, root: str, path: str) -> Path | None:
    """Where the group ``path`` stands under a mount that shows the tree from ``root`` on."""
    relative = os.path.relpath(path, root) if path.startswith(root.rstrip("/") + "/") or path == root else "."
    folder = Path(mount_point, relative)
    return folder if folder.is_dir() else None


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _delegated(parent: Path) -> set[str]:
    """Let the controllers that the parent has reach its children; returns those that do."""
    wanted = set(_read(parent / "cgroup.controllers").split()) & set(_CONTROLLERS)
    switch = parent / "cgroup.subtree_control"
    if missing := wanted - set(_read(switch).split()):
        change = " ".join(f"+{name}" for name in sorted(missing))
        try:
            _write(switch, change)
        except OSError as error:
            if error.errno != errno.EBUSY:
                return wanted - missing
            try:
                (parent / _OWN).mkdir(exist_ok=True)
                _write(parent / _OWN / "cgroup.procs", str(os.getpid()))
                _write(switch, change)
            except OSError as refused:
                _log.debug("no controllers below %s: %s", parent, refused)
                return wanted - missing
    return wanted


class Cgroup:
    """The groups of one session, one in each hierarchy: made, filled, read and removed."""

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self._groups = {each.parent / f"{CGROUP_PREFIX}{name}": each for each in hierarchies.found}

    @property
    def folders(self) -> tuple[Path, ...]:
        """All groups, as folders."""
        return tuple(self._groups)

    def create(self, limits: Limits) -> Mapping[str, str]:
        """Make the groups with their limits; returns by what each limit is held.

        Raises:
            OSError: a group cannot be made; those before it are left, `remove` takes them away.
        """
        held = dict.fromkeys(_CONTROLLERS, "none")
        for folder, hierarchy in self._groups.items():
            folder.mkdir()
            values = _settings(hierarchy.version, limits)
            for controller in hierarchy.controllers & held.keys():
                try:
                    for name, value in values[controller].items():
                        _write(folder / name, value)
                except OSError as error:
                    _log.debug("%s is not limited by %s: %s", controller, folder, error)
                    continue
                held[controller] = f"cgroup-v{hierarchy.version}"
            if hierarchy.version == 1 and "memory" in hierarchy.controllers:
                with suppress(OSError):  # a kernel that does not count swap has no such file
                    _write(folder / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))
            if hierarchy.version == 2 and "memory" in hierarchy.controllers:
                with suppress(OSError):
                    _write(folder / "memory.swap.max", "0")
        return held

    @property
    def doors(self) -> tuple[Path, ...]:
        """The files into which a process of one thread writes ``0`` to join the groups of version 1.

        That takes microseconds. To move another process takes a lock of the whole machine: 10 ms and more.
        """
        return tuple(folder / "tasks" for folder, each in self._groups.items() if each.version == 1)

    def join(self, pid: int) -> None:
        """Move a process into the groups of version 2, where there is no other way; blocks for some milliseconds."""
        for folder, hierarchy in self._groups.items():
            if hierarchy.version == 2:
                _write(folder / "cgroup.procs", str(pid))

    @property
    def all_doors(self) -> tuple[Path, ...]:
        """As `doors`, of both versions: for a process that nobody has to start."""
        return tuple(
            folder / ("tasks" if each.version == 1 else "cgroup.procs") for folder, each in self._groups.items()
        )

    @property
    def must_join(self) -> bool:
        """Is there something for `join` to do?"""
        return any(each.version == 2 for each in self._groups.values())

    def usage(self) -> Usage:
        """What the groups count."""
        return _counted(self._groups)

    async def remove(self) -> None:
        """Kill what is still in the groups and remove them; one that never was made is no failure.

        Raises:
            OSError: one could not be removed; the others have been.
        """
        failure: OSError | None = None
        for folder in self._groups:
            try:
                await kill_and_remove(folder)
            except OSError as error:
                failure = error
        if failure is not None:
            raise failure


async def kill_and_remove(folder: Path) -> None:
    """Kill everything in a group and remove it, if it is there.

    Raises:
        OSError: some process in it did not die within seconds.
    """
    for pause_s in _PAUSES_S:
        try:
            _remove(folder)
        except OSError:  # a process that is being killed still stands in it; nothing tells when it left
            _kill(folder)
            await anyio.sleep(pause_s)
        else:
            return
    _remove(folder)


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        os.rmdir(folder)


def usage_of(pid: int, name: str) -> Usage | None:
    """What the groups count in which a process stands that others started; None if ``name`` is in no path of theirs."""
    groups: dict[Path, Hierarchy] = {}
    try:
        paths = _own_paths(Path("/proc", str(pid), "cgroup").read_text())
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    for version, root, mount_point, controllers in map(_tree, lines):
        if version == 0:
            continue
        folder = _below(mount_point, root, paths.get(min(controllers, default=""), "/"))
        if folder is not None and name in str(folder):
            named = controllers if version == 1 else set(_read(folder / "cgroup.controllers").split())
            groups[folder] = Hierarchy(version=version, parent=folder, controllers=frozenset(named))
    return _counted(groups) if groups else None


def _counted(groups: Mapping[Path, Hierarchy]) -> Usage:
    cpu_s = memory = peak = pids = None
    oom_kills = denied = 0
    for folder, hierarchy in groups.items():
        is_new = hierarchy.version == 2
        if is_new and (stat := _numbers(folder / "cpu.stat")) and "usage_usec" in stat:
            cpu_s = stat["usage_usec"] / 1e6
        if "cpuacct" in hierarchy.controllers and (used := _number(folder / "cpuacct.usage")) is not None:
            cpu_s = used / 1e9
        if "memory" in hierarchy.controllers:
            memory = _number(folder / ("memory.current" if is_new else "memory.usage_in_bytes"))
            peak = _number(folder / ("memory.peak" if is_new else "memory.max_usage_in_bytes"))
            events = _numbers(folder / ("memory.events" if is_new else "memory.oom_control"))
            oom_kills = events.get("oom_kill", 0)
        if "pids" in hierarchy.controllers:
            pids = _number(folder / "pids.current")
            denied = _numbers(folder / "pids.events").get("max", 0)
    return Usage(
        cpu_s=cpu_s,
        memory_bytes=memory,
        memory_peak_bytes=peak,
        pids=pids,
        oom_kills=oom_kills,
        forks_denied=denied,
    )


def _kill(folder: Path) -> None:
    with suppress(OSError):  # version 2 since Linux 5.14
        _write(folder / "cgroup.kill", "1")
        return
    for line in _read(folder / "cgroup.procs").split():
        with suppress(ProcessLookupError):
            os.kill(int(line), signal.SIGKILL)


def _settings(version: int, limits: Limits) -> dict[str, dict[str, str]]:
    quota = str(max(1000, int(limits.cpus * _PERIOD_US)))
    if version == 2:
        return {
            "memory": {"memory.max": str(limits.memory_bytes)},
            "pids": {"pids.max": str(limits.pids)},
            "cpu": {"cpu.max": f"{quota} {_PERIOD_US}"},
        }
    return {
        "memory": {"memory.limit_in_bytes": str(limits.memory_bytes)},
        "pids": {"pids.max": str(limits.pids)},
        "cpu": {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": quota},
    }


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # never makes a file: a missing one is a missing feature
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _numbers(path: Path) -> dict[str, int]:
    """``name number`` a line."""
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
