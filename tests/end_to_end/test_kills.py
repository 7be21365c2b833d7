"""Kill -9 at random moments, resume, and compare with a run that nobody killed: on a recording, and over servers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from itertools import islice
from random import Random
from threading import Timer
from typing import TYPE_CHECKING

import pytest

from agentflow_core.testing.openai_server import OpenAIServer
from agentflow_core.testing.recorded import recorded_responder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
DERIVED = {
    "synthesize": ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "summary.json", "summary.md"),
    "rollout": ("results.jsonl", "trajectories.jsonl", "summary.json", "summary.md"),
}

#: Model calls at once at most, in a run over a server: what a kill can make a resume ask again.
IN_FLIGHT = 4
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def start(environ: dict[str, str], folder: Path) -> Start:
    """Start a command of the command line in ``folder``, in a process of its own that prints its events."""

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        with (folder / "errors.txt").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "agentflow_core", *map(str, arguments), "--json"],
                cwd=folder,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    return start


@pytest.fixture(scope="module")
def synthesis(folder: Path) -> Path:
    config = folder / "synthesis.json"
    seeds = resources.files("agentflow_rag").joinpath("data", "facts-seeds.jsonl")
    config.write_text(json.dumps({"seeds": {"path": str(seeds)}, "tools": ["rag:*"], "max_workers": 2}))
    return config


@pytest.fixture(scope="module")
def rollout(folder: Path) -> Path:
    data = folder / "tasks.jsonl"
    questions = [
        f"Into which sea does the {river} flow?" for river in ("Danube", "Rhine", "Rhône", "Volga", "Elbe", "Po")
    ]
    data.write_text("".join(json.dumps({"question": question, "answer": "Black Sea"}) + "\n" for question in questions))
    config = folder / "rollout.json"
    settings = {"tools": ["rag:*", "code:*"], "samples": 12}
    config.write_text(json.dumps({"data": {"path": str(data)}, "rollout": settings, "max_workers": 2}))
    return config


@pytest.fixture(scope="module")
def server(environ: dict[str, str], folder: Path) -> Iterator[str]:
    """The URL of a sandbox server that nobody kills; sessions that killed runs leave go when they have been idle."""
    code = "limits.code={idle_ttl_s: 30, max_sessions: 256}"
    command = [sys.executable, "-m", "agentflow_core", "serve", "--port", "0", "--set", code]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def record(start: Start, folder: Path, command: str, config: Path) -> Path:
    """The answers of a run that nobody kills."""
    recording = folder / f"{command}-recording"
    if not recording.exists():
        with start(command, config, "--run", f"{command}-recorded", "--record", recording) as process:
            process.communicate()
        assert process.returncode == 0
    return recording


def survives(start: Start, folder: Path, command: str, config: Path, kills: int, seed: int) -> None:
    """Kill runs on a recording of models and tools."""
    recording = record(start, folder, command, config)
    kill_at_random(
        start, folder, (command, config, "--replay", recording), name=f"{command}-{kills}", kills=kills, seed=seed
    )


def survives_over_servers(
    start: Start, folder: Path, command: str, config: Path, sandbox: str, kills: int, seed: int
) -> None:
    """Kill runs whose tools and model are at servers; no more model calls are made again than were in flight."""
    name = f"{command}-served-{kills}"
    with OpenAIServer(recorded_responder(record(start, folder, command, config)), latency_ms=3, keep=False) as server:
        model = {"provider": "openai", "name": "mock", "base_url": server.url, "api_key": "none"}
        at_servers = {"model": model | {"max_concurrency": IN_FLIGHT}, "sandbox": {"url": sandbox}}
        remote = folder / f"{name}.json"
        remote.write_text(json.dumps(json.loads(config.read_text()) | at_servers))
        runs = kill_at_random(start, folder, (command, remote), name=name, kills=kills, seed=seed)
        assert server.calls <= (1 + runs) * calls_of(folder / f"{name}-whole") + kills * IN_FLIGHT


def calls_of(run: Path) -> int:
    """How many model calls the answers of a run took."""
    usage = json.loads((run / "summary.json").read_text())["usage"]["by_role"]
    return sum(role["calls"] for role in usage.values())


def kill_at_random(start: Start, folder: Path, arguments: Sequence[object], *, name: str, kills: int, seed: int) -> int:
    """Run once without a kill, then kill so often, after a random number of events and a random moment more.

    The derived files are the same bytes. Returns how many runs it took: one that is done before the kill is followed by
    another, so that every kill meets a run that is under way.
    """
    rng, derived = Random(seed), DERIVED[str(arguments[0])]
    whole, killed = folder / f"{name}-whole", folder / f"{name}-killed-0"
    with start(*arguments, "--run", whole) as process:
        events = sum(1 for _ in process.stdout)
    assert process.returncode == 0
    at_most = max(2 * events // kills, events // 4)  # enough to end some units between two kills
    total = finished_units(whole)
    landed = in_the_middle = 0
    runs = 1
    while landed < kills:
        with start(*arguments, "--run", killed) as process:
            for _ in islice(process.stdout, rng.randrange(at_most)):
                pass  # each line is an event
            Timer(rng.uniform(0.0, 0.02), process.kill).start()
            for _ in process.stdout:
                pass
        if process.returncode == -signal.SIGKILL:
            landed += 1
            in_the_middle += 0 < finished_units(killed) < total
        else:
            assert process.returncode == 0
            same_bytes(whole, killed, derived)
            killed = folder / f"{name}-killed-{runs}"
            runs += 1
    with start(*arguments, "--run", killed) as process:
        process.communicate()
    assert process.returncode == 0
    same_bytes(whole, killed, derived)
    assert in_the_middle >= kills // 2
    return runs


def finished_units(run: Path) -> int:
    """How many units the journal of a run holds whole."""
    return sum(file.read_bytes().count(b'"type":"unit.end"') for file in (run / "journal").glob("*.jsonl"))


def same_bytes(one: Path, other: Path, names: Sequence[str]) -> None:
    for name in names:
        assert (other / name).read_bytes() == (one / name).read_bytes(), name


def test_a_synthesis_killed_ten_times_gives_the_same_files(start, folder, synthesis):
    survives(start, folder, "synthesize", synthesis, kills=10, seed=1)


def test_a_rollout_killed_ten_times_gives_the_same_files(start, folder, rollout):
    survives(start, folder, "rollout", rollout, kills=10, seed=2)


def test_a_synthesis_over_a_server_killed_ten_times_gives_the_same_files(start, folder, synthesis, server):
    survives_over_servers(start, folder, "synthesize", synthesis, server, kills=10, seed=5)


def test_a_rollout_over_a_server_killed_ten_times_gives_the_same_files(start, folder, rollout, server):
    survives_over_servers(start, folder, "rollout", rollout, server, kills=10, seed=6)


@pytest.mark.soak
def test_a_synthesis_killed_fifty_times_gives_the_same_files(start, folder, synthesis):
    survives(start, folder, "synthesize", synthesis, kills=50, seed=3)


@pytest.mark.soak
def test_a_rollout_killed_fifty_times_gives_the_same_files(start, folder, rollout):
    survives(start, folder, "rollout", rollout, kills=50, seed=4)


@pytest.mark.soak
def test_a_synthesis_over_a_server_killed_fifty_times_gives_the_same_files(start, folder, synthesis, server):
    survives_over_servers(start, folder, "synthesize", synthesis, server, kills=50, seed=7)


@pytest.mark.soak
def test_a_rollout_over_a_server_killed_fifty_times_gives_the_same_files(start, folder, rollout, server):
    survives_over_servers(start, folder, "rollout", rollout, server, kills=50, seed=8)
