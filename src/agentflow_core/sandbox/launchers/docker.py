"""Confine sessions in containers of a Docker engine on this machine, through its SDK (the extra ``docker``)."""

from __future__ import annotations

import os
import shutil
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
from anyio import CancelScope

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers.docker_gate import Gate, check_proxied
from agentflow_core.sandbox.launchers.docker_session import DockerSession
from agentflow_core.sandbox.launchers.folders import give, open_control
from agentflow_core.sandbox.launchers.ledger import Taken
from agentflow_core.sandbox.launchers.owner import Owner, base_env, check_spec
from agentflow_core.sandbox.launchers.processes import OPEN_FILES
from agentflow_core.sandbox.launchers.session import Holdings
from agentflow_core.sandbox.launchers.spec import CONTROL, HOST_NAME, WORKSPACE
from agentflow_core.sandbox.launchers.uids import UidRange

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack
    from pathlib import Path

    from agentflow_core.sandbox.launchers.folders import OpenControl
    from agentflow_core.sandbox.launchers.ledger import Ledger
    from agentflow_core.sandbox.launchers.proxy.reaching import Resolver
    from agentflow_core.sandbox.launchers.spec import LaunchSpec

__all__ = ["LABEL", "DockerLauncher", "connect", "remove_container"]

#: The label by which containers of ours are found; its value is the session's id.
LABEL: Final = "agentflow.session"
#: Calls to the engine at once; each holds a thread and a connection.
CALLS: Final = 8
TIMEOUT_S: Final = 60

T = TypeVar("T")


def connect() -> Any:
    """A client of the engine that ``DOCKER_HOST`` names, or of the local one; an answering one.

    Raises:
        SandboxError: ``provider_unavailable``.
    """
    try:
        import docker  # 100 ms; only when the launcher is used
    except ImportError as error:
        raise SandboxError(
            "the launcher 'docker' needs the Docker SDK",
            code="provider_unavailable",
            hint="pip install 'agentflow-core[docker]'",
        ) from error
    try:
        _knock(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        client = docker.from_env(timeout=TIMEOUT_S, max_pool_size=CALLS)
        client.api.headers["Connection"] = "close"  # the SDK would keep one for each path, which nobody asks again
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise SandboxError(
            f"no Docker engine answers: {error}",
            code="provider_unavailable",
            hint="apt-get install docker.io && systemctl start docker, or set DOCKER_HOST",
        ) from error
    return client


def _knock(host: str) -> None:
    """Raise `OSError` if nobody listens at a local socket, where the SDK would leave its own socket open."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(host.removeprefix("unix://"))


def remove_container(name: str) -> None:
    """Kill and remove a container, if it is there."""
    import docker

    client = connect()
    try:
        client.api.remove_container(name, force=True, v=True)
    except docker.errors.NotFound:
        pass
    finally:
        client.close()


class DockerLauncher(Owner):
    """See `Launcher`. Containers run as the server's uid, or as the first of its uids when that is root.

    The image must be there; nothing is downloaded. It needs ``/bin/sh`` for `Confined.signal`.
    """

    name = "docker"

    def __init__(
        self,
        *,
        image: str | None,
        runtime: str | None = None,
        folder: Path | None = None,
        uids: UidRange | None = None,
        ledger: Ledger | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        super().__init__(folder=folder, ledger=ledger, resolver=resolver)
        if not image:
            raise SandboxError(
                "the launcher 'docker' needs an image",
                code="invalid_argument",
                hint="launcher: {kind: docker, image: python:3.12-slim}",
            )
        self._image = image
        self._runtime = runtime
        self._uid = os.geteuid() or (uids or UidRange()).first
        self._client: Any = None
        self._calls = anyio.CapacityLimiter(CALLS)
        self._held: dict[str, str] = {}

    async def _call(self, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """Ask the engine from a thread."""
        return await anyio.to_thread.run_sync(partial(function, *args, **options), limiter=self._calls)

    async def _prepare(self, stack: AsyncExitStack) -> None:
        self._client = await self._call(connect)
        stack.callback(self._client.close)
        import docker  # it is there, else nothing had connected

        try:
            await self._call(self._client.images.get, self._image)
        except docker.errors.ImageNotFound as error:
            raise SandboxError(
                f"the Docker engine has no image {self._image!r}",
                code="provider_unavailable",
                hint=f"docker pull {self._image}",
            ) from error
        info = await self._call(self._client.info)
        by = f"cgroup-v{info.get('CgroupVersion', '1')}"
        self._held = {
            "memory": by if info.get("MemoryLimit") else "none",
            "pids": by if info.get("PidsLimit") else "none",
            "cpu": by if info.get("CpuCfsQuota") else "none",
            "seccomp": "docker" if any("seccomp" in each for each in info.get("SecurityOptions") or ()) else "none",
        }

    async def start(self, spec: LaunchSpec) -> DockerSession:
        """See `Launcher.start`."""
        import docker

        self._owners()
        check_spec(spec)
        if spec.pass_fds:
            raise SandboxError(
                "containers cannot inherit file descriptors", code="unsupported", hint="use the control folder"
            )
        if spec.network.is_proxied:
            check_proxied(self._runtime)
        holdings = Holdings()
        try:
            session = await self._start(spec, holdings)
        except (docker.errors.DockerException, OSError) as error:
            await holdings.give_back()
            raise SandboxError(f"the container could not start: {error}", code="internal") from error
        except BaseException:
            await holdings.give_back()
            raise
        return await self._own(session)

    async def _start(self, spec: LaunchSpec, holdings: Holdings) -> DockerSession:
        session_id = self._new_id(spec.label)
        folder = self._folder / session_id
        self._take(
            holdings, Taken(session=session_id, launcher=self.name, folder=str(self._folder), container=session_id)
        )
        if spec.workspace is not None and os.geteuid() == 0:
            await anyio.to_thread.run_sync(give, spec.workspace, self._uid)
        folder.mkdir(mode=0o711)
        holdings.add(lambda: shutil.rmtree(folder))
        control = open_control(folder / "control", inside=CONTROL, uid=self._uid if os.geteuid() == 0 else None)
        try:
            with CancelScope(shield=True):  # a container whose making was given up would be made all the same
                session = await self._run(spec, holdings, session_id, control)
        except BaseException:
            control.close()
            raise
        return session

    async def _run(self, spec: LaunchSpec, holdings: Holdings, session_id: str, control: OpenControl) -> DockerSession:
        api = self._client.api
        gate: Gate | None = None
        if spec.network.is_proxied:
            gate = Gate(control.control.folder, self._uid)
            holdings.add(gate.close)
        holdings.add(partial(self._call, self._removed, session_id))
        await self._call(api.create_container, **self._container(spec, session_id, control.control.folder))
        attached = await self._call(
            api.attach_socket, session_id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        session = DockerSession(
            id=session_id,
            uid=self._uid,
            attached=attached,
            folder=spec.workspace,
            disk_bytes=spec.limits.disk_bytes,
            control=control,
            enforced=self._enforced(spec),
            holdings=holdings,
            api=api,
            call=self._call,
        )
        try:
            await self._call(api.start, session_id)
            seen = await self._call(api.inspect_container, session_id)
            session.pid, session.container = seen["State"]["Pid"], seen["Id"]
            if gate is not None:
                proxy = await self._doors.inside(session.pid, spec.network, is_it=gate.is_of)
                holdings.add(proxy.close)
                session.serve_by(proxy)
                gate.open()
        except BaseException:
            session.close_streams()
            raise
        self._tell_unheld(session.enforced)
        return session

    def _removed(self, container: str) -> None:
        import docker

        try:
            self._client.api.remove_container(container, force=True, v=True)
        except docker.errors.NotFound:
            return
        except docker.errors.DockerException as error:
            raise OSError(f"container {container}: {error}") from error

    def _enforced(self, spec: LaunchSpec) -> dict[str, str]:
        return {
            **self._held,
            "disk": "none" if spec.workspace is None else "sampled",
            "file_size": "rlimit",
            "network": spec.network.held_by,
            "processes": "pid-namespace",
            "filesystem": "mount-namespace",
            "uid": "shared",
        }

    def _container(self, spec: LaunchSpec, session_id: str, control: Path) -> dict[str, Any]:
        """What the engine is asked for."""
        api = self._client.api
        limits = spec.limits
        binds = {str(control): {"bind": CONTROL, "mode": "ro"}}
        if spec.workspace is not None:
            binds[str(spec.workspace.absolute())] = {"bind": WORKSPACE, "mode": "rw"}
        for bind in spec.binds:
            binds[str(bind.source.absolute())] = {"bind": bind.target, "mode": "rw" if bind.writable else "ro"}
        is_networked = spec.network.mode == "host"
        ulimits = {"core": 0, "fsize": limits.file_bytes or limits.disk_bytes, "nofile": OPEN_FILES}
        host = api.create_host_config(
            binds=binds,
            cap_drop=["ALL"],
            ipc_mode="private",
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            nano_cpus=int(limits.cpus * 1e9),
            network_mode="host" if is_networked else "none",
            pids_limit=limits.pids,
            read_only=True,
            runtime=self._runtime,
            security_opt=["no-new-privileges"],
            shm_size=limits.tmp_bytes,
            tmpfs={"/tmp": f"size={limits.tmp_bytes},mode=1777,exec"},
            ulimits=[{"Name": name, "Soft": value, "Hard": value} for name, value in ulimits.items()],
        )
        return {
            "image": self._image,
            "name": session_id,
            "command": Gate.command(spec.argv) if spec.network.is_proxied else list(spec.argv),
            "entrypoint": [],
            "environment": base_env(spec, home=WORKSPACE if spec.workspace is not None else "/tmp"),
            "user": f"{self._uid}:{self._uid}",
            "hostname": None if is_networked else HOST_NAME,
            "working_dir": spec.cwd or (WORKSPACE if spec.workspace is not None else "/"),
            "labels": {LABEL: session_id},
            "stdin_open": True,
            "host_config": host,
        }
