"""Start the server that a configuration describes, in this process or in several."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
from attrs import frozen

from agentflow_core.errors import UsageError
from agentflow_core.sandbox.catalog import Catalog
from agentflow_core.sandbox.server.access import Tokens, check_bind
from agentflow_core.sandbox.server.engines import listen_on_consecutive, run_engines
from agentflow_core.sandbox.server.handlers import ServerFacts
from agentflow_core.sandbox.server.process import Ending, listen, run_server, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from agentflow_core.plugins import PluginHost
    from agentflow_core.sandbox.server.config import ServeConfig

__all__ = ["Child", "loop_options", "serve"]

TOKEN_VARIABLE = "AGENTFLOW_TOKEN"


@frozen(kw_only=True)
class Child:
    """What one of several server processes is told by the one that keeps them."""

    descriptor: int  #: of its listening socket
    urls: tuple[str, ...]  #: of all


def serve(
    config: ServeConfig,
    host: PluginHost,
    *,
    environ: MutableMapping[str, str],
    debug: bool = False,
    announce: Callable[[Sequence[str]], None],
    child: Child | None = None,
    child_command: Callable[[Child], Sequence[str]],
) -> int:
    """Serve until a signal. Returns the exit code: 0, or 1 where calls or sessions were not waited for.

    Args:
        config: what is offered, and how.
        host: the plugins.
        environ: holds the token, which is taken out of it so that no session inherits it.
        debug: show the traceback of a defect to the caller.
        announce: is told the URLs, once they listen.
        child: this process is one of several.
        child_command: the command line of one of several.

    Raises:
        UsageError: the address is taken, or is reached by others and there is no token; or it is that of a client.
        AgentFlowError: a backend of ``warmup`` cannot start.
    """
    options = config.server
    if config.urls:
        raise UsageError(f"the configuration names the server at {config.urls[0]}", hint="leave url out to serve here")
    tokens = Tokens.read(options.token_file, config.token, environ.get(TOKEN_VARIABLE))
    check_bind(options.host, tokens)
    if child is None and options.engines > 1:
        return _serve_several(config, announce=announce, child_command=child_command)
    environ.pop(TOKEN_VARIABLE, None)
    catalog = Catalog.from_registry(host.registry, config)
    if child is None:
        listener = listen(options.host, options.port)
        urls: tuple[str, ...] = (url_of(listener),)
    else:
        listener = socket.socket(fileno=child.descriptor)
        listener.setblocking(False)
        urls = child.urls
    facts = ServerFacts(urls=urls, max_body_bytes=options.max_body_bytes, debug=debug)

    async def run() -> int:
        ending = Ending()
        async with anyio.create_task_group() as tasks:
            if child is not None:
                tasks.start_soon(_end_with_parent, ending)
            code = await run_server(
                catalog,
                config,
                listener,
                tokens=tokens,
                facts=facts,
                announce=lambda: announce(urls),
                ending=ending,
            )
            tasks.cancel_scope.cancel()
        return code

    with listener:
        return anyio.run(run, backend_options=loop_options())


def _serve_several(
    config: ServeConfig, *, announce: Callable[[Sequence[str]], None], child_command: Callable[[Child], Sequence[str]]
) -> int:
    options = config.server
    listeners = listen_on_consecutive(options.host, options.port, options.engines)
    urls = tuple(url_of(listener) for listener in listeners)
    return anyio.run(
        run_engines,
        listeners,
        lambda descriptor: child_command(Child(descriptor=descriptor, urls=urls)),
        lambda: announce(urls),
    )


async def _end_with_parent(ending: Ending) -> None:
    """End at once when the standard input ends: who kept this process is no more, and another may want the port."""
    await anyio.wait_readable(sys.stdin.fileno())
    ending.gently.set()
    ending.at_once.set()


def loop_options() -> dict[str, Any]:
    """What `anyio.run` is told: uvloop where it is installed."""
    return {"use_uvloop": os.name == "posix" and find_spec("uvloop") is not None}
