"""Copies of folders hold what was in them, and nothing that their links lead to."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import copying
from agentflow_core.sandbox.copying import copy_folder
from agentflow_core.sandbox.folders import remove_folder


@pytest.fixture
def source(tmp_path):
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_files_folders_and_permissions_are_copied(source, target):
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "file").write_bytes(bytes(range(256)) * 9000)
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o4755)
    os.link(source / "run", source / "again")
    copy_folder(source, target, limit_bytes=1 << 24)
    assert (target / "a" / "b" / "file").read_bytes() == bytes(range(256)) * 9000
    assert (target / "run").stat().st_mode & 0o7777 == 0o755
    assert (target / "again").stat().st_nlink == 1


def test_links_are_copied_as_links_and_pipes_not_at_all(source, target, tmp_path):
    (source / "file").symlink_to(tmp_path / "secret")
    (source / "folder").symlink_to(tmp_path)
    (source / "nowhere").symlink_to("gone")
    os.mkfifo(source / "pipe")
    copy_folder(source, target, limit_bytes=1 << 20)
    assert sorted(os.listdir(target)) == ["file", "folder", "nowhere"]
    assert os.readlink(target / "file") == str(tmp_path / "secret")
    assert (target / "folder").is_symlink()


def test_a_file_that_turns_into_a_link_meanwhile_is_not_followed(source, target, tmp_path):
    """The two change places as fast as they can; whatever the copy catches, it is never the other side of the link."""
    over = threading.Event()
    (source / "place").write_text("mine")

    def turn() -> None:
        while not over.is_set():
            (source / "link").symlink_to(tmp_path / "secret")
            os.replace(source / "link", source / "place")
            (source / "file").write_text("mine")
            os.replace(source / "file", source / "place")

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        for number in range(300):
            into = target / str(number)
            into.mkdir()
            with suppress(SandboxError):  # that it changed meanwhile
                copy_folder(source, into, limit_bytes=1 << 20)
            for found in into.iterdir():
                assert found.is_symlink() or found.read_text() in ("", "mine")
    finally:
        over.set()
        thread.join()


def test_holes_stay_holes_and_take_nothing(source, target):
    with (source / "hole").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"data")
    copy_folder(source, target, limit_bytes=1 << 20)
    copied = (target / "hole").stat()
    assert (copied.st_size, copied.st_blocks < 64) == (1 << 40, True)
    with (target / "hole").open("rb") as file:
        file.seek(1 << 39)
        assert file.read(4) == b"data"


def test_a_hole_that_is_filled_meanwhile_cannot_fill_the_disk(source, target, monkeypatch):
    hole = source / "hole"
    hole.write_bytes(b"")
    os.truncate(hole, 1 << 22)
    began = copying._copy_file

    def filled(*arguments):
        hole.write_bytes(b"x" * (1 << 22))
        return began(*arguments)

    monkeypatch.setattr(copying, "_copy_file", filled)
    with pytest.raises(SandboxError) as caught:
        copy_folder(source, target, limit_bytes=1 << 20)
    assert caught.value.code == "disk_limit"
    assert (target / "hole").stat().st_blocks * 512 <= 3 << 20


def test_folders_that_stand_too_deep_are_refused(source, target):
    try:
        at = os.open(source, os.O_RDONLY)
        for _ in range(1200):
            os.mkdir("deep", dir_fd=at)
            below = os.open("deep", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        with pytest.raises(SandboxError) as caught:
            copy_folder(source, target, limit_bytes=1 << 20)
        assert caught.value.code == "conflict"
    finally:
        assert remove_folder(source)  # deeper than pytest can
        assert remove_folder(target)
