from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Backend, Catalog, Sandbox, Session, tool
from agentflow_core.sandbox.launchers import LauncherConfig, LaunchSpec
from agentflow_core.sandbox.premises import Premises

KILLED = """
import os, signal, sys
from pathlib import Path
import anyio
from agentflow_core.sandbox.launchers import LauncherConfig, LaunchSpec
from agentflow_core.sandbox.premises import Premises

async def main():
    kind = sys.argv[2]
    async with Premises(Path(sys.argv[1]), LauncherConfig(kind=kind, folder=Path(sys.argv[3]))) as premises:
        async with premises.workspace("mine") as folder:
            launcher = await premises.launcher()
            confined = await launcher.start(LaunchSpec(argv=("/bin/sh", "-c", "echo up; sleep 1000"), workspace=folder))
            assert await confined.stdout.receive() == b"up\\n"
            (folder / "deep").mkdir(mode=0)
            print(confined.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def _gone(pid: int) -> bool:
    with anyio.move_on_after(10):
        while _is_alive(pid):  # noqa: ASYNC110 - it is no child of ours
            await anyio.sleep(0.02)
    return not _is_alive(pid)


def _files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def runtime():
    """A folder that sessions may pass through."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


@pytest.mark.parametrize("kind", ["none", "bwrap"])
async def test_what_a_killed_engine_left_is_removed_by_the_next_one(tmp_path, kind, runtime, missing):
    if kind == "bwrap" and shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")
    state = tmp_path / "state"
    state.mkdir()
    killed = await anyio.to_thread.run_sync(
        lambda: subprocess.run(
            [sys.executable, "-c", KILLED, str(state), kind, str(runtime)], capture_output=True, text=True, check=False
        )
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pid = int(killed.stdout)
    assert len(list((state / "workspaces").iterdir())) == 1
    assert len(list(runtime.iterdir())) == 1
    async with Premises(state):
        assert await _gone(pid)
        assert list((state / "workspaces").iterdir()) == []
        assert list((state / "ownership").iterdir()) == []
        assert list(runtime.iterdir()) == []


async def test_what_a_living_engine_holds_is_left_alone(tmp_path):
    async with Premises(tmp_path) as first, first.workspace("mine") as folder:
        (folder / "note").write_text("x")
        async with Premises(tmp_path) as second, second.workspace("mine") as other:
            assert other != folder
        assert (folder / "note").read_text() == "x"
    assert _files(tmp_path) == []


async def test_nothing_is_written_before_something_is_taken(tmp_path):
    async with Premises(tmp_path / "state"):
        pass
    assert not (tmp_path / "state").exists()


async def test_a_workspace_is_removed_whatever_is_in_it(tmp_path):
    (tmp_path / "outside").write_text("kept")
    async with Premises(tmp_path) as premises:
        async with premises.workspace("made by: an/agent") as folder:
            (folder / "locked").mkdir(mode=0)
            (folder / "link").symlink_to(tmp_path / "outside")
            here = os.open(folder, os.O_RDONLY)
            try:
                for _ in range(1500):  # deeper than Python recurses
                    os.mkdir("d", dir_fd=here)
                    below = os.open("d", os.O_RDONLY, dir_fd=here)
                    os.close(here)
                    here = below
            finally:
                os.close(here)
        assert not folder.exists()


async def test_a_launcher_that_cannot_open_is_told_to_all_and_tried_again(tmp_path):
    launcher = LauncherConfig(kind="none", folder=tmp_path / "file" / "runtime")
    (tmp_path / "file").write_text("not a folder")
    async with Premises(tmp_path / "state", launcher) as premises:
        failures = []

        async def ask():
            try:
                await premises.launcher()
            except (SandboxError, OSError) as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
        assert len(failures) == 3
        (tmp_path / "file").unlink()
        assert (await premises.launcher()).name == "none"


class ShellBackend(Backend):
    """A process a session."""

    async def initialize(self, session: Session):
        workspace = self.context.workspace(session.id)
        folder = await workspace.__aenter__()
        try:
            confined = await self.context.launch(LaunchSpec(argv=("/bin/cat",), workspace=folder))
        except BaseException:
            await workspace.__aexit__(None, None, None)
            raise
        return workspace, confined

    async def cleanup(self, state):
        workspace, confined = state
        await confined.aclose()
        await workspace.__aexit__(None, None, None)

    @tool
    async def echo(self, state, text: str) -> str:
        """Say it again.

        Args:
            text: what.
        """
        await state[1].stdin.send(text.encode() + b"\n")
        return (await state[1].stdout.receive()).decode().strip()


def _sandbox(state_dir: Path) -> Sandbox:
    config = {"state_dir": str(state_dir), "launcher": {"kind": "none"}}
    return Sandbox(catalog=Catalog.of(shell=ShellBackend), config=config)


async def test_a_backend_launches_through_its_context_and_nothing_is_left_at_the_end(tmp_path):
    async with _sandbox(tmp_path) as sandbox:
        assert (await sandbox.execute("shell:echo", {"text": "hello"})).text == "hello"
        assert len(_files(tmp_path)) > 0
    assert _files(tmp_path) == []
    assert list((tmp_path / "workspaces").iterdir()) == []


@pytest.fixture
def disk(tmp_path, missing):
    """A file system of 256 KB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        missing("a small file system needs root and mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def _open_many(sandbox: Sandbox) -> None:
    for number in range(40):
        await sandbox.worker(f"w{number}").create_session("shell")


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb", buffering=0) as opened:
        while True:
            opened.write(b"x" * 4096)


async def test_on_a_full_disk_a_session_is_refused_and_later_ones_start(disk):
    async with _sandbox(disk) as sandbox:
        assert (await sandbox.execute("shell:echo", {"text": "one"})).ok
        _fill(disk / "filler")
        with pytest.raises(SandboxError, match="cannot be") as refused:
            await _open_many(sandbox)
        assert refused.value.code == "provider_unavailable"
        assert "free some space" in refused.value.hint
        assert (await sandbox.execute("shell:echo", {"text": "two"})).text == "two"
        (disk / "filler").unlink()
        await sandbox.worker("later").create_session("shell")
    assert _files(disk) == []
