"""What no honest client sends, over real sockets: always the documented code, never a defect, and the server goes on."""

from __future__ import annotations

import json

import anyio
import pytest

from agentflow_core.sandbox.wire import decode_result

MIB = 1024 * 1024


@pytest.fixture
async def server(lasting):
    """A server that is well after the test: it answers, and has logged nothing."""
    yield lasting
    async with lasting.caller() as caller:
        assert (await caller.result("probe:echo", {"text": "well"})).text == "well"
        metrics = (await caller.get("/metrics")).text
    assert 'status="500"' not in metrics
    assert lasting.log.read_text() == ""


async def _spoken(server, data):
    """Send bytes; the status that comes back, 0 for none, and the body."""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        got = b""
        with anyio.fail_after(20):
            try:
                await stream.send(data)
                while True:
                    got += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def _post(path, body, *lines, host="localhost"):
    """A request as bytes, after which the connection ends."""
    length = (
        [] if any(line.lower().startswith("content-length") for line in lines) else [f"Content-Length: {len(body)}"]
    )
    head = [f"POST {path} HTTP/1.1", f"Host: {host}", "Connection: close", *length, *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


# ---- bodies


async def _posted(server, path, body):
    async with server.caller() as caller:
        answer = await caller.post(path, content=body)
    return answer.status_code, decode_result(answer.content)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/v1/execute", {"tool": "probe:echo", "worker": "w"}, "'worker'"),
        ("/v1/execute", {"tool": "probe:echo", "params": {"txet": "x"}}, "txet"),
        ("/v1/execute", {"tool": "probe:echo", "params": "text"}, "params"),
        ("/v1/execute", {"tool": None}, "tool"),
        ("/v1/execute/batch", {"calls": [{"tool": "probe:echo", "extra": 1}]}, "calls[0].'extra'"),
        ("/v1/execute/batch", {"calls": [{"tool": "probe:echo"}, 5]}, "calls[1]"),
        ("/v1/execute/batch", {"calls": {"tool": "probe:echo"}}, "calls"),
        ("/v1/execute/batch", {"calls": [], "parallel": "yes"}, "parallel"),
        ("/v1/sessions", {"backends": {"hut": None}, "settings": {}}, "'settings'"),
        ("/v1/sessions", {"backends": ["hut"]}, "backends"),
        ("/v1/sessions", {"backends": {"hut": 5}}, "backends.hut"),
        ("/v1/sessions", {"backends": {"": None}}, "a name in backends"),
        ("/v1/sessions", {}, "'backends'"),
        ("/v1/warmup", {"backend": "hut"}, "'backend'"),
        ("/v1/warmup", {"backends": [5]}, "backends[0]"),
        ("/v1/workers/w/heartbeat", {"workers": [""]}, "workers[0]"),
        ("/v1/workers/w/heartbeat", {"worker": []}, "'worker'"),
    ],
)
async def test_the_field_that_is_wrong_is_named(server, path, body, named):
    status, result = await _posted(server, path, json.dumps(body).encode())
    assert (status, result.code) == (400, "invalid_argument")
    assert named in f"{result.message} {result.hint}"


async def test_of_a_key_that_is_given_twice_the_last_one_counts(server):
    body = b'{"tool": "no:tool", "params": {"text": "a", "text": "b"}, "tool": "probe:echo", "params": {"text": "c"}}'
    status, result = await _posted(server, "/v1/execute", body)
    assert (status, result.text) == (200, "c")


HUGE = 10_000_000


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"tool": "probe:label", "params": {"text": "' + b"x" * HUGE + b'", "times": NaN}}', "times"),
        (b'{"tool": "probe:label", "params": {"text": "' + b"x" * HUGE + b'\\ud800"}}', "text"),
        (b'{"tool": "probe:label", "params": {"text": "x", "' + b"y" * HUGE + b'": 1}}', "yyy"),
        (b'{"tool": "probe:label", "params": {"text": ' + b"[" * 1000 + b"]" * 1000 + b"}}", "text"),
        (b'{"tool": "probe:label", "params": {"text": [' + b'"x",' * (HUGE // 4) + b'"x"]}}', "text"),
        (b'{"tool": "probe:label", "params": {"text": "x", "times": ' + b"9" * 4000 + b".5}}", "times"),
        (b'{"tool": "probe:label", "params": {"\\ud800": 1, "text": "x"}}', "is not an argument"),
    ],
    ids=["nan", "surrogate", "key", "deep", "wide", "number", "surrogate-key"],
)
async def test_large_and_broken_arguments_are_named(server, body, named):
    status, result = await _posted(server, "/v1/execute", body)
    assert (status, result.code) == (400, "invalid_argument")
    assert named in f"{result.message} {result.hint}"
    assert len(result.message) < 2000


async def test_ten_megabytes_are_taken_and_answered_over_the_wire(server):
    body = json.dumps({"tool": "probe:label", "params": {"text": "ü" * (HUGE // 6)}}).encode()
    assert len(body) > HUGE - 100
    status, result = await _posted(server, "/v1/execute", body)
    assert (status, result.data) == (200, HUGE // 6)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (b'{"slow_s": NaN}', "slow_s"),
        (b'{"a": [0, {"b": "\\ud800"}]}', "a[1].b"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}", "levels deep"),
    ],
    ids=["nan", "surrogate", "surrogate-key", "deep"],
)
async def test_settings_that_are_no_json_are_refused_before_a_session_opens(server, settings, named):
    async with server.caller() as caller:
        before = await caller.sessions()
        answer = await caller.post("/v1/sessions", content=b'{"backends": {"hut": ' + settings + b"}}")
        result = decode_result(answer.content)
        assert (answer.status_code, result.code) == (400, "invalid_argument")
        assert "the settings of 'hut'" in result.message
        assert named in result.message
        assert await caller.sessions() == before


# ---- whose session


async def test_the_session_of_another_worker_is_not_found(server):
    async with server.caller() as caller:
        mine = await caller.opened("hut", "a")
        path = f"/v1/sessions/{mine}"
        other = {"worker_id": "b"}
        answers = [
            await caller.execute("hut:count", session_id=mine, worker_id="b"),
            await caller.get(path, params=other),
            await caller.post(f"{path}/renew", params=other),
            await caller.post(f"{path}/fork", params=other),
            await caller.delete(path, params=other),
        ]
        assert {(one.status_code, decode_result(one.content).code) for one in answers} == {(404, "not_found")}
        batch = await caller.post(
            "/v1/execute/batch",
            json={"worker_id": "b", "calls": [{"tool": "hut:count", "session_id": mine, "worker_id": "a"}]},
        )
        assert [one["code"] for one in decode_result(batch.content).data["results"]] == ["not_found"]
        assert (await caller.result("hut:count", session_id=mine, worker_id="a")).data == 1


async def test_a_session_of_an_earlier_server_is_not_one_of_this(site):
    names = []
    for _ in range(2):
        server = site.serve()
        async with server.caller() as caller:
            names.append(await caller.opened("hut", "w"))
            forged = await caller.execute("hut:count", session_id=names[0], worker_id="w")
        server.kill()
    assert [name.rpartition("-")[0] for name in names] == ["hut-1", "hut-1"]
    assert (forged.status_code, decode_result(forged.content).code) == (404, "not_found")


# ---- what is no HTTP, and who may not speak


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["tls", "no-version", "negative", "float", "two-lengths", "chunk"],
)
async def test_what_is_no_http_is_refused(server, data):
    status, _ = await _spoken(server, data)
    assert status in (0, 400)


CALL = b'{"tool": "probe:echo"}'


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_post("/v1/execute", CALL), 200),
        (_post("/v1/execute", CALL, host="rebound.example"), 403),
        (_post("/v1/execute", CALL, host="localhost.rebound.example:80"), 403),
        (_post("/v1/execute", CALL, host="rebound.example#localhost"), 403),
        (_post("/v1/execute", CALL, "Host: rebound.example"), 403),
        (_post("/v1/execute", CALL, "Origin: http://rebound.example"), 403),
        (_post("/v1/execute", CALL, "Origin: null"), 403),
        (_post("http://rebound.example/v1/execute", CALL, host="rebound.example"), 403),
        (_post("/v1/execute", CALL).replace(b"Host: localhost\r\n", b""), 403),
        (_post("/v1/execute", CALL, "Expect: 100-continue", "Transfer-Encoding: identity"), 400),
        (_post("/v1/execute", b"x" * 20, "Content-Length: 99999999999999999999"), 400),
        (_post("/v1/execute", b"x" * 20, "Content-Length: 12000000"), 413),
        (_post("/v1/%65xecute", CALL), 200),
        (_post("/v1/execute/", CALL), 404),
        (_post("/v1//execute", CALL), 404),
        (_post("/v1/sessions/..%2f..%2fexecute/renew", b""), 404),
        (_post("/v1/sessions/%00/renew", b""), 400),
        (_post("/v1/sessions/%ff%fe/renew", b""), 404),
        (_post("/v1/sessions/x/renew?worker_id=%00", b""), 400),
        (_post("/v1/sessions/x/renew?worker_id=" + "x" * 5000, b""), 400),
        (_post("/v1/workers/%0a/heartbeat", b""), 400),
    ],
)
async def test_requests_that_try_to_pass_for_others_get_their_code(server, request_, status):
    got, body = await _spoken(server, request_)
    assert got == status
    if body and got != 200 and body.startswith(b"{"):
        assert not decode_result(body).ok


async def test_wrong_tokens_of_every_kind_are_refused_alike(site):
    token = "a-worker-s-token-of-32-characters"
    server = site.serve(AGENTFLOW_TOKEN=token)
    wrong = [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {token}",
        f"Bearer {token[:-1]}",
        f"Bearer {token}x",
        f"Bearer {token.upper()}",
        f"Bearer {token} {token}",
        f"Bearer {token}\u00ff",
        f"Token {token}",
        "Bearer " + "x" * 60_000,
    ]
    bodies = set()
    for given in wrong:
        lines = [] if given is None else [f"Authorization: {given}"]
        status, body = await _spoken(server, _post("/v1/execute", CALL, *lines))
        assert (status, decode_result(body).code) == (401, "unauthenticated")
        bodies.add(body)
    assert len(bodies) == 2  # none, and a wrong one
    status, body = await _spoken(server, _post("/v1/execute", CALL, f"Authorization: bearer  {token}"))
    assert (status, decode_result(body).text) == (200, "hi")
    assert server.log.read_text() == ""
