"""What a launcher is asked to start, and what it gives back: records and the two Protocols."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import field, frozen

from agentflow_core.config import option
from agentflow_core.errors import ConfigError, Problem
from agentflow_core.sandbox.launchers.proxy.patterns import Pattern
from agentflow_core.sandbox.launchers.streams import ByteReader, ByteWriter

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = [
    "CONTROL",
    "HOST_NAME",
    "WORKSPACE",
    "Bind",
    "Confined",
    "Control",
    "Ended",
    "Entrance",
    "LaunchSpec",
    "Launcher",
    "Limits",
    "Network",
    "Usage",
]

#: Where the workspace and the control folder stand inside, and what the machine is called there.
WORKSPACE = "/workspace"
CONTROL = "/control"
HOST_NAME = "agentflow"

MIB = 1024 * 1024


@frozen(kw_only=True)
class Limits:
    """What one session may take. What of it is really held is told by `Confined.enforced`."""

    cpus: float = option(1.0, help="processors, also a part of one", at_least=0.01)
    memory_bytes: int = option(512 * MIB, help="memory of all processes and of /tmp together", at_least=16 * MIB)
    pids: int = option(128, help="processes and threads at once", at_least=4)
    disk_bytes: int = option(1024 * MIB, help="what the workspace may hold; looked at each second", at_least=MIB)
    file_bytes: int | None = option(None, help="size of one file (default: disk_bytes)", at_least=4096)
    tmp_bytes: int = option(64 * MIB, help="size of /tmp, and of /dev/shm, which are in memory", at_least=MIB)


@frozen(kw_only=True)
class Network:
    """What a session reaches: nothing but itself, some hosts through a proxy of ours, or all that the host does.

    ``Network(allow_hosts=("pypi.org", "*.pythonhosted.org", "example.com:8443"))`` is enough for the second. A name
    stands for itself, ``*.`` for every name below a domain, ``*`` for every host; an address or a network
    (``10.1.2.3``, ``10.0.0.0/8``, ``[2001:db8::1]``) for what is reached by address. Ports are 80 and 443 where none
    is written, ``:*`` is any. Addresses that are not public are reached only if a pattern names just them, whatever
    name leads to them.

    Raises:
        ConfigError: a pattern that cannot be read, or hosts for a mode that would not hold to them.
    """

    mode: Literal["off", "allow_hosts", "host"] | None = option(
        None,
        help="off, allow_hosts, or host: everything that the host reaches (default: allow_hosts if there are, else off)",
    )
    allow_hosts: tuple[str, ...] = option(
        (), help="hosts that are reached through the proxy: pypi.org, *.pythonhosted.org, example.com:8443, 10.0.0.0/8"
    )

    def __attrs_post_init__(self) -> None:
        problems: list[Problem] = []
        for index, text in enumerate(self.allow_hosts):
            try:
                Pattern.read(text)
            except ValueError as error:
                problems.append(Problem(str(error), path=f"allow_hosts.{index}"))
        if self.mode == "host" and self.allow_hosts:
            problems.append(
                Problem("'host' reaches everything, allow_hosts holds nothing back: leave one out", path="mode")
            )
        if self.mode == "allow_hosts" and not self.allow_hosts:
            problems.append(Problem("is empty: name the hosts, or write mode: off", path="allow_hosts"))
        if problems:
            raise ConfigError(problems)
        if self.mode is None:
            object.__setattr__(self, "mode", "allow_hosts" if self.allow_hosts else "off")

    @property
    def is_proxied(self) -> bool:
        """Whether there is a proxy. Hosts that stand beside ``mode: off`` are not reached."""
        return self.mode == "allow_hosts"

    @property
    def held_by(self) -> str:
        """What of `Confined.enforced` says of a launcher that holds it."""
        return "none" if self.mode == "host" else "proxy" if self.is_proxied else "namespace"


@frozen(kw_only=True)
class Bind:
    """A folder or file of the host that is seen inside, never beneath something that can be written there."""

    source: Path
    target: str  #: absolute
    writable: bool = False


@frozen(kw_only=True)
class LaunchSpec:
    """One session's first process and what it is confined to."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(factory=dict, repr=False)  #: on top of PATH, HOME, USER, LANG and the like
    workspace: Path | None = None  #: seen as `WORKSPACE`, writable; becomes property of the session's uid
    binds: tuple[Bind, ...] = ()
    limits: Limits = field(factory=Limits)
    network: Network = field(factory=Network)
    cwd: str | None = None  #: inside; default: the workspace, else ``/``
    pass_fds: tuple[int, ...] = ()  #: kept open under the same numbers; not under docker
    label: str = ""  #: for people: names cgroups and containers, beside a unique id


@frozen(kw_only=True)
class Control:
    """The channel beside stdin and stdout: two FIFOs in a folder that stands inside too, read-only.

    A program inside opens ``{inside}/commands`` to read and ``{inside}/replies`` to write. `replies` ends when the
    session has.
    """

    folder: Path
    inside: str
    commands: ByteWriter
    replies: ByteReader


@frozen(kw_only=True)
class Usage:
    """What a session has taken so far; None where nothing on this machine counts it."""

    cpu_s: float | None = None
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    pids: int | None = None
    oom_kills: int = 0  #: processes that the memory limit has killed, the first one or any other
    forks_denied: int = 0  #: how often the limit of processes was hit
    disk_bytes: int | None = None  #: of the workspace, as last looked at


@frozen(kw_only=True)
class Ended:
    """How a session ended.

    ``exit``: its first process ended (``returncode``, 128 + n after signal n); ``oom``: killed by the memory limit;
    ``disk``: killed by us because the workspace outgrew its limit; ``killed``: by `Confined.kill`; ``failed``: it never
    ran (``detail`` says why).
    """

    reason: Literal["exit", "oom", "disk", "killed", "failed"]
    returncode: int
    detail: str = ""


@frozen(kw_only=True)
class Entrance:
    """How a process of root's makes itself one of a session's, as one that was started in it is.

    It joins the namespaces of ``Confined.pid`` and the groups, and takes on user, limits and filter, before it runs
    anything of the session's.
    """

    doors: tuple[Path, ...]  #: files of control groups; a process of one thread that writes ``0`` has joined
    uid: int  #: and gid, inside
    rlimits: Mapping[str, int]  #: by the names that ``prlimit`` knows
    filter: bytes | None  #: of system calls, as ``struct sock_filter[]``
    env: Mapping[str, str] = field(repr=False)


class Confined(Protocol):
    """A running session. Whoever started it closes it: ``async with await launcher.start(spec) as confined``."""

    id: str
    pid: int  #: on the host: the process with which everything inside dies
    uid: int | None  #: on the host; files that are put into the workspace should be its property
    workspace: str  #: inside
    control: Control
    stdin: ByteWriter
    stdout: ByteReader
    stderr: ByteReader
    enforced: Mapping[str, str]  #: limit or boundary → by what it is held, ``none`` if it is not
    entrance: Entrance | None  #: None where no other process can join
    ended: Ended | None

    async def wait(self) -> Ended:
        """Wait until nothing of it runs any more. What it wrote can still be read afterwards."""
        ...

    async def kill(self) -> None:
        """Kill everything in it and wait until it is gone."""
        ...

    async def signal(self, pid: int, signum: int, *, group: bool = False) -> bool:
        """Send a signal to a process, or a process group, by its number inside; False if there is none."""
        ...

    async def usage(self) -> Usage:
        """What it takes now; after its end, what it took."""
        ...

    async def aclose(self) -> None:
        """Kill it if it runs, close its streams, remove what it held. The workspace stays: it is the caller's."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Launcher(Protocol):
    """Starts sessions confined. Open it with ``async with``; leaving it kills all that it started."""

    name: str

    async def start(self, spec: LaunchSpec) -> Confined:
        """Start a session. When it fails or is cancelled, nothing is left.

        Raises:
            SandboxError: ``provider_unavailable`` if a tool is missing (the hint installs it), ``overloaded`` if no
                uid is free, ``invalid_argument`` for a spec that it cannot keep, ``unsupported``, ``internal``.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
