"""A process that is killed asks again only for what was under way."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from agentflow_core.testing.openai_server import OpenAIServer

CALLS, WIDTH = 120, 8
PROGRAM = textwrap.dedent(
    f"""
    import os, sys
    from pathlib import Path
    import anyio
    from agentflow_core.config import PluginChoice
    from agentflow_core.models import ModelsConfig, open_models
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ModelRequest, user

    async def main(url, cache):
        config = ModelsConfig(model=PluginChoice("openai", {{"name": "m", "base_url": url}}))
        host = PluginHost.load(environ={{**os.environ, "AGENTFLOW_PLUGINS": "core"}})
        async with open_models(config, host=host, cache=Path(cache)) as models, anyio.create_task_group() as group:
            numbers = iter(range({CALLS}))

            async def work():
                for number in numbers:
                    answer = await models("solver").complete(ModelRequest(messages=(user(f"question {{number}}"),)))
                    assert answer.text == f"question {{number}}"
                    sys.stdout.write(f"{{number}}\\n")
                    sys.stdout.flush()

            for _ in range({WIDTH}):
                group.start_soon(work)

    anyio.run(main, *sys.argv[1:])
    """
)


@pytest.mark.parametrize("kill_after", [1, 40])
def test_after_kill_9_no_more_calls_are_repeated_than_were_under_way(tmp_path, kill_after):
    with OpenAIServer(latency_ms=50) as server:
        command = [sys.executable, "-c", PROGRAM, server.url, str(tmp_path / "cache.sqlite")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(kill_after):
                process.stdout.readline()
            process.kill()
        killed_at = server.calls
        assert killed_at < CALLS
        server.latency_ms = 5
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        assert server.calls <= CALLS + WIDTH
