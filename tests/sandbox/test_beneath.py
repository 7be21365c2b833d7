"""Files of a folder whose owner is hostile: nothing outside is read or written, and what is refused says why."""

from __future__ import annotations

import os

import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.beneath import Beneath, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="no openat2: Linux 5.6 or later")


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def files(root):
    with Beneath(root, shown="/workspace", uid=None) as opened:
        yield opened


def test_files_are_written_with_their_folders_and_read_by_parts(files, root):
    files.write("a/b/note.txt", b"0123456789")
    assert (root / "a" / "b" / "note.txt").read_bytes() == b"0123456789"
    assert files.read("/workspace/a/b/note.txt", 2, 5).data == b"234"
    assert files.read("a/./b/note.txt", 8, None).data == b"89"
    assert files.read("a/b/note.txt", 20, None) == type(files.read("a/b/note.txt", 0, 0))(data=b"", size=10)


def test_an_existing_file_keeps_its_permissions_and_a_link_inside_stays(files, root):
    (root / "run.sh").write_bytes(b"old")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("run.sh")
    files.write("link", b"new")
    assert (root / "link").is_symlink()
    assert (root / "run.sh").read_bytes() == b"new"
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "path", ["../outside/secret", "/etc/passwd", "link/secret", "secret-link", "absolute", "a/../../outside/secret"]
)
def test_no_path_leads_out(files, root, outside, path):
    (root / "a").mkdir()
    (root / "link").symlink_to("../outside")
    (root / "secret-link").symlink_to(outside / "secret")
    (root / "absolute").symlink_to(str(outside / "secret"))
    with pytest.raises(SandboxError) as read:
        files.read(path, 0, None)
    assert read.value.code in ("invalid_argument", "not_found")
    with pytest.raises(SandboxError):
        files.write(path, b"overwritten")
    assert (outside / "secret").read_text() == "secret"
    assert sorted(os.listdir(outside)) == ["secret"]


def test_what_is_no_file_is_refused_and_never_waited_for(files, root):
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    (root / "loop").symlink_to("loop")
    for name in ("fifo", "folder", "loop"):
        with pytest.raises(SandboxError) as refused:
            files.read(name, 0, None)
        assert refused.value.code == "invalid_argument"
    with pytest.raises(SandboxError) as missing:
        files.read("nothing", 0, None)
    assert missing.value.code == "not_found"
    with pytest.raises(SandboxError):
        files.write("folder", b"x")
    with pytest.raises(SandboxError):
        files.read("nul\0", 0, None)
