"""The images of a run, written as files."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from agentflow_core.cli.runs import command
from agentflow_core.errors import DataError, StorageError
from agentflow_core.records import Node, Observation, Trajectory
from agentflow_core.records.codec import dumps
from agentflow_core.records.rollout import StepRecord

PNG, JPEG, TEXT = b"\x89PNG\r\n\x1a\n one", b"\xff\xd8\xff two", b"a long text"


def shown(tool, *blobs):
    return StepRecord(tools=({"call_id": "c", "tool": tool, "code": "ok", "blobs": list(blobs)},))


@pytest.fixture
def seen(open_run):
    """A rollout in which two tasks saw something."""
    with open_run(kind="rollout") as run:
        png, jpeg, text = (run.blobs.put(data) for data in (PNG, JPEG, TEXT))
        trajectories = [
            Trajectory(id="e01#0", task_id="e01", steps=(shown("vm:click"), shown("vm:screenshot", png, jpeg))),
            Trajectory(id="../E01#0", task_id="x", steps=(shown("bash:run", text), shown("vm:screenshot", png))),
        ]
        run.write("trajectories.jsonl", map(dumps, trajectories))
        run.finish("complete", {})
    return run.dir


def test_each_image_is_a_file_that_says_where_it_was_shown(seen):
    ran = CliRunner().invoke(command, ["images", str(seen)])
    assert ran.output == f"3 images in {seen / 'images'}\n"
    found = {path.name: path.read_bytes() for path in (seen / "images").iterdir()}
    assert found == {
        "e01_0-002-vm_screenshot.png": PNG,
        "e01_0-002-vm_screenshot_2.jpg": JPEG,
        "E01_0-002-vm_screenshot_3.png": PNG,
    }


def test_images_of_trees_stand_under_their_nodes(open_run, tmp_path):
    with open_run() as run:
        result = Observation(text="a page", blobs=(run.blobs.put(PNG),))
        nodes = [Node(id="s/0", seed_id="s"), Node(id="s/0.1", seed_id="s", tool="browser:screenshot", result=result)]
        run.write("tree.jsonl", map(dumps, nodes))
        run.finish("complete", {})
    ran = CliRunner().invoke(command, ["images", str(run.dir), "-o", str(tmp_path / "pictures" / "here")])
    assert ran.exit_code == 0
    assert [path.name for path in (tmp_path / "pictures" / "here").iterdir()] == ["s_0.1-browser_screenshot.png"]


def test_a_run_without_images_says_so(open_run):
    with open_run() as run:
        run.finish("complete", {})
    assert CliRunner().invoke(command, ["images", str(run.dir)]).output == "no images were shown in this run\n"
    assert not (run.dir / "images").exists()


def test_what_cannot_be_read_or_written_is_an_error(seen, tmp_path):
    (tmp_path / "taken").write_text("")
    ran = CliRunner().invoke(command, ["images", str(seen), "-o", str(tmp_path / "taken" / "x")])
    assert isinstance(ran.exception, StorageError)
    for blob in (seen / "blobs").glob("*/*"):
        blob.unlink()
    assert isinstance(CliRunner().invoke(command, ["images", str(seen)]).exception, DataError)
