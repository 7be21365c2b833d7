"""A disk that is full, wherever the run is by then, ends it with a clear message; with more room it goes on."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
DERIVED = ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "summary.json", "summary.md")


@pytest.fixture
def small_disk(missing: Callable[[str], None], tmp_path: Path) -> Callable[..., object]:
    """Mount a file system of so many KiB; ``grow`` makes it large."""

    class Disk:
        def __init__(self, path: Path) -> None:
            self.path = path

        def grow(self) -> None:
            subprocess.run(["mount", "-o", "remount,size=256m", str(self.path)], check=True)

    @contextmanager
    def mounted(kib: int) -> Iterator[Disk]:
        path = tmp_path / f"disk-{kib}"
        path.mkdir()
        tried = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.returncode:
            missing(f"leave to mount a file system: {tried.stderr.strip()}")
        try:
            yield Disk(path)
        finally:
            subprocess.run(["umount", str(path)], check=True)

    return mounted


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "synthesis.json"
    seeds = resources.files("agentflow_rag").joinpath("data", "facts-seeds.jsonl")
    path.write_text(json.dumps({"seeds": {"path": str(seeds)}, "tools": ["rag:*"], "max_workers": 2}))
    return path


@pytest.mark.parametrize("recorded", [False, True], ids=["run", "run and recording"])
def test_a_full_disk_loses_nothing_that_was_finished(agentflow, small_disk, config, tmp_path, recorded):
    calm = tmp_path / "calm"
    assert agentflow("synthesize", config, "--run", calm, "--plain").returncode == 0
    had_finished = set()
    for kib in (4, 16, 64, 256, 700, 1200):
        with small_disk(kib) as disk:
            run = disk.path / "run"
            command = ("synthesize", config, "--run", run, "--plain")
            if recorded:
                command += ("--record", disk.path / "recording")
            failed = agentflow(*command)
            assert failed.returncode == 1, (kib, failed.stderr)
            assert "Traceback" not in failed.stderr, (kib, failed.stderr)
            assert "No space left on device" in failed.stderr or "disk is full" in failed.stderr, (kib, failed.stderr)
            assert "free some space, then" in failed.stderr, (kib, failed.stderr)
            finished = ends(run)
            had_finished.add(bool(finished))
            disk.grow()
            again = agentflow(*command)
            assert again.returncode == 0, (kib, again.stderr)
            assert ends(run)[: len(finished)] == finished
            for name in DERIVED:
                assert (run / name).read_bytes() == (calm / name).read_bytes(), (kib, name)
    assert had_finished == {True, False}


def ends(run: Path) -> list[str]:
    """The ends of units that the journal holds whole, in their order."""
    found = []
    for file in sorted((run / "journal").glob("*.jsonl")):
        lines = file.read_text(errors="replace").splitlines(keepends=True)
        found += [line for line in lines if line.endswith("\n") and '"type":"unit.end"' in line]
    return found
