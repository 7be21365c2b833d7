"""A run whose files were damaged says so, does the damaged units again, and ends as if nothing had happened."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
DERIVED = ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "summary.json", "summary.md")


def cut_tail(journal: Path) -> None:
    """What a power cut leaves: the last line is torn, and the ledger knows of it."""
    file = max(journal.glob("*.jsonl"))
    file.write_bytes(file.read_bytes()[:-40])


def flip_byte(journal: Path) -> None:
    """One bit of an observation, in the middle of the file."""
    file = max(journal.glob("*.jsonl"), key=lambda path: path.stat().st_size)
    raw = bytearray(file.read_bytes())
    at = raw.index(b'"text":"', len(raw) // 2) + 10
    raw[at] ^= 1
    file.write_bytes(bytes(raw))


def flip_byte_and_lose_ledger(journal: Path) -> None:
    flip_byte(journal)
    (journal / "ledger").unlink()


def tear_ledger(journal: Path) -> None:
    ledger = journal / "ledger"
    ledger.write_bytes(ledger.read_bytes()[:-7])


def flip_ledger(journal: Path) -> None:
    ledger = journal / "ledger"
    raw = bytearray(ledger.read_bytes())
    raw[len(raw) // 2] ^= 1
    ledger.write_bytes(bytes(raw))


def lose_derived(journal: Path) -> None:
    for name in DERIVED:
        (journal.parent / name).unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut_tail, "is made again"),
        (flip_byte, "the unit is done again"),
        (flip_byte_and_lose_ledger, "the unit is done again"),
        (tear_ledger, ""),
        (flip_ledger, ""),
        (lose_derived, ""),
    ],
)
def test_a_damaged_run_is_mended_and_says_what_was_wrong(agentflow, tmp_path, damage, says):
    seeds = resources.files("agentflow_rag").joinpath("data", "facts-seeds.jsonl")
    config = tmp_path / "synthesis.json"
    config.write_text(json.dumps({"seeds": {"path": str(seeds), "limit": 6}, "tools": ["rag:*"]}))
    run = tmp_path / "run"
    assert agentflow("synthesize", config, "--run", run, "--plain").returncode == 0
    whole = {name: (run / name).read_bytes() for name in DERIVED}

    damage(run / "journal")

    again = agentflow("synthesize", config, "--run", run, "--plain")
    assert again.returncode == 0, again.stderr
    assert says in again.stdout + again.stderr
    assert {name: (run / name).read_bytes() for name in DERIVED} == whole
    quiet = agentflow("synthesize", config, "--run", run, "--plain")
    assert quiet.returncode == 0
    assert "done again" not in quiet.stdout + quiet.stderr
