"""Confine sessions by bubblewrap: namespaces, control groups and a system call filter; no daemon, a few milliseconds."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio import CancelScope, EndOfStream
from attrs import evolve

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.bwrap_arguments import AGENT_UID, bwrap_arguments, entering_command, write_etc
from agentflow_core.sandbox.launchers.cgroups import Cgroup, Hierarchies, find_hierarchies
from agentflow_core.sandbox.launchers.folders import can_enter, give, open_control
from agentflow_core.sandbox.launchers.ledger import Taken
from agentflow_core.sandbox.launchers.owner import Owner, base_env, check_spec
from agentflow_core.sandbox.launchers.processes import rlimits, signal_inside, spawn, wait_for
from agentflow_core.sandbox.launchers.seccomp import seccomp_filter
from agentflow_core.sandbox.launchers.session import Holdings, ProcessSession
from agentflow_core.sandbox.launchers.spec import CONTROL, WORKSPACE, Entrance
from agentflow_core.sandbox.launchers.streams import ByteReader, pipe
from agentflow_core.sandbox.launchers.uids import UidRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from agentflow_core.sandbox.launchers.folders import OpenControl
    from agentflow_core.sandbox.launchers.ledger import Ledger
    from agentflow_core.sandbox.launchers.processes import Spawned
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver
    from agentflow_core.sandbox.launchers.spec import LaunchSpec

__all__ = ["BwrapLauncher"]

#: Seconds within which bubblewrap has made its namespaces; normally some milliseconds.
START_S: Final = 20.0
INSTALL: Final = "apt-get install bubblewrap   (or: dnf install bubblewrap, pacman -S bubblewrap)"

#: For the programs that start the sandbox; a session's own environment never reaches them.
_SYSTEM_ENV: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class BwrapLauncher(Owner):
    """See `Launcher`. As root it lends each session a uid of its own; else sessions run as the user who starts them."""

    name = "bwrap"

    def __init__(
        self,
        *,
        folder: Path | None = None,
        uids: UidRange | None = None,
        ledger: Ledger | None = None,
        resolver: Resolver | None = None,
        hierarchies: Hierarchies | None = None,
        executable: str = "bwrap",
    ) -> None:
        super().__init__(folder=folder, ledger=ledger, resolver=resolver)
        self._uids = uids or UidRange()
        self._hierarchies = find_hierarchies() if hierarchies is None else hierarchies
        self._executable = executable
        self._is_root = os.geteuid() == 0
        self._started = 0
        self._tools: dict[str, str] = {}

    async def _prepare(self, stack: AsyncExitStack) -> None:
        wanted = [self._executable, "prlimit", "sh", *(("setpriv", "unshare", "mount") if self._is_root else ())]
        for tool in wanted:
            path = shutil.which(tool)
            if path is None:
                raise SandboxError(
                    f"the launcher 'bwrap' needs the program {tool!r}",
                    code="provider_unavailable",
                    hint=INSTALL if tool == self._executable else "apt-get install util-linux mount",
                )
            self._tools[tool] = path
        self._filter = seccomp_filter()
        self._etc = self._folder / "etc"
        await anyio.to_thread.run_sync(write_etc, self._etc)
        await self._try()

    async def _try(self) -> None:
        """Start a sandbox that does nothing: not every kernel, container or policy lets a user make namespaces."""
        command = [
            *self._as_uid(self._uids.first),
            self._tools[self._executable],
            *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
            *("--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"),
            *("--ro-bind-try", "/lib", "/lib", "--ro-bind-try", "/lib64", "/lib64", "--", "/usr/bin/true"),
        ]
        tried = await anyio.run_process(command, check=False)
        if tried.returncode != 0:
            raise SandboxError(
                f"bubblewrap cannot confine anything here: {tried.stderr.decode(errors='replace').strip()}",
                code="provider_unavailable",
                hint="it needs bubblewrap 0.8 or later and user namespaces: sysctl kernel.unprivileged_userns_clone=1, "
                "kernel.apparmor_restrict_unprivileged_userns=0; in Docker: --security-opt seccomp=unconfined "
                "--security-opt systempaths=unconfined",
            )

    def _as_uid(self, uid: int | None) -> list[str]:
        """The command before bubblewrap's: started by uid 0, it would leave ``/proc/sys`` writable."""
        if uid is None or not self._is_root:
            return []
        return [self._tools["setpriv"], f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--"]

    async def start(self, spec: LaunchSpec) -> ProcessSession:
        """See `Launcher.start`."""
        self._owners()
        check_spec(spec)
        holdings = Holdings()
        try:
            session = await self._start(spec, holdings)
        except OSError as error:
            await holdings.give_back()
            raise SandboxError(f"the session could not start: {error}", code="internal") from error
        except BaseException:
            await holdings.give_back()
            raise
        return await self._own(session)

    async def _start(self, spec: LaunchSpec, holdings: Holdings) -> ProcessSession:
        session_id = self._new_id(spec.label)
        folder = self._folder / session_id
        cgroup = Cgroup(self._hierarchies, session_id)
        groups = tuple(map(str, cgroup.folders))
        self._take(holdings, Taken(session=session_id, launcher=self.name, folder=str(self._folder), cgroups=groups))
        uid = self._lend(holdings)
        if uid is not None and spec.workspace is not None:
            await anyio.to_thread.run_sync(give, spec.workspace, uid)
        folder.mkdir(mode=0o711)
        holdings.add(lambda: shutil.rmtree(folder))
        control = open_control(folder / "control", inside=CONTROL, uid=uid)
        try:
            holdings.add(cgroup.remove)
            held = cgroup.create(spec.limits)
            with CancelScope(shield=True):  # some milliseconds; what is half started could not be found again
                with anyio.fail_after(START_S):
                    session = await self._confine(spec, holdings, session_id, uid, folder, control, cgroup, held)
        except TimeoutError as error:
            control.close()
            raise SandboxError(f"bubblewrap did not start within {START_S:g} s", code="internal") from error
        except BaseException:
            control.close()
            raise
        return session

    def _lend(self, holdings: Holdings) -> int | None:
        if not self._is_root:
            return None
        lent = self._uids.lend(self._started)
        self._started += 1
        holdings.add(lent.give_back)
        return lent.uid

    async def _confine(
        self,
        spec: LaunchSpec,
        holdings: Holdings,
        session_id: str,
        uid: int | None,
        folder: Path,
        control: OpenControl,
        cgroup: Cgroup,
        held: Mapping[str, str],
    ) -> ProcessSession:
        staged: list[tuple[Path, Path]] = []  # sources, and where they are mounted
        workspace = None if spec.workspace is None else _staged(spec.workspace.absolute(), uid, folder, staged)
        binds = [evolve(bind, source=_staged(bind.source.absolute(), uid, folder, staged)) for bind in spec.binds]
        env = base_env(spec, home=WORKSPACE if workspace is not None else "/tmp")
        options = bwrap_arguments(
            spec,
            env=env,
            etc=self._etc,
            control=control.control.folder,
            workspace=workspace,
            binds=binds,
        )
        status_fd, status_end = pipe()
        block_end, gate = pipe()
        status = ByteReader(status_fd)
        holdings.add(status.aclose)
        theirs = [status_end, block_end]
        try:
            theirs.append(args := _memory_file(b"\0".join(os.fsencode(option) for option in options) + b"\0"))
            floor = rlimits(spec.limits, held)
            filtering: list[str] = []
            if self._filter is not None:
                theirs.append(rules := _memory_file(self._filter))
                filtering = ["--seccomp", str(rules)]
            command = [
                *entering_command(self._tools, cgroup.doors, staged),
                *self._as_uid(uid),
                *(self._tools[self._executable], *filtering, "--args", str(args)),
                *("--json-status-fd", str(status_end), "--block-fd", str(block_end), "--"),
                *(self._tools["prlimit"], *(f"--{name}={value}" for name, value in floor.items()), "--", *spec.argv),
            ]
            spawned = spawn(command, env=_SYSTEM_ENV, cwd="/", pass_fds=(*theirs, *spec.pass_fds))
        except BaseException:
            os.close(gate)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        init: _Init | None = None
        try:
            init = _Init(await _child_pid(status, spawned))
            if cgroup.must_join:
                await anyio.to_thread.run_sync(cgroup.join, init.pid)
            proxy = await self._doors.inside(init.pid, spec.network) if spec.network.is_proxied else None
        except BaseException:
            if init is not None:
                init.kill()
                init.close()
            spawned.process.kill()
            await wait_for(spawned.process)
            spawned.close()
            raise
        finally:
            os.close(gate)  # it runs from here on; a failed one is dead already
        holdings.add(init.close)
        if proxy is not None:
            holdings.add(proxy.close)
        enforced = {
            "memory": held["memory"] if held["memory"] != "none" else "rlimit",
            "pids": held["pids"] if held["pids"] != "none" else "rlimit",
            "cpu": held["cpu"],
            "disk": "none" if spec.workspace is None else "sampled",
            "file_size": "rlimit",
            "network": spec.network.held_by,
            "seccomp": "none" if self._filter is None else "bpf",
            "processes": "pid-namespace",
            "filesystem": "mount-namespace",
            "uid": "shared" if uid is None else "own",
        }
        self._tell_unheld(enforced)
        return ProcessSession(
            id=session_id,
            spawned=spawned,
            pid=init.pid,
            uid=uid,
            workspace=WORKSPACE,
            folder=spec.workspace,
            disk_bytes=spec.limits.disk_bytes,
            control=control,
            enforced=enforced,
            cgroup=cgroup,
            holdings=holdings,
            kill_all=init.kill,
            signal_one=init.signal,
            failure=lambda: _failure(status),
            proxy=proxy,
            entrance=None
            if uid is None
            else Entrance(doors=cgroup.all_doors, uid=AGENT_UID, rlimits=floor, filter=self._filter, env=env),
        )


class _Init:
    """The first process in the sandbox's pid namespace: everything in there dies with it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def kill(self) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def signal(self, pid: int, signum: int, group: bool) -> bool:
        return self._pidfd >= 0 and signal_inside(self.pid, pid, signum, group=group)

    def close(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)


def _memory_file(content: bytes) -> int:
    """A file without a name, read from its start: what a process is told and others are not."""
    fd = os.memfd_create("agentflow")
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _staged(source: Path, uid: int | None, folder: Path, staged: list[tuple[Path, Path]]) -> Path:
    """The path by which the session's uid reaches the source; one that it cannot enter is mounted beside the session."""
    if uid is None or can_enter(source, uid):
        return source
    target = folder / f"source-{len(staged)}"
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    staged.append((source, target))
    return target


async def _child_pid(status: ByteReader, spawned: Spawned) -> int:
    """What bubblewrap tells first: the first process in the new namespaces, which waits for us."""
    told = b""
    try:
        while b"\n" not in told:
            told += await status.receive()
        return int(json.loads(told.partition(b"\n")[0])["child-pid"])
    except EndOfStream:
        said = (await spawned.stderr.read_all()).decode(errors="replace").strip()
        raise SandboxError(f"the session could not be confined: {said}", code="internal") from None


async def _failure(status: ByteReader) -> str:
    """Why the program never ran; empty if it did, since then bubblewrap tells its exit code."""
    told = await status.read_all()
    return "" if b"exit-code" in told else "the sandbox could not be made; its stderr says why"
