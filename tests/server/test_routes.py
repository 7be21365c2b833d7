"""Every route and every status, on the application in this process."""

from __future__ import annotations

import hashlib
import json
import os

import anyio
import pytest

from agentflow_core.sandbox.server.routes import OPERATIONS
from agentflow_core.sandbox.wire import decode_result


def envelope(answer):
    assert answer.headers["content-type"] == "application/json"
    return decode_result(answer.content)


async def test_a_call_is_answered_with_its_envelope(opened):
    async with opened() as client:
        answer = await client.call("counter:add", {"amount": 3}, call_id="c-1")
    result = envelope(answer)
    assert (answer.status_code, result.ok, result.data) == (200, True, {"total": 3})
    assert (result.tool, result.call_id) == ("counter:add", "c-1")
    assert result.session_id.startswith("counter-1-")


async def test_calls_of_one_worker_share_its_session_and_those_of_another_do_not(opened):
    async with opened() as client:
        await client.call("counter:add", {"amount": 3}, worker_id="a")
        mine = envelope(await client.call("counter:add", {"amount": 1}, worker_id="a"))
        other = envelope(await client.call("counter:add", {"amount": 1}, worker_id="b"))
    assert (mine.data, other.data) == ({"total": 4}, {"total": 1})


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"tool": "counter:ad"}, 404, "unknown_tool"),
        ({"tool": "counter:add", "params": {"amount": 1000}}, 400, "invalid_argument"),
        ({"tool": "counter:add", "params": {"amuont": 1}}, 400, "invalid_argument"),
        ({"tool": "counter:add", "session_id": "counter-9"}, 404, "not_found"),
        ({"tool": "probe:wait", "params": {"seconds": 60}, "timeout_s": 0.01}, 504, "timeout"),
        ({"tool": "probe:raise"}, 500, "internal"),
        ({"tool": "broken:look"}, 500, "internal"),
        ({"tool": "glossary:define", "params": {"word": "no such"}}, 200, "not_found"),
        ({"tool": "probe:answer", "params": {"code": "conflict"}}, 200, "conflict"),
        ({"tool": "probe:answer", "params": {"code": "forbidden"}}, 200, "forbidden"),
        ({"tool": "probe:answer", "params": {"code": "process_died"}}, 200, "process_died"),
        ({"tool": "probe:answer", "params": {"code": "session_lost"}}, 410, "session_lost"),
    ],
)
async def test_the_status_of_a_call_follows_its_code(opened, fields, status, code):
    async with opened() as client:
        answer = await client.post("/v1/execute", json=fields)
    assert (answer.status_code, envelope(answer).code) == (status, code)


async def test_the_framework_s_own_failures_have_no_tool(opened):
    async with opened() as client:
        refused = envelope(await client.call("counter:ad"))
        failed = envelope(await client.call("broken:look"))
    assert (refused.tool, failed.tool) == ("counter:ad", "")
    assert "did you mean 'counter:add'?" in refused.hint
    assert "RuntimeError: no such display" in failed.message


async def test_the_id_of_a_call_is_not_taken_twice(opened):
    async with opened() as client:
        first = envelope(await client.call("counter:add", {"amount": 1}, call_id="c"))
        again = envelope(await client.call("counter:add", {"amount": 1}, call_id="c"))
        other = await client.call("counter:add", {"amount": 2}, call_id="c")
    assert first == again
    assert (other.status_code, envelope(other).tool) == (409, "counter:add")


async def test_overload_is_answered_with_when_to_come_again(opened):
    async with opened(limits={"max_sessions": 1, "queue_length": 0}) as client:
        await client.call("counter:add", worker_id="a")
        answer = await client.call("counter:add", worker_id="b")
        created = await client.post("/v1/sessions", json={"backends": {"counter": None}})
    assert (answer.status_code, envelope(answer).code) == (429, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    assert (created.status_code, envelope(created).code) == (429, "overloaded")


async def test_no_traceback_is_shown_but_to_those_who_debug(opened, monkeypatch):
    async def fail(worker: object) -> None:
        raise ZeroDivisionError("inside")

    for debug in (False, True):
        async with opened(debug=debug) as client:
            monkeypatch.setattr(client.app.handlers.engine, "list_sessions", fail)
            answer = await client.get("/v1/sessions")
        assert (answer.status_code, envelope(answer).code) == (500, "internal")
        assert ("Traceback" in answer.text) is debug
        assert ("inside" in answer.text) is debug


# ---- sessions


async def test_the_life_of_a_session(opened):
    async with opened() as client:
        created = await client.post(
            "/v1/sessions", json={"backends": {"counter": {"start": 5}, "glossary": None}, "worker_id": "w/1"}
        )
        sessions = envelope(created).data
        path = f"/v1/sessions/{sessions['counter']['id']}"
        listed = envelope(await client.get("/v1/sessions", params={"worker_id": "w/1"})).data["sessions"]
        shown = envelope(await client.get(path)).data
        renewed = await client.post(f"{path}/renew")
        forked = await client.post(f"{path}/fork")
        total = envelope(await client.call("counter:add", session_id=envelope(forked).data["id"])).data
        closed = await client.delete(path)
        again = await client.delete(path)
        gone = await client.get(path)
        called = await client.call("counter:add", session_id=sessions["counter"]["id"])
    assert created.status_code == 201
    assert sessions["glossary"]["id"] == "glossary"
    assert sessions["counter"]["worker_id"] == "w/1"
    assert listed == [sessions["counter"]] == [shown] == [envelope(renewed).data]
    assert (forked.status_code, total) == (201, {"total": 6})
    assert (closed.status_code, again.status_code) == (200, 200)
    assert (gone.status_code, called.status_code) == (404, 404)
    assert "was closed" in envelope(gone).message


async def test_an_opening_that_is_repeated_under_its_id_opens_nothing(opened):
    body = {"backends": {"counter": {"start": 5}}, "worker_id": "w", "call_id": "c"}
    async with opened() as client:
        first, again = [envelope(await client.post("/v1/sessions", json=body)).data for _ in range(2)]
        path = f"/v1/sessions/{first['counter']['id']}/fork"
        copies = [envelope(await client.post(path, json={"call_id": "f"})).data for _ in range(2)]
        unnamed = [await client.post(path, **body) for body in ({}, {"json": {}}, {"json": {"call_id": None}})]
        other = [
            await client.post("/v1/sessions", json={**body, "backends": {"counter": None}}),
            await client.post(path, json={"call_id": "c"}),
        ]
        wrong = await client.post(path, json={"call": "f"})
        left = envelope(await client.get("/v1/sessions")).data["sessions"]
    assert first == again
    assert copies[0] == copies[1]
    assert [(one.status_code, envelope(one).code) for one in other] == [(409, "conflict")] * 2
    assert (wrong.status_code, "did you mean 'call_id'?" in envelope(wrong).message) == (400, True)
    assert [one.status_code for one in unnamed] == [201] * 3
    assert len({one["id"] for one in left}) == 5


# ---- files


async def test_a_file_is_put_into_a_session_and_read_whole_or_by_one_range(opened):
    async with opened() as client:
        page = envelope(await client.post("/v1/sessions", json={"backends": {"pages": None}})).data["pages"]["id"]
        path = f"/v1/sessions/{page}/files/notes/a%20b.txt"
        written = await client.put(path, content=b"0123456789")
        whole, head = await client.get(path), await client.head(path)
        spans = ("bytes=2-4", "bytes=7-", "bytes=-3", "bytes=0-99", "bytes=-99", "bytes=10-", "bytes=-0", "lines=1-2")
        answers = [await client.get(path, headers={"range": span}) for span in spans]
        replaced = await client.put(path, content=b"")
        empty = await client.get(path)
    assert (written.status_code, envelope(written).ok, replaced.status_code) == (200, True, 200)
    assert (whole.status_code, whole.content, empty.content) == (200, b"0123456789", b"")
    assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("application/octet-stream", "bytes")
    assert (head.content, head.headers["content-length"]) == (b"", "10")
    assert [one.status_code for one in answers] == [206, 206, 206, 206, 206, 416, 416, 200]
    assert [one.content for one in answers[:5]] == [b"234", b"789", b"789", b"0123456789", b"0123456789"]
    assert [one.headers.get("content-range") for one in answers[:3]] == [
        "bytes 2-4/10",
        "bytes 7-9/10",
        "bytes 7-9/10",
    ]
    assert answers[5].headers["content-range"] == "bytes */10"


async def test_a_failure_of_a_file_has_its_status_and_names_the_session_where_it_was_asked(opened):
    async with opened(max_body_bytes=2_000_000) as client:
        opened_ = envelope(await client.post("/v1/sessions", json={"backends": {"pages": None, "counter": None}})).data
        page, counter = opened_["pages"]["id"], opened_["counter"]["id"]
        missing = await client.get(f"/v1/sessions/{page}/files/x")
        folder = await client.get(f"/v1/sessions/{page}/files/x/")
        full = await client.put(f"/v1/sessions/{page}/files/x", content=b"x" * 1_500_000)
        large = await client.put(f"/v1/sessions/{page}/files/x", content=b"x" * 2_500_000)
        other = await client.get(f"/v1/sessions/{counter}/files/x")
        nowhere = await client.get("/v1/sessions/pages-99/files/x")
        still = await client.call("pages:read", session_id=page)
    assert [(one.status_code, envelope(one).code, envelope(one).session_id) for one in (missing, folder, full)] == [
        (404, "not_found", page),
        (400, "invalid_argument", page),
        (507, "disk_limit", page),
    ]
    assert (large.status_code, other.status_code, envelope(other).code) == (413, 501, "unsupported")
    assert (nowhere.status_code, envelope(nowhere).session_id) == (404, "")
    assert still.status_code == 200


async def test_a_shared_backend_s_session_is_shown_and_closed_as_if_it_were_one(opened):
    async with opened() as client:
        shown = await client.get("/v1/sessions/glossary")
        closed = await client.delete("/v1/sessions/glossary")
    assert (shown.status_code, envelope(shown).data["state"], closed.status_code) == (200, "ready", 200)


@pytest.mark.parametrize(
    ("backends", "status", "said"),
    [
        ({"countr": None}, 404, "did you mean 'counter'?"),
        ({"counter": {"start": "x"}}, 400, "not an integer"),
        ({"glossary": {"a": 1}}, 400, "has no settings"),
        ({"broken": None}, 500, "no such display"),
    ],
)
async def test_a_session_that_cannot_start_says_why(opened, backends, status, said):
    async with opened() as client:
        answer = await client.post("/v1/sessions", json={"backends": backends})
        left = envelope(await client.get("/v1/sessions")).data["sessions"]
    result = envelope(answer)
    assert (answer.status_code, left) == (status, [])
    assert said in f"{result.message} {result.hint}"


async def test_an_expired_session_is_gone(opened, clock):
    async with opened() as client:
        session = envelope(await client.call("counter:add")).session_id
        clock.now += 901
        client.app.handlers.engine.sweep()
        named = await client.get(f"/v1/sessions/{session}")
        renewed = await client.post(f"/v1/sessions/{session}/renew")
        unnamed = await client.call("counter:add")
    assert (named.status_code, renewed.status_code, unnamed.status_code) == (410, 410, 410)
    assert envelope(unnamed).code == "session_expired"


async def test_what_cannot_fork_says_so(opened):
    async with opened() as client:
        answer = await client.post("/v1/sessions/glossary/fork")
    assert (answer.status_code, envelope(answer).code) == (501, "unsupported")


# ---- batches


async def test_a_batch_answers_in_call_order_and_runs_a_session_s_calls_in_order(opened):
    calls = [{"tool": "counter:add", "params": {"amount": n}} for n in (1, 2, 3)]
    calls += [{"tool": "glossary:words"}, {"tool": "counter:ad"}, {"tool": "broken:look"}]
    async with opened() as client:
        answer = await client.post("/v1/execute/batch", json={"calls": calls, "worker_id": "w"})
    found = envelope(answer).data["results"]
    assert answer.status_code == 200
    assert [one["data"] for one in found[:3]] == [{"total": 1}, {"total": 3}, {"total": 6}]
    assert [one["code"] for one in found[3:]] == ["ok", "unknown_tool", "internal"]
    assert [one["tool"] for one in found[4:]] == ["counter:ad", ""]


@pytest.mark.parametrize("parallel", [True, False])
async def test_a_batch_stops_at_a_failure_where_it_is_told_to(opened, parallel):
    calls = [{"tool": "counter:ad"}, {"tool": "probe:wait", "params": {"seconds": 60}}]
    async with opened() as client:
        answer = await client.post(
            "/v1/execute/batch", json={"calls": calls, "parallel": parallel, "stop_on_error": True}
        )
    assert [one["code"] for one in envelope(answer).data["results"]] == ["unknown_tool", "cancelled"]


async def test_a_batch_of_too_many_calls_is_refused(opened):
    async with opened() as client:
        answer = await client.post("/v1/execute/batch", json={"calls": [{"tool": "a:b"}] * 1001})
    assert (answer.status_code, "1000 at most" in envelope(answer).message) == (400, True)


# ---- workers


async def test_a_worker_that_goes_silent_loses_its_sessions_and_is_told(opened, clock):
    async with opened() as client:
        for worker in ("watched", "beside", "never"):
            await client.call("counter:add", worker_id=worker)
        beat = await client.post("/v1/workers/watched/heartbeat", json={"workers": ["beside"]})
        clock.now += 100
        await client.call("counter:add", worker_id="beside")
        clock.now += 100
        client.app.handlers.close_lost_workers()
        codes = [
            (await client.call("counter:add", worker_id=worker)).status_code
            for worker in ("watched", "beside", "never")
        ]
        back = envelope(await client.call("counter:add", worker_id="watched"))
        metrics = (await client.get("/metrics")).text
    assert envelope(beat).data == {"heartbeat_s": 30.0, "worker_lost_s": 120.0}
    assert codes == [410, 200, 200]
    assert back.data == {"total": 1}
    assert "agentflow_workers_lost_total 1" in metrics


async def test_a_worker_says_goodbye(opened):
    async with opened() as client:
        await client.call("counter:add", worker_id="seed-7/0.1")
        await client.post("/v1/workers/seed-7%2F0.1/heartbeat")
        answer = await client.delete("/v1/workers/seed-7%2F0.1")
        left = envelope(await client.get("/v1/sessions")).data["sessions"]
    assert (answer.status_code, left) == (200, [])


# ---- what there is


async def test_the_tools_are_listed_in_three_formats(opened):
    async with opened() as client:
        native, openai, mcp = [
            {tool.get("name") or tool["function"]["name"]: tool for tool in envelope(answer).data["tools"]}
            for answer in [
                await client.get("/v1/tools", params={"format": form}) for form in ("native", "openai", "mcp")
            ]
        ]
        wrong = await client.get("/v1/tools?format=xml")
    add = native["counter:add"]
    assert (add["sharing"], add["read_only"], add["forkable"]) == ("session", False, True)
    assert openai["counter_add"]["function"]["parameters"] == add["parameters"]
    assert mcp["counter_look"]["annotations"] == {"readOnlyHint": True}
    assert mcp["counter_add"]["inputSchema"] == add["parameters"]
    assert len(native) == len(openai) == len(mcp)
    assert wrong.status_code == 400


async def test_the_capabilities_tell_backends_limits_and_the_server(opened):
    async with opened() as client:
        await client.call("counter:add")
        data = envelope(await client.get("/v1/capabilities")).data
    assert data["backends"]["counter"] == {
        "sharing": "session",
        "forkable": True,
        "files": False,
        "probes": True,
        "provider": "the caller",
    }
    assert data["backends"]["pages"]["files"]
    assert data["status"]["backends"]["counter"]["limits"]["max_sessions"] == 64
    assert (data["protocol"], data["urls"], data["is_admin"]) == (1, ["http://127.0.0.1:18890"], True)


async def test_backends_are_warmed_up_on_demand(opened):
    async with opened() as client:
        answer = await client.post("/v1/warmup", json={"backends": ["glossary"]})
        unknown = await client.post("/v1/warmup", json={"backends": ["glosary"]})
        everything = await client.post("/v1/warmup")
        status = envelope(await client.get("/v1/capabilities")).data["status"]["backends"]
    assert (answer.status_code, unknown.status_code, everything.status_code) == (200, 404, 200)
    assert status["glossary"]["state"] == "ready"


async def test_an_artifact_is_kept_for_its_time_only(opened, tmp_path):
    async with opened(artifact_ttl_s=20) as client:
        result = envelope(await client.call("probe:big", {"size": 100_000}))
        path = f"/v1/artifacts/{result.truncation.artifact}"
        assert (await client.get(path)).status_code == 200
        sha256 = result.truncation.artifact
        (blob,) = tmp_path.rglob(sha256[2:])
        os.utime(blob, (0, 0))
        with anyio.fail_after(30):
            while (await client.get(path)).status_code != 404:
                pass
        again = envelope(await client.call("probe:big", {"size": 100_000}))
        assert again.truncation == result.truncation
        assert (await client.get(path)).status_code == 200


async def test_an_artifact_is_read_whole_or_by_range(opened):
    async with opened() as client:
        result = envelope(await client.call("probe:big", {"size": 100_000}))
        path = f"/v1/artifacts/{result.truncation.artifact}"
        whole = await client.get(path)
        answers = [
            await client.get(path, headers={"range": span})
            for span in (
                "bytes=5-9",
                "bytes=99995-",
                "bytes=-3",
                "bytes=0-999999",
                "bytes=100000-",
                "bytes=9-5",
                "lines=1-2",
            )
        ]
        head = await client.head(path)
        missing = await client.get(f"/v1/artifacts/{'0' * 64}")
        elsewhere = await client.get("/v1/artifacts/..%2f..%2fetc%2fpasswd")
        forged = await client.get("/v1/artifacts/..")
    assert hashlib.sha256(whole.content).hexdigest() == result.truncation.artifact
    assert [answer.status_code for answer in answers] == [206, 206, 206, 206, 416, 416, 200]
    assert [answer.content for answer in answers[:3]] == [b"56789", b"56789", b"789"]
    assert answers[0].headers["content-range"] == "bytes 5-9/100000"
    assert answers[4].headers["content-range"] == "bytes */100000"
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "100000")
    assert [one.status_code for one in (missing, elsewhere, forged)] == [404, 404, 404]


async def test_the_server_says_whether_it_lives_and_takes_calls(opened):
    async with opened(is_ready=False) as client:
        alive, starting = await client.get("/healthz"), await client.get("/readyz")
        client.app.handlers.gate.is_ready = True
        ready = await client.get("/readyz")
        drained = await client.post("/v1/admin/drain")
        stopping = await client.get("/readyz")
        refused = [
            await client.call("counter:add"),
            await client.post("/v1/sessions", json={"backends": {}}),
            await client.post("/v1/warmup"),
            await client.get("/v1/sessions/pages-1/files/x"),
            await client.put("/v1/sessions/pages-1/files/x", content=b""),
        ]
        still = await client.get("/v1/sessions")
    assert (alive.status_code, starting.status_code, ready.status_code) == (200, 503, 200)
    assert (drained.status_code, stopping.status_code, still.status_code) == (202, 503, 200)
    assert {(one.status_code, envelope(one).code) for one in refused} == {(503, "not_ready")}
    assert refused[0].headers["retry-after"] == "1"


async def test_the_metrics_count_calls_and_requests_by_names_that_are_offered(opened):
    async with opened() as client:
        await client.call("counter:add")
        await client.call("counter:add", {"amount": 0})
        await client.call('evil"\n:tool')
        await client.request("BREW", "/coffee/1")
        text = (await client.get("/metrics")).text
    assert 'agentflow_calls_total{tool="counter:add",code="ok"} 1' in text
    assert 'agentflow_calls_total{tool="counter:add",code="invalid_argument"} 1' in text
    assert 'agentflow_calls_total{tool="unknown",code="unknown_tool"} 1' in text
    assert 'agentflow_http_requests_total{method="other",route="unknown",status="404"} 1' in text
    assert 'agentflow_call_seconds_count{tool="counter:add"} 2' in text
    assert 'agentflow_backend_sessions{backend="counter"} 1' in text
    assert "evil" not in text
    assert text.endswith("\n")


# ---- what is no request


async def test_what_is_no_route_or_no_method_is_told_in_an_envelope(opened):
    async with opened() as client:
        nowhere = await client.get("/v2/execute")
        method = await client.get("/v1/execute")
    assert (nowhere.status_code, envelope(nowhere).code) == (404, "not_found")
    assert (method.status_code, envelope(method).ok, method.headers["allow"]) == (405, False, "POST")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "expected an object, not a list"),
        (b"{}", "'tool' is missing"),
        (b'{"tool": 5}', "tool: expected text, not a number"),
        (b'{"tool": "a:b", "session": "x"}', "'session' is not a field, did you mean 'session_id'?"),
        (b'{"tool": "a:b", "params": [1]}', "params: expected an object, not a list"),
        (b'{"tool": "a:b", "timeout_s": 0}', "timeout_s: expected a number above 0"),
        (b'{"tool": "a:b", "timeout_s": NaN}', "timeout_s: expected a number above 0"),
        (b'{"tool": "a:b", "timeout_s": true}', "timeout_s: expected a number above 0"),
        (b'{"tool": "a:b", "worker_id": ""}', "worker_id: expected 1 to 200 printable characters"),
        (b'{"tool": "a:b", "worker_id": "a\\nb"}', "worker_id: expected 1 to 200 printable characters"),
        (b'{"tool": "a:b", "call_id": "\\ud800"}', "call_id: expected 1 to 200 printable characters"),
        (b'{"tool": "a:b", "session_id": "' + b"x" * 201 + b'"}', "session_id: expected 1 to 200"),
        (b'{"\\ud800": 1, "tool": "a:b"}', "is not a field"),
    ],
)
async def test_a_body_that_is_no_request_says_which_field_is_wrong(opened, body, said):
    async with opened() as client:
        answer = await client.post("/v1/execute", content=body)
    result = envelope(answer)
    assert (answer.status_code, result.code, result.tool) == (400, "invalid_argument", "")
    assert said in result.message


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", '"\\ud800"', "1e999", "9" * 5000, "null"])
async def test_a_value_that_is_no_json_is_named_by_its_argument(opened, written):
    async with opened() as client:
        body = f'{{"tool": "counter:add", "params": {{"amount": {written}}}}}'
        answer = await client.post("/v1/execute", content=body.encode())
    result = envelope(answer)
    assert (answer.status_code, result.code) == (400, "invalid_argument")
    assert "amount" in result.message or "not JSON" in result.message


async def test_a_tool_s_name_with_a_lone_surrogate_is_unknown(opened):
    async with opened() as client:
        answer = await client.post("/v1/execute", content=b'{"tool": "\\ud800:x"}')
    assert (answer.status_code, envelope(answer).code) == (404, "unknown_tool")


async def test_ten_megabytes_of_arguments_pass_and_more_than_the_limit_does_not(opened):
    async with opened(max_body_bytes=11_000_000) as client:
        passed = await client.call("counter:label", {"text": "x" * 10_000_000})
        refused = await client.call("counter:label", {"text": "x" * 11_000_000})

        async def chunks():
            for _ in range(12):
                yield b"x" * 1_000_000

        chunked = await client.post("/v1/execute", content=chunks())
    assert (passed.status_code, refused.status_code, chunked.status_code) == (200, 413, 413)
    assert refused.headers["connection"] == "close"
    assert "larger than 11000000 bytes" in envelope(chunked).message


def test_every_handler_has_one_route():
    handlers = [operation.handler for operation in OPERATIONS]
    assert len(handlers) == len(set(handlers))


async def test_the_openapi_document_is_served_and_names_every_route(opened):
    async with opened() as client:
        document = json.loads((await client.get("/openapi.json")).content)
    assert document["openapi"] == "3.1.0"
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert found == {(one.method, one.path.replace(":path", "")) for one in OPERATIONS}
