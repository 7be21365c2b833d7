"""A machine that somebody else serves."""

from __future__ import annotations

import socket

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_vm.machines.remote import RemoteMachine
from agentflow_vm.machines.remote_config import RemoteConfig


async def test_it_is_connected_to_by_name_and_port(premises):
    async with premises("none") as context_of, await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def serve(stream):
            async with stream:
                await stream.send(b"RFB 003.008\n")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            machine = RemoteMachine(RemoteConfig(host="127.0.0.1", port=port, password="secret"), context_of())
            await machine.start()
            async with await machine.connect_display() as stream:
                assert await stream.receive(12) == b"RFB 003.008\n"
            assert machine.password == "secret"
            assert await machine.failure() is None
            await machine.aclose()
            tasks.cancel_scope.cancel()


async def test_a_machine_that_is_not_there_says_where_it_was_looked_for(premises):
    async with premises("none") as context_of:
        with socket.socket() as held:  # so that nobody else listens there meanwhile
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
            machine = RemoteMachine(RemoteConfig(host="127.0.0.1", port=port), context_of())
            with pytest.raises(SandboxError, match=f"127.0.0.1:{port} cannot be connected to") as caught:
                await machine.start()
            assert caught.value.code == "provider_unavailable"
            with pytest.raises(SandboxError) as caught:
                await machine.connect_display()
            assert caught.value.code == "session_lost"
            assert str(port) in (await machine.failure() or "")


async def test_apps_and_files_are_refused_since_there_is_no_way_in(premises):
    async with premises("none") as context_of:
        with pytest.raises(SandboxError, match="no way in"):
            RemoteMachine(RemoteConfig(host="127.0.0.1"), context_of(apps=["xterm"]))


async def test_nothing_of_it_can_be_kept_or_copied(premises):
    async with premises("none") as context_of:
        machine = RemoteMachine(RemoteConfig(host="127.0.0.1"), context_of())
        for call in (machine.still(), machine.snapshot("a"), machine.restore("a"), machine.fork(context_of())):
            with pytest.raises(SandboxError) as caught:
                await call
            assert caught.value.code == "unsupported"
