"""The test server itself, from a process of its own."""

from __future__ import annotations

import subprocess
import sys
from urllib.request import Request, urlopen

import anyio
import orjson
import pytest

from agentflow_core.models.openai import OpenAIConfig, OpenAIModel
from agentflow_core.records import ModelRequest, user
from agentflow_core.testing.openai_server import Faults, OpenAIServer


def call(url, body=None):
    data = None if body is None else orjson.dumps(body)
    with urlopen(Request(url, data, {"Content-Type": "application/json"})) as response:
        return orjson.loads(response.read())


def test_it_runs_as_a_program_and_counts_its_calls():
    command = [sys.executable, "-m", "agentflow_core.testing.openai_server", "--model", "tiny"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answered = call(f"{url}/chat/completions", {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]})
        assert answered["choices"][0]["message"]["content"] == "hi"
        assert call(f"{url}/models")["data"][0]["id"] == "tiny"
        assert call(url.removesuffix("/v1") + "/stats")["calls"] == 1
        process.terminate()
        assert process.wait(10) == 0


@pytest.mark.parametrize("seed", [1, 2])
async def test_faults_come_in_the_same_sequence_for_the_same_seed(seed):
    async def outcomes():
        with OpenAIServer(faults=Faults(rate_limit=0.3, server_error=0.3, seed=seed)) as server:
            async with OpenAIModel(OpenAIConfig(name="m", base_url=server.url)) as model:
                found = []
                for _ in range(20):
                    try:
                        found.append((await model.complete(ModelRequest(messages=(user("hi"),)))).text)
                    except Exception as error:  # noqa: BLE001 - whichever it is
                        found.append(type(error).__name__)
                return found

    first = await outcomes()
    assert first == await outcomes()
    assert len(set(first)) == 3


async def test_a_responder_may_wait_for_something():
    async def slow(body):
        await anyio.sleep(0.01)
        return {"content": f"{body['messages'][-1]['content']}!"}

    with OpenAIServer(slow) as server:
        async with OpenAIModel(OpenAIConfig(name="m", base_url=server.url)) as model:
            assert (await model.complete(ModelRequest(messages=(user("hi"),)))).text == "hi!"
