"""While one session does its worst, another one answers as before: three times as slowly at most."""

from __future__ import annotations

import shutil
import statistics
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest

from agentflow_core import Sandbox
from agentflow_core.concurrency import run_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentflow_core.sandbox.worker import WorkerView

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]
#: Below this a call is as fast as anybody can tell here, whatever three times the quiet median is.
FLOOR_S = 0.01
CALLS = 40
#: What disturbs, disturbs each time; whatever else the machine does, does not.
ROUNDS = 3

#: How an attack ends: it was over, or was stopped by what it met.
ENDS = (
    "ok",
    "tool_error",
    "timeout",
    "memory_limit",
    "pids_limit",
    "disk_limit",
    "output_limit",
    "kernel_died",
    "process_died",
    "session_lost",
)

BASH = {
    "fork bomb": ":(){ :|:& };:",
    "memory": "tail /dev/zero",
    "disk": "yes >filled",
    "killing": "while :; do kill -9 -1; done",
    "output": "yes | head -c 500000000",
    "loop": "while :; do :; done",
}
CODE = {
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "memory": "kept = []\nwhile True: kept.append(bytearray(1 << 24))",
    "disk": "with open('filled', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "killing": "import os\nwhile True: os.kill(-1, 9)",
    "output": "for _ in range(500): print('x' * 1_000_000)",
    "loop in C": "sum(range(10**13))",
    "recursion": "import sys\nsys.setrecursionlimit(10**8)\ndef down(): down()\ndown()",
    "threads": "import threading\nwhile True: threading.Thread(target=lambda: sum(range(10**12))).start()",
    "exit": "import os\nos._exit(3)",
}
SQL = {
    "endless": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "product": "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c",
}
ATTACKS = [
    *(pytest.param("bash:run", {"command": attack}, id=f"bash {name}") for name, attack in BASH.items()),
    *(pytest.param("code:run", {"code": attack}, id=f"code {name}") for name, attack in CODE.items()),
    *(pytest.param("code:sql", {"query": attack}, id=f"sql {name}") for name, attack in SQL.items()),
]
CALM: dict[str, tuple[str, dict[str, Any]]] = {
    "bash": ("bash:run", {"command": "echo here"}),
    "code": ("code:run", {"code": "1 + 1"}),
}


async def latency_s(worker: WorkerView, backend: str) -> float:
    """The median of some calls, of which each has to succeed."""
    took = []
    for _ in range(CALLS):
        began = perf_counter()
        result = await worker.execute(*CALM[backend])
        took.append(perf_counter() - began)
        assert result.ok, result.text
        await anyio.sleep(0.02)
    return statistics.median(took)


@pytest.fixture
def bubblewrap(missing: Callable[[str], NoReturn]) -> None:
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")


@pytest.mark.parametrize(("tool", "attack"), ATTACKS)
async def test_a_neighbour_is_not_disturbed(tool: str, attack: dict[str, Any], bubblewrap: None, tmp_path: Path):
    backend = tool.partition(":")[0]
    async with Sandbox(config={"state_dir": str(tmp_path / "state"), "enabled": ["bash", "code"]}) as sandbox:
        attacker, neighbour = sandbox.worker("attacker"), sandbox.worker("neighbour")
        for worker in (attacker, neighbour):
            await worker.create_session(backend)

        async def attacking() -> tuple[str, str]:
            result = await attacker.execute(tool, {**attack, "timeout_s": 2})
            after = await attacker.execute(*CALM[backend])
            return result.code, after.code

        times_as_slow = []
        while len(times_as_slow) < ROUNDS and not any(times < 3 for times in times_as_slow):
            quiet = await latency_s(neighbour, backend)
            (attacked, after), disturbed = await run_all([attacking, lambda: latency_s(neighbour, backend)])
            assert attacked in ENDS
            assert after in ("ok", "session_lost")
            times_as_slow.append(disturbed / max(quiet, FLOOR_S))
    assert min(times_as_slow) < 3
