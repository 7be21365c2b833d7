"""The blob store: named by content, whole or not there, shared by threads and processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.blobs import BlobStore
from agentflow_core.errors import DataError, StorageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


@given(data=st.binary(max_size=2000))
def test_what_is_put_comes_back_by_its_hash(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    store = BlobStore(tmp_path_factory.getbasetemp() / "property")
    sha256 = store.put(data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert sha256 in store
    assert store.get(sha256) == data


def test_putting_again_writes_nothing(store: BlobStore):
    sha256 = store.put(b"text")
    (name,) = files(store)
    before = (store.root / name).stat()
    assert store.put(b"text") == sha256
    assert files(store) == [f"{sha256[:2]}/{sha256[2:]}"]
    assert (store.root / name).stat().st_ino == before.st_ino


def test_nothing_is_made_before_something_is_put(store: BlobStore):
    assert "0" * 64 not in store
    assert not store.root.exists()


def test_what_nobody_has_put_for_long_is_discarded(store: BlobStore):
    kept, again, left = (store.put(data) for data in (b"kept", b"again", b"left"))
    for sha256 in (again, left):
        os.utime(store.root / sha256[:2] / sha256[2:], (0, 0))
    store.put(b"again")
    assert store.discard(60) == 1
    assert (kept in store, again in store, left in store) == (True, True, False)
    assert store.put(b"left") == left
    assert store.get(left) == b"left"
    assert store.discard(60) == 0


def test_many_threads_put_the_same_blobs_at_once(store: BlobStore):
    blobs = [bytes([number]) * 200_000 for number in range(4)] * 8
    with ThreadPoolExecutor(16) as threads:
        hashes = list(threads.map(store.put, blobs))
    assert [store.get(sha256) for sha256 in hashes] == blobs
    assert len(files(store)) == 4


def test_many_processes_put_the_same_blobs_at_once(store: BlobStore):
    program = (
        "import sys; from pathlib import Path; from agentflow_core.blobs import BlobStore\n"
        "store = BlobStore(Path(sys.argv[1]))\n"
        "sys.stdin.readline()\n"
        "print([store.put(bytes([n]) * 50_000) for n in range(20)][-1])"
    )
    command = [sys.executable, "-c", program, str(store.root)]
    running = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(4)]
    outputs = [process.communicate("go\n", timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert set(outputs) == {hashlib.sha256(bytes([19]) * 50_000).hexdigest()}
    assert len(files(store)) == 20


def test_a_missing_blob_is_named(store: BlobStore):
    with pytest.raises(DataError, match=f"no blob {'a' * 64}"):
        store.get("a" * 64)


@pytest.mark.parametrize("damage", [b"", b"not zstd", None], ids=["empty", "garbage", "another blob"])
def test_a_damaged_blob_is_never_given_out(store: BlobStore, damage: bytes | None):
    sha256, other = store.put(b"text" * 100), store.put(b"another")
    path = store.root / sha256[:2] / sha256[2:]
    path.write_bytes((store.root / other[:2] / other[2:]).read_bytes() if damage is None else damage)
    with pytest.raises(DataError, match="blob"):
        store.get(sha256)


def test_a_cut_blob_is_never_given_out(store: BlobStore):
    sha256 = store.put(bytes(range(256)) * 50)
    path = store.root / sha256[:2] / sha256[2:]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match="blob"):
        store.get(sha256)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "/" + "a" * 63, "A" * 64, "a" * 63, "a" * 64 + "\n", "a" * 65]
)
def test_a_name_that_is_no_hash_is_never_a_path(store: BlobStore, name: str):
    with pytest.raises(DataError, match="not the name of a blob"):
        store.get(name)
    with pytest.raises(DataError, match="not the name of a blob"):
        _ = name in store


def test_a_disk_that_refuses_leaves_nothing_behind(store: BlobStore):
    store.root.mkdir()
    sha256 = hashlib.sha256(b"text").hexdigest()
    (store.root / sha256[:2]).write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        store.put(b"text")
    assert files(store) == [sha256[:2]]
