"""Against real servers that are restarted, killed, guarded by tokens, several at once; and whole runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core import Sandbox, quick_rollout, rollout, synthesize
from agentflow_core.errors import SandboxError
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox.remote.door import RemoteDoor

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "a-token-of-this-test-alone"


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@pytest.mark.parametrize("kill", [False, True])
async def test_a_restarted_server_has_lost_the_sessions_and_goes_on(serve, kill: bool):
    server = serve("--port", "0")
    async with Sandbox(server.url) as sandbox:
        named = (await sandbox.create_session({"counter": {"start": 5}}))["counter"].id
        await sandbox.execute("counter:add")
        server.stop(kill=kill)
        serve("--port", port_of(server.url))
        assert (await sandbox.execute("math:double", {"value": 1})).data == 2
        assert (await sandbox.execute("counter:look")).code == "session_lost"
        assert (await sandbox.execute("counter:look", session=named)).code == "session_lost"
        assert (await sandbox.execute("counter:look")).text == "total 0"


async def test_heartbeats_keep_the_sessions_of_idle_workers(serve):
    server = serve("--port", "0", "--set", "server.worker_lost_s=2")
    async with Sandbox(server.url) as sandbox:
        idle = sandbox.worker("idle")
        await idle.execute("counter:add")
        until = time.monotonic() + 4
        while time.monotonic() < until:
            await sandbox.execute("glossary:ponder", {"seconds": 0.1})
        assert (await idle.execute("counter:look")).text == "total 1"


_KILLED = """
import sys, anyio
from agentflow_core import Sandbox
async def main():
    async with Sandbox(sys.argv[1]) as sandbox:
        await {opens}
        print("open", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@pytest.mark.parametrize("opens", ['sandbox.execute("counter:add")', 'sandbox.create_session("counter")'])
def test_the_sessions_of_a_client_that_is_killed_before_it_ever_beat_are_closed(serve, opens):
    server = serve("--port", "0", "--set", "server.worker_lost_s=1")
    command = [sys.executable, "-c", _KILLED.format(opens=opens), server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"open\n"
        client.kill()
    with Sandbox.sync(server.url) as sandbox:
        until = time.monotonic() + 60
        while sandbox.status()["sessions"]:
            assert time.monotonic() < until
            time.sleep(0.1)


async def test_sessions_spread_over_servers_and_outlive_one_of_them(serve, caplog):
    servers = [serve("--port", "0"), serve("--port", "0")]
    async with RemoteDoor([one.url for one in servers], observe=ignore_event, patience_s=0.2) as door:
        workers = [f"w{number}" for number in range(8)]
        for worker in workers:
            await door.execute(worker, "counter:add")
        status = await door.status()
        assert [status["servers"][one.url]["sessions"] for one in servers] == [4, 4]
        servers[0].stop(kill=True)
        codes = [(await door.execute(worker, "counter:add")).code for worker in workers]
        assert sorted(codes) == ["ok"] * 4 + ["session_lost"] * 4
        totals = [(await door.execute(worker, "counter:add")).data["total"] for worker in workers]
        assert sorted(totals) == [1] * 4 + [3] * 4
    assert "does not answer" in caplog.text


async def test_the_engines_of_one_server_share_the_workers(serve):
    server = serve("--port", "0", engines=2)
    async with Sandbox(server.urls) as sandbox:
        for number in range(4):
            assert (await sandbox.worker(str(number)).execute("counter:add")).data == {"total": 1}
        status = await sandbox.status()
        assert [one["sessions"] for one in status["servers"].values()] == [2, 2]


async def test_a_token_comes_from_the_argument_the_configuration_or_the_environment(serve, monkeypatch):
    server = serve("--port", "0", token=TOKEN)
    for options in ({"token": TOKEN}, {"config": {"url": server.url, "token": TOKEN}}):
        async with Sandbox(server.url, **options) as sandbox:
            assert (await sandbox.execute("counter:add")).ok
    with pytest.raises(SandboxError, match="AGENTFLOW_TOKEN") as caught:
        async with Sandbox(server.url, token="another-token-entirely"):
            pass
    assert caught.value.code == "unauthenticated"
    assert "another-token" not in str(caught.value)
    monkeypatch.setenv("AGENTFLOW_TOKEN", TOKEN)
    async with Sandbox(server.url) as sandbox:
        assert (await sandbox.execute("counter:add")).ok


def test_the_server_is_left_without_sessions_of_a_client_that_ended(served: str):
    with Sandbox.sync(served) as sandbox:
        for number in range(5):
            sandbox.worker(f"w{number}").execute("counter:add")
        before = sandbox.status()["sessions"]
    with Sandbox.sync(served) as sandbox:
        assert sandbox.status()["sessions"] <= before - 5


# ---- runs


@pytest.fixture
def corpus(hotpotqa: Path) -> dict[str, Any]:
    return {"rag": {"corpora": {"hotpotqa": {"path": str(hotpotqa / "hotpotqa-corpus.jsonl")}}}}


@pytest.fixture
def rag(serve, corpus: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a server with the corpus."""
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "state"))
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"backends": corpus, "enabled": ["rag"], "warmup": ["rag"]}))
    return serve("--port", "0", "--config", str(config)).url


def test_a_rollout_over_a_server_gives_what_it_gives_here(rag, corpus, hotpotqa: Path, tmp_path: Path):
    config = {
        "data": {"path": str(hotpotqa / "hotpotqa-dev.jsonl"), "limit": 12},
        "rollout": {"tools": ["rag:*"], "max_turns": 8},
    }
    here = rollout(config=config | {"sandbox": {"backends": corpus}}, output_dir=tmp_path / "here")
    there = rollout(config=config | {"sandbox": {"url": rag}}, output_dir=tmp_path / "there")
    assert there["metrics"] == here["metrics"]
    assert there["counts"]["outcomes"] == {"answered": 12}


def test_a_synthesis_over_a_server_gives_what_it_gives_here(rag, corpus, hotpotqa: Path, tmp_path: Path):
    config = {
        "seeds": {"path": str(hotpotqa / "hotpotqa-seeds.jsonl"), "limit": 6},
        "tools": ["rag:*"],
        "sampling": {"max_depth": 4, "branching_factor": 2, "depth_threshold": 2},
    }
    here = synthesize(config=config | {"sandbox": {"backends": corpus}}, output_dir=tmp_path / "here")
    there = synthesize(config=config | {"sandbox": {"url": [rag]}}, output_dir=tmp_path / "there")
    assert there.funnel == here.funnel
    assert [(qa.question, qa.answer) for qa in there.accepted] == [(qa.question, qa.answer) for qa in here.accepted]


def test_one_question_is_asked_over_a_server(rag, cli):
    question = "Which band did the singer of the song found?"
    found = quick_rollout(question, tools=["rag:*"], sandbox_url=rag)
    assert found["trajectory"]["steps"]
    ran = cli("ask", question, "--tool", "rag:*", "--sandbox-url", rag, "--json")
    assert json.loads(ran.out)["answer"] == found["answer"]


def test_a_question_to_a_server_that_is_not_there_says_how_to_start_one(cli):
    ran = cli("ask", "Who?", "--sandbox-url", "http://127.0.0.1:9")
    assert ran.code == 1
    assert "http://127.0.0.1:9" in ran.err
    assert "agentflow serve --port 9" in ran.err


def test_the_tools_of_a_server_are_listed_shown_and_called(serve, cli, monkeypatch):
    server = serve("--port", "0", token=TOKEN)
    refused = cli("tools", "list", "--sandbox-url", server.url)
    assert (refused.code, "AGENTFLOW_TOKEN" in refused.err) == (1, True)
    monkeypatch.setenv("AGENTFLOW_TOKEN", TOKEN)
    monkeypatch.setenv("AGENTFLOW_PLUGINS", "core")  # what is called is not installed here
    assert "\nmath:double" in cli("tools", "list", "--sandbox-url", server.url).out
    assert "sessions: session" in cli("tools", "show", "counter:add", "--sandbox-url", server.url).out
    called = cli("tools", "call", "math_double", '{"value": 21}', "--sandbox-url", server.url, "--json")
    assert json.loads(called.out)["data"] == 42
    assert cli("tools", "call", "math:double", '{"value": 21}').code == 2


def test_a_server_s_url_and_settings_of_environments_exclude_each_other(cli, tmp_path: Path):
    config = tmp_path / "sandbox.json"
    config.write_text(json.dumps({"enabled": ["rag"]}))
    ran = cli("tools", "list", "--config", config, "--sandbox-url", "http://127.0.0.1:9")
    assert (ran.code, "no effect beside url" in ran.err) == (2, True)


def test_a_token_is_not_written_to_a_run(serve, hotpotqa: Path, corpus, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "state"))
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"backends": corpus, "enabled": ["rag"]}))
    server = serve("--port", "0", "--config", str(config), token=TOKEN)
    rollout(
        config={
            "sandbox": {"url": server.url, "token": TOKEN},
            "data": {"path": str(hotpotqa / "hotpotqa-dev.jsonl"), "limit": 1},
            "rollout": {"tools": ["rag:*"]},
        },
        output_dir=tmp_path / "run",
    )
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()
