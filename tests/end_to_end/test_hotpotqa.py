"""The examples over the HotpotQA sample, run as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evidence import problems, seeds_with_qa

EXAMPLES = Path(__file__).parents[2] / "examples" / "hotpotqa"
pytestmark = pytest.mark.timeout(300)


def test_the_synthesis_example_gives_grounded_qa_from_half_of_its_seeds(agentflow, hotpotqa, tmp_path):
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain", AGENTFLOW_DATA=hotpotqa)

    assert ran.returncode == 0, ran.stderr
    assert len(seeds_with_qa(tmp_path / "qa")) >= 20
    assert problems(tmp_path / "qa") == []


def test_the_rollout_example_scores_every_question(agentflow, hotpotqa, tmp_path):
    ran = agentflow("rollout", EXAMPLES / "rollout.yaml", "--run", "dev", "--plain", AGENTFLOW_DATA=hotpotqa)

    assert ran.returncode == 0, ran.stderr
    metrics = json.loads((tmp_path / "dev" / "summary.json").read_text())["metrics"]
    assert {name: figures["attempted"] for name, figures in metrics.items()} == {"exact_match": 50, "f1_score": 50}
    assert {name: figures["graded"] for name, figures in metrics.items()} == {"exact_match": 50, "f1_score": 50}
