"""A server in a process of its own: over real sockets, with signals, and after a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from time import perf_counter

import anyio
import anyio.to_thread
import httpx
import pytest

from agentflow_core.sandbox.wire import decode_result

TOOLS = Path(__file__).parent / "probe_tools.py"
TOKEN = "a-token-of-32-characters-at-least"
NO_KEEP_ALIVE = httpx.Limits(max_keepalive_connections=0)


async def until_refused(port: int) -> None:
    """Wait until nothing listens on the port."""
    with anyio.fail_after(15):
        while True:
            try:
                async with await anyio.connect_tcp("127.0.0.1", port):
                    await anyio.sleep(0.01)
            except OSError:
                return


async def until_status(client: httpx.AsyncClient, status: int) -> None:
    """Wait until the server says of itself that it is ready (200) or not (503)."""
    with anyio.fail_after(15):
        while (await client.get("/readyz")).status_code != status:
            pass


async def test_it_serves_until_a_signal_and_says_only_its_url(serve):
    server = serve()
    async with httpx.AsyncClient(base_url=server.url) as client:
        await until_status(client, 200)
        answer = await client.post("/v1/execute", json={"tool": "probe:echo", "params": {"text": "hello"}})
    assert decode_result(answer.content).text == "hello"
    server.signal(signal.SIGINT)
    assert await server.ended() == 0
    assert server.process.stdout.read() == ""
    assert server.log.read_text() == ""
    await until_refused(server.port)


async def test_a_caller_that_goes_away_finds_its_call_again_which_ran_once(serve, meeting, tmp_path):
    server = serve()
    tally = tmp_path / "tally"
    body = {"tool": "probe:meet", "params": {"port": meeting.port, "tally": str(tally)}, "call_id": "c-1"}
    async with httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_send_and_leave, server.port, body)
        await meeting.wait_for(1)
        async with anyio.create_task_group() as tasks:
            answers = []

            async def again() -> None:
                answers.append(await client.post("/v1/execute", json=body, timeout=30))

            tasks.start_soon(again)
            tasks.start_soon(again)
            await client.get("/healthz")
            await meeting.let_go()
        after = await client.post("/v1/execute", json=body)
    assert {decode_result(one.content).text for one in (*answers, after)} == {"met"}
    assert tally.read_text() == "ran\n"


async def _send_and_leave(port: int, body: object) -> None:
    data = json.dumps(body).encode()
    head = f"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(head.encode() + data)


async def test_a_signal_during_fifty_calls_loses_none(serve, meeting):
    server = serve()
    answers: list[httpx.Response] = []
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client, anyio.create_task_group() as tasks:

        async def call() -> None:
            body = {"tool": "probe:meet", "params": {"port": meeting.port}}
            answers.append(await client.post("/v1/execute", json=body))

        for _ in range(50):
            tasks.start_soon(call)
        await meeting.wait_for(50)
        server.signal(signal.SIGTERM)
        await until_status(client, 503)
        refused = await client.post("/v1/execute", json={"tool": "probe:echo"})
        await meeting.let_go()
    assert [decode_result(one.content).text for one in answers] == ["met"] * 50
    assert (refused.status_code, decode_result(refused.content).code) == (503, "not_ready")
    assert await server.ended() == 0
    await until_refused(server.port)


async def test_calls_that_outlast_the_grace_are_answered_as_cancelled(serve, meeting):
    server = serve("--set", "server.grace_s=0.1")
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client, anyio.create_task_group() as tasks:
        answers = []

        async def call() -> None:
            body = {"tool": "probe:meet", "params": {"port": meeting.port}}
            answers.append(await client.post("/v1/execute", json=body))

        tasks.start_soon(call)
        await meeting.wait_for(1)
        server.signal(signal.SIGTERM)
    assert decode_result(answers[0].content).code == "cancelled"
    assert await server.ended() == 0
    assert "1 calls did not end within 0.1 s" in server.log.read_text()


async def test_a_second_signal_does_not_wait_for_calls(serve, meeting):
    server = serve()
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client, anyio.create_task_group() as tasks:
        answers = []

        async def call() -> None:
            body = {"tool": "probe:meet", "params": {"port": meeting.port}}
            answers.append(await client.post("/v1/execute", json=body))

        tasks.start_soon(call)
        await meeting.wait_for(1)
        server.signal(signal.SIGTERM)
        await until_status(client, 503)
        server.signal(signal.SIGTERM)
    assert decode_result(answers[0].content).code == "cancelled"
    assert await server.ended() == 1


async def test_an_admin_may_drain_it(serve):
    server = serve(AGENTFLOW_TOKEN=TOKEN)
    async with httpx.AsyncClient(base_url=server.url, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        assert (await client.post("/v1/admin/drain")).status_code == 202
    assert await server.ended() == 0


async def test_after_a_kill_nothing_listens_and_the_port_is_served_again(serve):
    server = serve()
    server.signal(signal.SIGKILL)
    await server.ended()
    await until_refused(server.port)
    again = serve(port=server.port)
    assert again.url == server.url
    async with httpx.AsyncClient(base_url=again.url) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_a_full_queue_answers_at_once(serve, meeting):
    server = serve("--set", "limits.probe.max_concurrency=1", "--set", "limits.probe.queue_length=0")
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(_send_and_leave, server.port, {"tool": "probe:meet", "params": {"port": meeting.port}})
        await meeting.wait_for(1)
        took = []
        for _ in range(20):
            began = perf_counter()
            answer = await client.post("/v1/execute", json={"tool": "probe:echo"})
            took.append(perf_counter() - began)
            assert (answer.status_code, decode_result(answer.content).code) == (429, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
        await meeting.let_go()
    assert min(took) < 0.05


async def test_a_reader_that_does_not_read_holds_up_nobody(serve):
    server = serve()
    data = json.dumps({"tool": "probe:big", "params": {"size": 30_000_000}}).encode()
    head = f"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    async with await anyio.connect_tcp("127.0.0.1", server.port) as slow, httpx.AsyncClient() as client:
        await slow.send(head + data)
        first = await slow.receive(10)
        for _ in range(50):
            with anyio.fail_after(5):
                answer = await client.post(f"{server.url}/v1/execute", json={"tool": "probe:echo"})
            assert answer.status_code == 200
        read = len(first)
        with anyio.fail_after(20):
            while read < 30_000_000:
                read += len(await slow.receive())


async def test_a_request_that_never_ends_holds_up_nobody_nor_the_end(serve):
    server = serve("--set", "server.grace_s=1")
    async with await anyio.connect_tcp("127.0.0.1", server.port) as slow, httpx.AsyncClient() as client:
        await slow.send(b"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert (await client.post(f"{server.url}/v1/execute", json={"tool": "probe:echo"})).status_code == 200
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0


async def test_the_token_is_in_no_log_no_answer_and_no_session_s_environment(serve, tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"worker {TOKEN}-of-a-worker\n")
    server = serve("--log-format", "json", "--token-file", file, AGENTFLOW_TOKEN=TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}-of-a-worker"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        body = {"tool": "probe:environ", "params": {"name": "AGENTFLOW_TOKEN"}, "worker_id": "w"}
        answer = await client.post("/v1/execute", json=body)
        assert decode_result(answer.content).data == {"value": None}
        paths = ("/v1/capabilities", "/metrics", "/v1/tools", f"/{TOKEN}", f"/v1/artifacts/{TOKEN}")
        texts = [(await client.get(path)).text for path in paths]
        wrong = await client.get("/v1/tools", headers={"authorization": f"Bearer {TOKEN}x"})
    texts.append(wrong.text)
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    log = server.log.read_text()
    assert [text for text in (*texts, log) if TOKEN in text] == []
    lines = [json.loads(line) for line in log.splitlines()]
    [call] = [line for line in lines if line.get("tool")]
    assert (call["tool"], call["status"], call["caller"], call["worker"]) == (
        "probe:environ",
        200,
        "worker-1",
        "w@worker-1",
    )
    assert [line["status"] for line in lines] == [200, 200, 200, 200, 404, 404, 401]


async def test_several_engines_listen_on_consecutive_ports_and_end_together(serve):
    server = serve("--set", "server.engines=2", engines=2)
    ports = [int(url.rpartition(":")[2]) for url in server.urls]
    assert ports[1] == ports[0] + 1
    pids, instances, told = set(), set(), set()
    async with httpx.AsyncClient(timeout=30) as client:
        for url in server.urls:
            pids.add(decode_result((await client.get(f"{url}/healthz")).content).data["pid"])
            capabilities = decode_result((await client.get(f"{url}/v1/capabilities")).content).data
            instances.add(capabilities["instance"])
            told.add(tuple(capabilities["urls"]))
            answer = await client.post(f"{url}/v1/execute", json={"tool": "probe:echo"})
            assert answer.status_code == 200
    assert (len(pids), len(instances), told) == (2, 2, {tuple(server.urls)})
    server.signal(signal.SIGTERM)
    assert await server.ended() == 0
    for port in ports:
        await until_refused(port)


async def test_engines_end_with_the_process_that_keeps_them(serve):
    server = serve("--set", "server.engines=2", engines=2)
    async with httpx.AsyncClient(timeout=30) as client:
        for url in server.urls:
            assert (await client.get(f"{url}/healthz")).status_code == 200
    server.signal(signal.SIGKILL)
    await server.ended()
    for url in server.urls:
        await until_refused(int(url.rpartition(":")[2]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "there is no token"),
        (("--set", "warmup=[nothing]"), "nothing"),
        (("--set", "server.prot=1"), "did you mean 'port'?"),
        (("--token-file", "/nowhere"), "cannot be read"),
    ],
)
def test_what_cannot_be_served_is_refused_with_what_to_do(cli, monkeypatch, arguments, said):
    monkeypatch.delenv("AGENTFLOW_TOKEN", raising=False)
    ran = cli("serve", "--port", 0, *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""


def test_a_port_that_is_taken_is_said_to_be(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli("serve", "--port", taken.getsockname()[1])
    assert ran.code == 2
    assert "cannot listen on 127.0.0.1" in ran.err


async def test_a_backend_that_cannot_warm_up_ends_the_server(serve, tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text(BROKEN)
    server = serve("--load", plugin, "--set", "warmup=[broken]")
    assert await server.ended() == 1
    assert "no such model" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


async def test_a_second_signal_does_not_wait_for_a_cleanup_that_hangs(serve, tmp_path):
    plugin = tmp_path / "stuck.py"
    plugin.write_text(STUCK)
    server = serve("--load", plugin)
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/v1/execute", json={"tool": "stuck:look"})).status_code == 200
        server.signal(signal.SIGTERM)
        await until_status(client, 503)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 1


STUCK = '''
import anyio
from agentflow_core import Backend, BackendSpec, hookimpl, tool

class Stuck(Backend):
    async def cleanup(self, state):
        await anyio.sleep_forever()

    @tool
    async def look(self, state: None) -> str:
        """Look."""
        return ""

@hookimpl
def agentflow_backends():
    return [BackendSpec(name="stuck", target="agentflow_loaded_stuck:Stuck", summary="Never ends.")]
'''

BROKEN = '''
from agentflow_core import Backend, BackendSpec, hookimpl, tool

class Broken(Backend):
    async def warmup(self):
        raise RuntimeError("no such model")

    @tool
    async def look(self, state: None) -> str:
        """Look."""
        return ""

@hookimpl
def agentflow_backends():
    return [BackendSpec(name="broken", target="agentflow_loaded_broken:Broken", summary="Never starts.")]
'''


async def test_an_engine_that_is_killed_is_started_again_on_its_port(serve):
    server = serve("--set", "server.engines=2", engines=2)
    async with httpx.AsyncClient(timeout=30, limits=NO_KEEP_ALIVE) as client:
        before = await pid_of(client, server.urls[1])
        os.kill(before, signal.SIGKILL)
        with anyio.fail_after(20):
            while (after := await pid_of(client, server.urls[1])) in (before, None):
                pass
        called = await client.post(f"{server.urls[1]}/v1/execute", json={"tool": "probe:echo"})
    assert called.status_code == 200
    assert after != before
    assert "it is started again" in server.log.read_text()


async def pid_of(client: httpx.AsyncClient, url: str) -> int | None:
    try:
        return decode_result((await client.get(f"{url}/healthz")).content).data["pid"]
    except httpx.TransportError:
        return None


def test_a_server_s_file_is_a_configuration_of_the_sandbox_too(cli, tmp_path):
    file = tmp_path / "server.yaml"
    file.write_text(
        f"plugins: {{load: [{TOOLS}]}}\nserver: {{port: 0, grace_s: 5}}\nlimits: {{probe: {{timeout_s: 5}}}}\n"
    )
    assert cli("config", "check", file).code == 0
    called = cli("tools", "call", "probe:echo", '{"text": "here"}', "--config", file)
    assert (called.code, called.out) == (0, "here\n")


def test_a_configuration_that_names_a_server_is_not_served(cli):
    ran = cli("serve", "--set", "url=http://127.0.0.1:18890")
    assert ran.code == 2
    assert "leave url out to serve here" in ran.err


@pytest.mark.parametrize(
    "begin", [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ", b"GET /healthz?"], ids=["header", "line"]
)
async def test_a_head_without_an_end_is_refused(serve, begin):
    server = serve()
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        with anyio.fail_after(30):
            await stream.send(begin)
            sent, refused = 0, False
            while not refused:
                try:
                    await stream.send(b"x" * 8192)
                    sent += 8192
                except anyio.BrokenResourceError:
                    refused = True
                assert sent < 50_000_000
    async with httpx.AsyncClient(base_url=server.url) as client:
        long = {"X-Long": "x" * 30_000}
        for _ in range(2):  # on one connection: each head counts for itself
            assert (await client.get("/healthz", headers=long)).status_code == 200
