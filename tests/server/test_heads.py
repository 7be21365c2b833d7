"""Heads of requests that are too long, or never come."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager

import anyio
import pytest
import uvicorn
from anyio import EndOfStream

from agentflow_core.sandbox.server.heads import MAX_HEAD_BYTES
from agentflow_core.sandbox.server.process import http_config


async def hello(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def connected():
    """A connection to a server in this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(http_config(hello))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            async with await anyio.connect_tcp(*listener.getsockname()) as stream:
                with anyio.fail_after(30):
                    yield stream
            server.should_exit = True


async def all_of(stream) -> bytes:
    """What comes until the other side closes."""
    got = b""
    try:
        while True:
            got += await stream.receive()
    except EndOfStream:
        return got


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr("agentflow_core.sandbox.server.heads.HEAD_S", 0.5)


async def test_a_head_without_end_is_refused():
    async with connected() as stream:
        await stream.send(b"GET / HTTP/1.1\r\nX: ")
        sent, got = 0, b""
        while not got:
            await stream.send(b"x" * 1024)
            sent += 1024
            with anyio.move_on_after(0.01):
                got = await stream.receive()
        assert got.startswith(b"HTTP/1.1 400 ")
        assert sent <= MAX_HEAD_BYTES + 64 * 1024
        await all_of(stream)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_closes_the_connection(soon, sent):
    async with connected() as stream:
        if sent:
            await stream.send(sent)
        assert await all_of(stream) == b""


async def test_a_second_head_that_does_not_come_closes_the_connection(soon):
    async with connected() as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        assert (await all_of(stream)).endswith(b"\r\n\r\nhello")


async def test_a_connection_that_has_asked_waits_for_the_next_request(soon):
    async with connected() as stream:
        for _ in range(2):
            await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            got = b""
            while not got.endswith(b"hello"):
                got += await stream.receive()
            await anyio.sleep(1)
