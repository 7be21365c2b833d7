"""Tokens, whose sessions are whose, and what a browser may send."""

from __future__ import annotations

import pytest

from agentflow_core.errors import UsageError
from agentflow_core.sandbox.server.access import HostGuard, Tokens, check_bind
from agentflow_core.sandbox.server.routes import OPERATIONS
from agentflow_core.sandbox.wire import decode_result

ADMIN, ANN, BOB = "admin-token-0123456789", "ann-token-0123456789", "bob-token-0123456789"
TOKENS = (("admin", ADMIN), ("worker", ANN), ("worker", BOB))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_without_a_token_or_with_a_wrong_one_nothing_but_health_is_answered(opened):
    async with opened(*TOKENS) as client:
        for operation in OPERATIONS:
            path = operation.path.replace(":path", "").format(
                session_id="a-1", worker_id="w", sha256="0" * 64, path="x"
            )
            for headers in ({}, bearer("wrong"), {"authorization": f"Basic {ADMIN}"}, {"authorization": ADMIN}):
                answer = await client.request(operation.method, path, headers=headers)
                if operation.access == "open":
                    assert answer.status_code == 200
                else:
                    assert (answer.status_code, decode_result(answer.content).code) == (401, "unauthenticated"), path
                    assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/nowhere")).status_code == 401
        assert (await client.get("/openapi.json")).status_code == 200


async def test_a_worker_s_token_does_everything_but_administration(opened):
    async with opened(*TOKENS) as client:
        called = await client.call("counter:add", token=ANN)
        drained = await client.post("/v1/admin/drain", headers=bearer(ANN))
        by_admin = await client.post("/v1/admin/drain", headers=bearer(ADMIN))
    assert (called.status_code, drained.status_code, by_admin.status_code) == (200, 403, 202)


async def test_the_sessions_of_a_token_are_out_of_the_reach_of_every_other_one(opened):
    async with opened(*TOKENS) as client:
        mine = decode_result((await client.call("counter:add", {"amount": 9}, token=ANN, worker_id="w")).content)
        session, path = mine.session_id, f"/v1/sessions/{mine.session_id}"
        for token in (BOB, ADMIN):
            headers = bearer(token)
            for label in ({}, {"worker_id": "w"}, {"worker_id": "w@worker-2"}):
                statuses = [
                    (await client.get(path, headers=headers, params=label)).status_code,
                    (await client.delete(path, headers=headers, params=label)).status_code,
                    (await client.post(f"{path}/renew", headers=headers, params=label)).status_code,
                    (await client.post(f"{path}/fork", headers=headers, params=label)).status_code,
                    (await client.get(f"{path}/files/x", headers=headers, params=label)).status_code,
                    (await client.put(f"{path}/files/x", headers=headers, params=label, content=b"")).status_code,
                    (await client.call("counter:add", token=token, session_id=session, **label)).status_code,
                ]
                assert statuses == [404] * 7
                await client.delete(f"/v1/workers/{label.get('worker_id', 'w')}", headers=headers)
            listed = await client.get("/v1/sessions", headers=headers)
            assert decode_result(listed.content).data == {"sessions": []}
            fresh = decode_result((await client.call("counter:add", token=token, worker_id="w")).content)
            assert fresh.data == {"total": 1}
        still = decode_result((await client.call("counter:add", token=ANN, worker_id="w")).content)
        shown = decode_result((await client.get(path, headers=bearer(ANN))).content)
    assert still.data == {"total": 10}
    assert shown.data["worker_id"] == "w"


async def test_a_call_s_id_belongs_to_its_token(opened):
    async with opened(*TOKENS) as client:
        await client.call("counter:add", {"amount": 9}, token=ANN, call_id="c")
        other = decode_result((await client.call("counter:add", {"amount": 1}, token=BOB, call_id="c")).content)
    assert other.data == {"total": 1}


async def test_the_id_of_an_opening_belongs_to_its_token(opened):
    async with opened(*TOKENS) as client:
        sessions = set()
        for token in (ANN, BOB, ANN):
            body = {"backends": {"counter": None}, "call_id": "c"}
            created = await client.post("/v1/sessions", json=body, headers=bearer(token))
            sessions.add(decode_result(created.content).data["counter"]["id"])
    assert len(sessions) == 2


@pytest.mark.parametrize("forged", ["counter-1", "counter-2", "counter-1-000000", "../x", "x" * 200, "ω"])
async def test_a_made_up_session_is_not_found(opened, forged):
    async with opened() as client:
        await client.call("counter:add", worker_id="w")
        called = await client.call("counter:add", session_id=forged, worker_id="w")
        shown = await client.get(f"/v1/sessions/{forged.replace('/', '%2f')}")
    assert (called.status_code, shown.status_code) == (404, 404)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:18890", None, 200),
        ("localhost:18890", None, 200),
        ("[::1]:18890", None, 200),
        ("LOCALHOST.", None, 200),
        ("127.8.8.8", None, 200),
        ("gpu-1:18890", None, 200),
        ("evil.example:18890", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("localhost@evil.example", None, 403),
        ("", None, 403),
        ("127.0.0.1:18890", "http://127.0.0.1:18890", 200),
        ("127.0.0.1:18890", "https://gpu-1", 200),
        ("127.0.0.1:18890", "http://127.0.0.1:3000", 403),
        ("127.0.0.1:18890", "https://evil.example", 403),
        ("127.0.0.1:18890", "null", 403),
        ("127.0.0.1:18890", "http://[", 403),
        ("evil.example", "http://evil.example", 403),
    ],
)
async def test_a_page_of_another_site_gets_nothing(opened, host, origin, status):
    async with opened(allowed_hosts=("gpu-1",)) as client:
        headers = {"host": host} if origin is None else {"host": host, "origin": origin}
        for path in ("/healthz", "/v1/tools", "/openapi.json"):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == status
            decode_result(answer.content) if path != "/openapi.json" else None


def test_on_an_address_that_others_reach_any_host_passes_unless_names_are_listed():
    assert HostGuard("0.0.0.0").refuses(b"gpu-1:18890", None) == ""
    assert "no name of this server" in HostGuard("0.0.0.0", ["gpu-1"]).refuses(b"gpu-2:18890", None)
    assert HostGuard("0.0.0.0").refuses(b"gpu-1:18890", b"https://evil.example") != ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "gpu-1", ""])
def test_others_are_not_let_in_without_a_token(host):
    with pytest.raises(UsageError, match="there is no token") as caught:
        check_bind(host, Tokens())
    assert "secrets.token_urlsafe" in caught.value.hint
    check_bind(host, Tokens([("admin", ADMIN)]))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machine_is_let_in_without_a_token(host):
    check_bind(host, Tokens())


def test_tokens_are_read_from_a_file_and_a_variable(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# the team\nworker {ANN}  # of ann\n\nadmin {ADMIN}\n")
    tokens = Tokens.read(file, f" {BOB}\n")
    callers = [tokens.caller(f"bearer {token}".encode()) for token in (ANN, ADMIN, BOB)]
    assert [(one.name, one.is_admin) for one in callers] == [("worker-1", False), ("admin-2", True), ("admin-3", True)]
    assert tokens.caller(None) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [("short", "fewer than 16"), ("boss 0123456789abcdef", "expected"), ("# none\n", "holds no token"), (None, "read")],
)
def test_a_token_file_that_protects_nothing_is_refused(tmp_path, text, said):
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        Tokens.read(file, None)
    assert text is None or text not in str(caught.value)
