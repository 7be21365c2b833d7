"""Runs that are killed and interrupted for real come out as if they had not been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from threading import Timer

import pytest

WORKER = Path(__file__).with_name("worker.py")
DERIVED = ("tree.jsonl", "summary.json", "summary.md")


def start(directory, count, seconds):
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(directory), str(count), str(seconds)], stdout=subprocess.PIPE, text=True
    )


def finish(directory, count, seconds):
    with start(directory, count, seconds) as child:
        output = child.stdout.read()
    return child.returncode, output


def derived(directory):
    return {name: (directory / name).read_bytes() for name in DERIVED}


def journaled(directory):
    return sum(
        json.loads(line)["type"] == "unit.end"
        for path in (directory / "journal").glob("*.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    )


def test_ten_kills_at_random_moments_change_nothing(tmp_path):
    count, seconds, rng = 240, 0.006, Random(7)
    assert finish(tmp_path / "calm", count, seconds)[0] == 0
    kills, killed = 0, tmp_path / "killed"
    while kills < 10:
        with start(killed, count, seconds) as child:
            assert child.stdout.readline().startswith("begun")
            timer = Timer(rng.uniform(0.0, 0.1), child.kill)
            timer.start()
            output = child.stdout.read()
        timer.cancel()
        assert "warning" not in output
        if child.returncode == -signal.SIGKILL:
            kills += 1
        else:  # it was over before it could be killed
            killed = tmp_path / f"killed-{kills}"
    code, output = finish(killed, count, seconds)
    assert code == 0
    assert "warning" not in output
    assert derived(killed) == derived(tmp_path / "calm")
    assert journaled(killed) == count


def test_no_more_than_the_units_that_are_written_at_once_are_lost(tmp_path):
    with start(tmp_path, 100, 0.005) as child:
        for line in child.stdout:
            if line.startswith("unit seed-060"):
                child.kill()
                break
    code, output = finish(tmp_path, 100, 0)
    begun = int(output.splitlines()[0].split()[1])
    # a unit says so before it is durable: four are in flight, and as many wait and are written for each worker
    assert begun >= 40
    assert code == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_finishes_what_is_in_flight_and_saves(tmp_path, sent):
    with start(tmp_path, 400, 0.05) as child:
        assert child.stdout.readline() == "begun 0\n"
        assert child.stdout.readline().startswith("unit")
        child.send_signal(sent)
        output = child.stdout.read()
    assert child.returncode == 130
    ran = int(output.splitlines()[-1].removeprefix("ended "))
    assert 1 <= ran < 100
    assert journaled(tmp_path) == ran
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "interrupted"
    assert finish(tmp_path, 400, 0)[0] == 0
    assert finish(tmp_path.with_name(tmp_path.name + "-calm"), 400, 0)[0] == 0
    assert derived(tmp_path) == derived(tmp_path.with_name(tmp_path.name + "-calm"))


def test_a_second_signal_stops_now(tmp_path):
    with start(tmp_path, 8, 60) as child:
        assert child.stdout.readline() == "begun 0\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline().startswith("info stopping when")
        child.send_signal(signal.SIGINT)
        output = child.stdout.read()
    assert output.splitlines()[-1] == "ended 0"
    assert child.returncode == 130
    assert journaled(tmp_path) == 0
    assert finish(tmp_path, 8, 0)[0] == 0
