"""Settings of the server: where it listens, who may call, how it ends."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from agentflow_core.config import PluginsConfig, option
from agentflow_core.sandbox.config import SandboxConfig
from agentflow_core.sandbox.wire import WORKER_LOST_S

__all__ = ["ServeConfig", "ServerConfig"]


@frozen(kw_only=True)
class ServerConfig:
    """How the sandbox is served."""

    host: str = option("127.0.0.1", help="the address to listen on; one that others reach needs a token")
    port: int = option(18890, help="the port, the first of as many as there are engines; 0: a free one", at_least=0)
    token_file: Path | None = option(
        None, help="a file with a token a line, as 'admin TOKEN' or 'worker TOKEN'", path=True
    )
    allowed_hosts: tuple[str, ...] = option(
        (), help="names in the Host and Origin headers of requests that are accepted beside its own"
    )
    max_body_bytes: int = option(64 * 1024 * 1024, help="the size of a request at most", at_least=1024)
    grace_s: float = option(30.0, help="seconds that running calls have to end when the server stops", at_least=0)
    worker_lost_s: float = option(
        WORKER_LOST_S, help="seconds without a heartbeat after which the sessions of a worker are closed", at_least=0.1
    )
    artifact_ttl_s: float = option(
        3600.0, help="seconds that an artifact is kept after a result has named it last", at_least=0.1
    )
    engines: int = option(1, help="server processes, each with sessions of its own", at_least=1, at_most=64)


@frozen(kw_only=True)
class ServeConfig(SandboxConfig):
    """The sandbox, and how it is served; ``token`` is one that callers may send, an admin's."""

    server: ServerConfig = option(ServerConfig(), help="how it is served", operational=True)
    plugins: PluginsConfig = option(PluginsConfig(), help="Python files that take part")
