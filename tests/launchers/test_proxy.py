"""The proxy by its sockets: what it carries, what it refuses, and that nothing which is sent to it does it harm."""

from __future__ import annotations

import json
import os
import socket
from contextlib import asynccontextmanager

import anyio
import pytest

from agentflow_core.sandbox.launchers.proxy.connections import Connection
from agentflow_core.sandbox.launchers.proxy.patterns import AllowList
from agentflow_core.sandbox.launchers.proxy.reaching import Reach, SystemResolver
from agentflow_core.sandbox.launchers.proxy.serving import Proxy, ProxyLimits

pytestmark = pytest.mark.serial


@pytest.fixture
def proxied(names):
    """A proxy on loopback for these hosts; calling it opens a connection to it."""

    @asynccontextmanager
    async def open_one(*hosts, known=None, room=8, **limits):
        resolver = names(known or {})
        proxy = Proxy(
            socket.create_server(("127.0.0.1", 0)),
            Reach(AllowList.read(hosts), resolver),
            room=anyio.Semaphore(room),
            limits=ProxyLimits(**limits),
        )
        clients = []

        async def client():
            clients.append(Connection(socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2])))))
            return clients[-1]

        client.resolver = resolver
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(proxy.serve)
                yield client
                group.cancel_scope.cancel()
        finally:
            proxy.close()
            for each in clients:
                each.close()

    return open_one


async def said(client, data=b"", *, ends=True):
    """Send, then read to the end."""
    if data:
        await client.send(data)
    if ends:
        client.end()
    got = b""
    while more := await client.receive():
        got += more
    return got


def status(answer):
    return int(answer.split(b" ", 2)[1])


def told(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_body_of_known_length_or_in_chunks_is_carried(proxied, web):
    at = f"127.0.0.1:{web.port}"
    async with proxied(at) as client:
        body = os.urandom(300_000)
        head = b"POST http://%s/a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (at.encode(), len(body))
        assert (await said(await client(), head + body, ends=False)).endswith(b"with 300000")
        chunks = b"POST http://%s/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % at.encode()
        chunks += b"3;x=y\r\nabc\r\n" + b"10000\r\n%s\r\n" % body[:65536] + b"0\r\nTrailer: x\r\n\r\n"
        assert status(await said(await client(), chunks, ends=False)) == 200
    assert web.asked == [f"POST /a for {at}", f"POST /b for {at}"]


async def test_one_connection_carries_one_request_so_that_each_is_judged(proxied, web):
    at = f"127.0.0.1:{web.port}".encode()
    async with proxied(at.decode()) as client:
        asked = b"GET http://%s/one HTTP/1.1\r\nHost: evil.test\r\n\r\nGET http://%s/two HTTP/1.1\r\n\r\n" % (at, at)
        answer = await said(await client(), asked)
        assert (answer.count(b"HTTP/1.1 200"), web.asked) == (1, [f"GET /one for {at.decode()}"])
    assert "connection" in web.peers[0]


async def test_a_tunnel_carries_both_ways_and_its_ends_one_by_one(proxied):
    async with proxied("127.0.0.1:*") as client:
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = await client()
            await one.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\nearly" % server.getsockname()[1])
            accepted, _ = await anyio.to_thread.run_sync(server.accept)
            peer = Connection(accepted)
            assert await one.receive_until(b"\r\n\r\n", 1000) == b"HTTP/1.1 200 Connection established\r\n\r\n"
            await one.send(b" late")
            one.end()
            got = b""
            while more := await peer.receive():
                got += more
            assert got == b"early late"
            await peer.send(b"answer after the end")
            peer.close()
            assert await said(one, ends=False) == b"answer after the end"


async def test_a_host_that_is_not_allowed_is_not_even_looked_up(proxied):
    async with proxied("a.test", known={"evil.test": ["127.0.0.1"]}) as client:
        for request in (b"GET http://evil.test/ HTTP/1.1\r\n\r\n", b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n"):
            answer = await said(await client(), request)
            assert status(answer) == 403
            assert answer.startswith(b"HTTP/1.1 403 network_denied: evil.test:")
            assert told(answer)["allowed_hosts"] == ["a.test"]
            assert (told(answer)["code"], told(answer)["host"]) == ("network_denied", "evil.test")
        assert client.resolver.asked == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "10.0.0.7", "::1", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "0.0.0.0"]
)
async def test_an_allowed_name_that_leads_inside_is_denied(proxied, address):
    async with proxied("a.test", known={"a.test": [address]}) as client:
        answer = await said(await client(), b"CONNECT a.test:80 HTTP/1.1\r\n\r\n")
        assert (status(answer), told(answer)["code"]) == (403, "network_denied")
        assert "not public" in told(answer)["message"]
        assert address not in told(answer)["message"].split()


async def test_the_address_that_was_judged_is_the_one_that_is_reached(proxied, web):
    at = f"127.0.0.1:{web.port}"
    request = b"GET http://a.test:%d/ HTTP/1.1\r\n\r\n" % web.port
    answers = [["169.254.169.254", "127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"]]
    async with proxied(f"a.test:{web.port}", at, known={"a.test": answers}) as client:
        assert status(await said(await client(), request)) == 200  # of two addresses the one that may be reached
        assert client.resolver.asked == ["a.test"]
        assert status(await said(await client(), request)) == 200
        assert client.resolver.asked == ["a.test"] * 2
        assert status(await said(await client(), request)) == 403  # it leads elsewhere now
        assert len(web.asked) == 2


async def test_hosts_that_do_not_answer_are_told_from_hosts_that_are_denied(proxied):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    async with proxied("none.test", "127.0.0.1:*") as client:
        answer = await said(await client(), b"CONNECT none.test:443 HTTP/1.1\r\n\r\n")
        assert (status(answer), told(answer)["code"]) == (502, "upstream_error")
        answer = await said(await client(), b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % closed)
        assert (status(answer), "refused" in told(answer)["message"]) == (502, True)


async def test_names_are_looked_up_as_this_machine_does():
    assert "127.0.0.1" in await SystemResolver()("localhost")
    with pytest.raises(socket.gaierror):
        await SystemResolver()("no-such-name.invalid")


async def test_what_is_sent_does_no_harm(proxied, web):
    at = f"127.0.0.1:{web.port}".encode()
    hostile = (
        *(b"", b"\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n", b"GET\r\n\r\n", os.urandom(2000) + b"\r\n\r\n"),
        *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x05\x01\x00", b"SSH-2.0-x\r\n"),
        b"POST http://%s/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % at,
        b"POST http://%s/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%s" % (at, b"1" * 9000),
        b"POST http://%s/ HTTP/1.1\r\nContent-Length: 100\r\n\r\nshort" % at,
        b"GET http://a.test/ HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
        b"CONNECT " + b"a" * 60_000 + b":443 HTTP/1.1\r\n\r\n",
    )
    async with proxied("127.0.0.1:*") as client:
        for data in hostile:
            one = await client()
            with anyio.fail_after(20):
                try:
                    await said(one, data)
                except OSError:  # it was cut off while it was sending
                    continue
        assert status(await said(await client(), b"GET http://%s/ HTTP/1.1\r\n\r\n" % at)) == 200


async def test_heads_that_are_too_long_or_too_slow_are_refused(proxied):
    async with proxied("a.test", head_bytes=1000) as client:
        answer = await said(await client(), b"GET http://a.test/ HTTP/1.1\r\nA: " + b"b" * 2000)
        assert (status(answer), "1000 bytes" in told(answer)["message"]) == (431, True)
    async with proxied("a.test", head_s=0.2) as client:
        answer = await said(await client(), b"GET http://a.test/ HTTP/1.1\r\n", ends=False)
        assert status(answer) == 408


async def test_connections_on_which_nothing_moves_are_ended(proxied):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with proxied("127.0.0.1:*", idle_s=0.2) as client:
            for request in (b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n", b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n"):
                with anyio.fail_after(20):
                    await said(await client(), request % silent.getsockname()[1], ends=False)


@pytest.mark.parametrize("limits", [{"connections": 2}, {"room": 2}])
async def test_more_clients_than_there_is_room_for_wait(proxied, limits):
    async with proxied("a.test", **limits) as client:
        first, second, third = [await client() for _ in range(3)]
        await third.send(b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n")
        with anyio.move_on_after(0.3) as waiting:
            await third.receive()
        assert waiting.cancelled_caught
        first.end()
        assert status(await said(third)) == 403
        second.end()


async def test_a_proxy_that_ends_takes_its_connections_along(proxied, web):
    before = len(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with proxied("127.0.0.1:*") as client:
            one = await client()
            await one.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % server.getsockname()[1])
            accepted, _ = await anyio.to_thread.run_sync(server.accept)
            await one.receive_until(b"\r\n\r\n", 1000)
        with accepted:
            assert accepted.recv(100) == b""
    assert len(os.listdir("/proc/self/fd")) == before
