"""The card that comes with an export."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from agentflow_core.export.card import contamination_of
from agentflow_core.records import QA, Verdict
from agentflow_core.records.codec import dumps
from agentflow_core.runs import Run, RunReader


def card_of(cli, run, to, *more):
    ran = cli("export", run, "--to", "csv", "-o", to, *more)
    assert ran.code == 0, ran.err
    return (to.parent / f"{to.name}.card.md").read_text(encoding="utf-8")


def test_it_tells_where_the_data_is_from_and_that_it_is_of_the_offline_model(synthesized, cli, tmp_path):
    card = card_of(cli, synthesized.run_dir, tmp_path / "data.csv")

    assert "Made by the `offline` model" in card
    assert f"`data.csv`: {len(synthesized.accepted)} rows" in card
    assert f"model `offline`: {len(synthesized.accepted)}" in card
    for gate in ("schema", "leak", "grounded", "duplicate"):
        assert f"- `{gate}`: rejected" in card
    assert "### funnel" in card
    assert "| accepted |" in card
    assert "cost_per_accepted" in card
    assert "## Licence" in card
    assert "Not checked against any benchmark" in card
    assert str(tmp_path) not in card


def test_data_of_a_model_has_no_such_label(rolled_out, cli, tmp_path):
    card = card_of(cli, rolled_out, tmp_path / "data.csv")

    assert "offline" not in card
    assert "model `openai/tiny`: 40" in card
    assert "Do not train on what a model is to be evaluated with" in card


def test_it_tells_how_the_data_was_chosen_and_parted(rolled_out, cli, tmp_path):
    where = "outcome == 'answered' and answer != 'a`b'"
    card = card_of(cli, rolled_out, tmp_path / "data.csv", "--where", where, "--split", "0.9")

    assert f"chosen by `` {where} ``" in card
    assert "parted 0.9 to 0.1: what is of one task" in card
    assert "`data.train.csv`: " in card
    assert "`data.validation.csv`: " in card


def test_it_tells_what_the_format_had_no_place_for(rolled_out, cli, tmp_path):
    assert cli("export", rolled_out, "--to", "openai", "-o", tmp_path / "data.jsonl").code == 0

    card = (tmp_path / "data.jsonl.card.md").read_text(encoding="utf-8")
    assert "left out, since the format has no place for it: 4 with no answer" in card


def test_a_folder_holds_its_card(rolled_out, cli, tmp_path):
    assert cli("export", rolled_out, "--to", "atif", "-o", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "README.md").read_text(encoding="utf-8").startswith("# AgentFlow export: run as atif")
    assert cli("export", rolled_out, "--to", "atif", "--split", "0.5", "-o", tmp_path / "parted").code == 0
    assert cli("export", rolled_out, "--to", "atif", "--split", "0.5", "-o", tmp_path / "parted").code == 0
    assert sorted(path.name for path in (tmp_path / "parted").iterdir()) == ["README.md", "train", "validation"]


@pytest.mark.parametrize("is_checked", [True, False])
def test_it_tells_against_which_benchmarks_a_synthesis_was_checked(is_checked, tmp_path):
    qa = QA(id="q", seed_id="s", path_id="p", question="Q", answer="A", gates=(Verdict(name="leak", passed=True),))
    checked = evolve(qa, gates=(*qa.gates, Verdict(name="contamination", passed=True)))
    config = {"qa": {"gates": [{"leak": None}, {"contamination": {"benchmarks": ["/data/hotpot.jsonl"], "n": 13}}]}}
    with Run.open(tmp_path / "run", kind="synthesis", config=config, stages={}) as run:
        run.write("qa.jsonl", [dumps(checked if is_checked else qa)])

    told = contamination_of(RunReader(tmp_path / "run"))
    if is_checked:
        assert json.dumps({"benchmarks": ["hotpot.jsonl"], "n": 13}) in told
    else:
        assert told.startswith("Not checked")
