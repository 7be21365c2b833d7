"""Kill -9 at random moments, resume, and compare with a run that nobody killed; all on one recording."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib import resources
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
DERIVED = {
    "synthesize": ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "summary.json", "summary.md"),
    "rollout": ("results.jsonl", "trajectories.jsonl", "summary.json", "summary.md"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def start(environ: dict[str, str], folder: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start a command of the command line in ``folder``, in a process of its own."""

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        with (folder / "output.txt").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "agentflow_core", *map(str, arguments)],
                cwd=folder,
                env=environ,
                stdout=output,
                stderr=output,
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
    config.write_text(json.dumps({"data": {"path": str(data)}, "rollout": {"samples": 12}, "max_workers": 2}))
    return config


def survives(
    start: Callable[..., subprocess.Popen[bytes]], folder: Path, command: str, config: Path, kills: int, seed: int
) -> None:
    """Record, run once without a kill, then with kills; assert that the derived files are the same bytes."""
    recording = folder / f"{command}-recording"
    assert start(command, config, "--run", f"{command}-recorded", "--record", recording).wait() == 0
    began = time.monotonic()
    assert start(command, config, "--run", f"{command}-whole", "--replay", recording, "--plain").wait() == 0
    takes_s = time.monotonic() - began
    total = finished_units(folder / f"{command}-whole")
    rng = Random(seed)
    killed = f"{command}-killed"
    landed = met_in_the_middle = 0
    while landed < kills or met_in_the_middle < kills // 2:
        process = start(command, config, "--run", killed, "--replay", recording, "--plain")
        try:
            process.wait(timeout=rng.uniform(0.4, 1.0) * takes_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            landed += 1
            met_in_the_middle += 0 < finished_units(folder / killed) < total
        else:  # it was done before the kill: begin anew, so that every kill meets a run in its middle
            assert process.returncode == 0
            same_bytes(folder / f"{command}-whole", folder / killed, DERIVED[command])
            killed = f"{command}-killed-{landed}"
    assert start(command, config, "--run", killed, "--replay", recording, "--plain").wait() == 0
    same_bytes(folder / f"{command}-whole", folder / killed, DERIVED[command])


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


@pytest.mark.soak
def test_a_synthesis_killed_fifty_times_gives_the_same_files(start, folder, synthesis):
    survives(start, folder, "synthesize", synthesis, kills=50, seed=3)


@pytest.mark.soak
def test_a_rollout_killed_fifty_times_gives_the_same_files(start, folder, rollout):
    survives(start, folder, "rollout", rollout, kills=50, seed=4)
