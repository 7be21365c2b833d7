from __future__ import annotations

import subprocess
import sys

from agentflow_core.sandbox.folders import scratch_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from agentflow_core.sandbox.folders import scratch_folder
with scratch_folder(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_folder_is_there_until_its_process_ends(tmp_path):
    with scratch_folder(tmp_path) as folder:
        (folder / "blob").write_bytes(b"x")
        with scratch_folder(tmp_path) as other:
            assert other != folder
        assert (folder / "blob").exists()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_at_the_next_start_and_nothing_else(tmp_path):
    strange = tmp_path / "agentflow-scratch-without-a-lock"
    strange.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with scratch_folder(tmp_path) as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, strange])
