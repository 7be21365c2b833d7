"""What ``--where`` and ``--split`` take of a run."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_core.errors import UsageError
from agentflow_core.export.split import keys_of, part


def test_only_what_the_condition_holds_for_is_written(rolled_out, cli, read, tmp_path):
    out = tmp_path / "train.jsonl"
    where = "scores.f1_score.value >= 0.8 and outcome == 'answered'"

    assert cli("export", rolled_out, "--to", "openai", "--where", where, "-o", out).code == 0
    assert len(read(out)) == 20
    assert all(example["messages"][-1]["content"] == "<answer>Vienna</answer>" for example in read(out))


def test_an_unknown_field_is_refused_with_a_suggestion_and_nothing_is_written(rolled_out, cli, tmp_path):
    ran = cli("export", rolled_out, "--to", "csv", "--where", "scores.f1_scor.value > 0", "-o", tmp_path / "x.csv")

    assert (ran.code, "did you mean 'scores.f1_score.value'" in ran.err) == (2, True)
    assert not list(tmp_path.glob("x*"))
    ran = cli("export", rolled_out, "--to", "csv", "--where", "outcom == 'x'", "-o", tmp_path / "x.csv")
    assert "did you mean 'outcome'" in ran.err


def test_a_condition_that_holds_for_nothing_is_an_error(rolled_out, cli, tmp_path):
    ran = cli("export", rolled_out, "--to", "csv", "--where", "outcome == 'error:x'", "-o", tmp_path / "x.csv")

    assert (ran.code, "no record" in ran.err, (tmp_path / "x.csv").exists()) == (2, True, False)


def test_a_mistake_in_the_condition_names_its_column(rolled_out, cli, tmp_path):
    ran = cli("export", rolled_out, "--to", "csv", "--where", "outcome = 'x'", "-o", tmp_path / "x.csv")

    assert (ran.code, "--where, column 9" in ran.err) == (2, True)


def test_a_rollout_is_parted_by_tasks(rolled_out, cli, read, tmp_path):
    out = tmp_path / "data.jsonl"

    ran = cli("export", rolled_out, "--to", "openai", "--split", "0.8", "-o", out)
    assert ran.code == 0
    parts = {name: read(tmp_path / f"data.{name}.jsonl") for name in ("train", "validation")}
    asked = {name: {example["messages"][1]["content"] for example in part} for name, part in parts.items()}
    assert not asked["train"] & asked["validation"]
    assert (len(asked["train"]), len(asked["validation"])) == (16, 4)
    assert not out.exists()


def test_a_synthesis_is_parted_so_that_no_seed_and_no_document_is_on_both_sides(synthesized, cli, tmp_path, needed):
    parquet = needed("pyarrow.parquet")
    ran = cli("export", synthesized.run_dir, "--to", "parquet", "--split", "0.7", "-o", tmp_path / "data.parquet")

    assert ran.code == 0
    sides = []
    for name in ("train", "validation"):
        rows = parquet.read_table(tmp_path / f"data.{name}.parquet").to_pylist()
        sides.append({key for row in rows for key in _keys_of_row(row)})
    assert all(sides)
    assert not sides[0] & sides[1]


def _keys_of_row(row):
    yield row["seed_id"]
    for step in row["reasoning_steps"]:
        yield from (evidence["source"] for evidence in step["evidence"])


def test_the_same_export_is_the_same_bytes(synthesized, cli, tmp_path):
    for name in ("one", "two"):
        for form in ("trl", "csv", "verl"):
            to = tmp_path / name / f"data.{form}"
            assert cli("export", synthesized.run_dir, "--to", form, "--split", "0.8", "-o", to).code == 0
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 9
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_share_that_is_none_is_refused(rolled_out, cli, tmp_path):
    ran = cli("export", rolled_out, "--to", "csv", "--split", "1.5", "-o", tmp_path / "x.csv")

    assert (ran.code, "such as 0.9" in ran.err) == (2, True)


def test_what_hangs_together_as_a_whole_cannot_be_parted(rollout_of, sample, cli, tmp_path):
    run = rollout_of([sample("Mozart", number) for number in range(4)])

    ran = cli("export", run, "--to", "csv", "--split", "0.5", "-o", tmp_path / "x.csv")
    assert (ran.code, "hang together" in ran.err) == (2, True)


def test_tasks_that_were_synthesized_are_parted_by_their_seeds_too(rollout_of, sample, cli, tmp_path, needed):
    samples = [sample(f"task-{number}") for number in range(12)]
    samples = [
        (evolve(result, metadata={"seed_id": f"seed-{number // 3}"}), trajectory)
        for number, (result, trajectory) in enumerate(samples)
    ]
    run = rollout_of(samples)

    assert (
        cli("export", run, "--to", "parquet", "--split", "0.5", "--split-by", "seed", "-o", tmp_path / "x.pq").code == 0
    )
    table = needed("pyarrow.parquet").read_table
    sides = [
        {int(id[5:]) // 3 for id in table(tmp_path / f"x.{part}.pq")["task_id"].to_pylist()}
        for part in ("train", "validation")
    ]
    assert not sides[0] & sides[1]


def test_an_exporter_that_knows_whole_runs_only_says_so(rolled_out, cli, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from agentflow_core import ExporterSpec, hookimpl\n"
        "class Mine:\n"
        "    def export(self, run_dir, output):\n"
        "        output.write_text('x')\n"
        "        return 1\n"
        "@hookimpl\n"
        "def agentflow_exporters():\n"
        "    yield ExporterSpec('mine', target='agentflow_loaded_mine:Mine', summary='mine')\n"
    )
    whole = ("export", rolled_out, "--to", "mine", "-o", tmp_path / "x", "--load", tmp_path / "mine.py")

    assert cli(*whole).code == 0
    assert (tmp_path / "x.card.md").read_text().startswith("# AgentFlow export: run as mine")
    ran = cli(*whole, "--where", "true")
    assert (ran.code, "whole runs only" in ran.err) == (2, True)


EXAMPLES = st.lists(st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=2), min_size=2, max_size=30)


@settings(deadline=None)
@given(EXAMPLES, st.floats(0.05, 0.95), st.randoms(use_true_random=False))
def test_no_key_is_on_both_sides_and_the_order_does_not_matter(examples, fraction, rng):
    try:
        trained = part(examples, fraction)
    except UsageError:
        return
    assert 0 < sum(trained) < len(trained)
    sides = [
        {key for keys, is_train in zip(examples, trained, strict=True) if is_train == side for key in keys}
        for side in (True, False)
    ]
    assert not sides[0] & sides[1]
    order = list(range(len(examples)))
    rng.shuffle(order)
    again = part([examples[index] for index in order], fraction)
    assert again == [trained[index] for index in order]


def test_the_share_is_met_where_groups_are_small():
    trained = part([(f"task {number}",) for number in range(1000)], 0.9)

    assert sum(trained) == 900


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"doc_id": "d-1", "page": 4}, "source d-1"),
        ({"url": "https://a.example/x", "box": [1, 2]}, "source https://a.example/x"),
        ({"page": 4}, 'source {"page": 4}'),
    ],
)
def test_a_page_does_not_part_a_document(source, key):
    record = {"seed_id": "s", "reasoning_steps": [{"evidence": [{"source": source}, {"source": source}]}]}

    assert keys_of(record, "document") == ("seed s", key)
    assert keys_of(record, "seed") == ("seed s",)
