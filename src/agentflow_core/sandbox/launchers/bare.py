"""Start sessions unconfined, for trusted code and for systems without bubblewrap: a process group and rlimits, no more."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio.lowlevel

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.folders import open_control
from agentflow_core.sandbox.launchers.ledger import Taken
from agentflow_core.sandbox.launchers.owner import Owner, base_env, check_spec
from agentflow_core.sandbox.launchers.processes import MARK, below, kill_marked, marked, rlimits, spawn
from agentflow_core.sandbox.launchers.session import Holdings, ProcessSession

if TYPE_CHECKING:
    from agentflow_core.sandbox.launchers.spec import LaunchSpec

__all__ = ["BareLauncher"]

#: The letters of ``ulimit``, with the size of its unit.
_ULIMITS: Final = {"core": ("c", 512), "fsize": ("f", 512), "nofile": ("n", 1), "data": ("d", 1024)}


class BareLauncher(Owner):
    """See `Launcher`. It is named ``none`` since that is what it isolates; a configuration has to ask for it.

    Paths inside are those of the host. A program that wants to can leave its process group and forget its environment,
    and then lives on; the other launchers hold such a one.
    """

    name = "none"

    async def start(self, spec: LaunchSpec) -> ProcessSession:
        """See `Launcher.start`."""
        self._owners()
        check_spec(spec)
        for bind in spec.binds:
            if str(bind.source.absolute()) != bind.target:
                raise SandboxError(
                    f"the launcher 'none' cannot show {bind.source} as {bind.target}",
                    code="unsupported",
                    hint="use the launcher bwrap or docker",
                )
        await anyio.lowlevel.checkpoint()
        holdings = Holdings()
        try:
            session = self._start(spec, holdings)
        except OSError as error:
            await holdings.give_back()
            raise SandboxError(f"the session could not start: {error}", code="internal") from error
        except BaseException:
            await holdings.give_back()
            raise
        return await self._own(session)

    def _start(self, spec: LaunchSpec, holdings: Holdings) -> ProcessSession:
        session_id = self._new_id(spec.label)
        folder = self._folder / session_id
        self._take(holdings, Taken(session=session_id, launcher=self.name, folder=str(self._folder)))
        folder.mkdir(mode=0o700)
        holdings.add(lambda: shutil.rmtree(folder))
        workspace = str(folder if spec.workspace is None else spec.workspace.absolute())
        proxy = self._doors.on_loopback(spec.network) if spec.network.is_proxied else None
        if proxy is not None:
            holdings.add(proxy.close)
        control = open_control(folder / "control", inside=str(folder / "control"), uid=None)
        floor = rlimits(spec.limits, {})
        ulimits = "; ".join(
            f"ulimit -{_ULIMITS[name][0]} {-(-value // _ULIMITS[name][1])}"
            for name, value in floor.items()
            if name in _ULIMITS
        )
        system = {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": tempfile.gettempdir()}
        base = base_env(spec, home=workspace, proxy_url="" if proxy is None else proxy.url)
        env = {**base, **system, **spec.env, MARK: session_id}
        try:
            spawned = spawn(
                ["/bin/sh", "-c", f'{ulimits}; exec "$@"', "sh", *spec.argv],
                env=env,
                cwd=spec.cwd or workspace,
                pass_fds=spec.pass_fds,
            )
        except BaseException:
            control.close()
            raise
        pid = spawned.process.pid
        enforced = {
            "memory": "rlimit",
            "pids": "none",
            "cpu": "none",
            "disk": "none" if spec.workspace is None else "sampled",
            "file_size": "rlimit",
            **dict.fromkeys(("network", "seccomp", "processes", "filesystem"), "none"),
            "uid": "shared",
        }
        self._tell_unheld(enforced)
        return ProcessSession(
            id=session_id,
            spawned=spawned,
            pid=pid,
            uid=None,
            workspace=workspace,
            folder=spec.workspace,
            disk_bytes=spec.limits.disk_bytes,
            control=control,
            enforced=enforced,
            cgroup=None,
            holdings=holdings,
            kill_all=lambda: kill_marked(session_id, pid if spawned.process.returncode is None else None),
            signal_one=lambda target, signum, group: _signal(pid, session_id, target, signum, group=group),
            failure=_no_failure,
            proxy=proxy,
        )


async def _no_failure() -> str:
    return ""


def _signal(root: int, mark: str, target: int, signum: int, *, group: bool) -> bool:
    tree = {*below(root), *marked(mark)}
    with suppress(ProcessLookupError):
        if group and any(os.getpgid(each) == target for each in tree):
            os.killpg(target, signum)
            return True
        if not group and target in tree:
            os.kill(target, signum)
            return True
    return False
