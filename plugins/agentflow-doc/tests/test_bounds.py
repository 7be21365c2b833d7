"""Documents that are large, broken or hostile: bounded, named with the reason, and no trouble for the others."""

from __future__ import annotations

import os
import re
import signal
import zipfile
import zlib
from pathlib import Path

import anyio
import pytest
from PIL import Image

from agentflow_core.errors import AgentFlowError
from agentflow_doc.config import DocLimits


async def test_documents_that_cannot_be_read_are_named_with_the_reason_and_the_others_work(make, opened):
    make.report()
    make.plain("locked.pdf", ["secret"], password="open sesame")
    (make.folder / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is not one")
    (make.folder / "empty.pdf").write_bytes(b"")
    (make.folder / "fake.docx").write_bytes(b"not a zip")
    (make.folder / "locked.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    (make.folder / "noise.png").write_bytes(b"\x89PNG\r\n\x1a\nxxxxxxxx")
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "cranes"})
        listed = await sandbox.execute("doc:list")
        read = await sandbox.execute("doc:read", {"doc": "locked.pdf"})
    assert found.ok
    assert found.data["hits"][0]["doc"] == "report.pdf"
    reasons = {problem["doc"]: problem["reason"] for problem in found.data["problems"]}
    assert reasons == {
        "broken.pdf": "broken",
        "empty.pdf": "empty",
        "fake.docx": "broken",
        "locked.docx": "encrypted",
        "locked.pdf": "encrypted",
        "noise.png": "broken",
    }
    assert "locked.pdf: cannot be read: the PDF is encrypted with a password" in listed.text
    assert (read.code, read.data["reason"], read.data["doc"]) == ("unsupported", "encrypted", "locked.pdf")


async def test_a_truncated_file_is_no_trouble(make, opened):
    whole = make.report().read_bytes()
    (make.folder / "report.pdf").write_bytes(whole[: len(whole) // 2])
    make.plain("other.pdf", ["A whole document about seals."])
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "seals"})
    assert found.data["hits"][0]["doc"] == "other.pdf"


async def test_a_broken_page_is_told_and_the_other_pages_are_read(make, opened):
    path = make.plain("three.pdf", ["The first seal.", "The second seal.", "The third seal."])
    broken, count = re.subn(rb"(/Kids \[ \d+ 0 R) \d+ 0 R", rb"\1 99 0 R", path.read_bytes())
    assert count == 1
    path.write_bytes(broken)
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "seal"})
        listed = await sandbox.execute("doc:list")
        image = await sandbox.execute("doc:page_image", {"doc": "three.pdf", "page": 2})
    assert [hit["page"] for hit in found.data["hits"]] == [1, 3]
    assert "page 2 is broken" in listed.text
    assert image.data["reason"] == "broken"


async def test_what_a_killed_process_had_begun_is_removed(make, opened, tmp_path):
    make.report()
    folder = tmp_path / "state" / "doc" / "documents"
    folder.mkdir(parents=True)
    old, new = folder / ".begun-old", folder / ".begun-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    async with opened() as sandbox:
        await sandbox.execute("doc:list")
    assert not old.exists()
    assert new.exists()


async def test_an_archive_that_unpacks_to_too_much_is_refused(make, opened):
    make.report()
    make.word("bomb.docx")
    with zipfile.ZipFile(make.folder / "bomb.docx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/zeros.bin", bytes(8 * 2**20))
    async with opened(limits=DocLimits(unpacked_mb=4)) as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "bomb.docx"})
        other = await sandbox.execute("doc:search", {"query": "cranes"})
    assert (read.code, read.data["reason"]) == ("unsupported", "too_large")
    assert "unpacks to" in read.message
    assert other.data["hits"]


async def test_a_stream_that_unpacks_to_too_much_ends_its_process_at_most(make, opened):
    make.report()
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(bytes(2**20)) for _ in range(700)) + packer.flush()
    _bare_pdf(make.folder / "bomb.pdf", zlib.compress(once, 9))
    async with opened(limits=DocLimits(memory_mb=256, parse_s=30)) as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "bomb.pdf"})
        other = await sandbox.execute("doc:search", {"query": "cranes"})
    assert read.ok or read.code in ("process_died", "memory_limit", "timeout", "unsupported")
    assert other.data["hits"][0]["doc"] == "report.pdf"


def _bare_pdf(path: Path, stream: bytes) -> None:
    """A PDF of one page whose content was packed twice."""
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>",
        b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    written = b"%PDF-1.4\n"
    places = []
    for number, part in enumerate(parts, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"xref\n0 5\n0000000000 65535 f \n%strailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    path.write_bytes(written + tail % (table, len(written)))


async def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(make, opened):
    make.report()
    Image.new("1", (9000, 9000)).save(make.folder / "huge.png")
    async with opened(limits=DocLimits(pixels=1_000_000)) as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "huge.png"})
    assert (read.code, read.data["reason"]) == ("unsupported", "too_large")
    assert "9000 × 9000" in read.message


async def test_a_file_that_is_too_large_is_not_opened(make, opened):
    make.report()
    async with opened(limits=DocLimits(file_mb=0.001)) as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "report.pdf"})
    assert (read.code, read.data["reason"]) == ("unsupported", "too_large")


async def test_a_thousand_pages_are_searched(make, opened):
    make.plain(
        "long.pdf",
        [f"Entry {n}\nkept by keeper {n}." if n != 777 else "The walrus sleeps here." for n in range(1, 1001)],
    )
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "walrus"})
    assert [hit["page"] for hit in found.data["hits"]] == [777]


async def test_pages_beyond_the_limit_are_left_out_and_told(make, opened):
    make.plain("long.pdf", [f"Entry number {n}." for n in range(1, 31)])
    async with opened(limits=DocLimits(pages=10)) as sandbox:
        listed = await sandbox.execute("doc:list")
        read = await sandbox.execute("doc:read", {"doc": "long.pdf", "pages": "11"})
    assert "10 pages; pages 11-30 are not read" in listed.text
    assert read.code == "invalid_argument"


async def test_reading_that_takes_too_long_is_given_up_and_the_others_work(make, opened):
    make.plain("long.pdf", [f"Entry number {n}. " * 40 for n in range(1, 1001)])
    make.plain("short.pdf", ["The walrus sleeps here."])
    backend = []
    async with opened(backend=backend, processes=1) as sandbox:
        short = await sandbox.execute("doc:search", {"query": "walrus", "doc": "short.pdf"})
        backend[0]._library._limits = DocLimits(parse_s=0.1)
        long = await sandbox.execute("doc:search", {"query": "walrus", "doc": "long.pdf"})
        every = await sandbox.execute("doc:search", {"query": "walrus"})
    assert short.data["hits"]
    assert (long.code, long.data["reason"]) == ("timeout", "timeout")
    assert every.data["hits"][0]["doc"] == "short.pdf"
    assert every.data["problems"][0]["reason"] == "timeout"


async def test_a_process_that_was_killed_is_replaced(make, opened):
    make.report()
    backend = []
    async with opened(backend=backend) as sandbox:
        await sandbox.execute("doc:list")
        (worker,) = backend[0]._library._workers._idle
        os.kill(worker._process.pid, signal.SIGKILL)
        image = await sandbox.execute("doc:page_image", {"doc": "report.pdf", "page": 1})
    assert image.ok


async def test_a_cancelled_call_leaves_no_process_behind(make, opened):
    make.plain("long.pdf", [f"Entry number {n}. " * 40 for n in range(1, 1001)])
    backend = []
    async with opened(backend=backend) as sandbox:
        await sandbox.warmup()
        with anyio.move_on_after(0.5) as scope:
            await sandbox.execute("doc:search", {"query": "entry"})
        workers = backend[0]._library._workers
        if scope.cancelled_caught:
            assert not workers._busy
        found = await sandbox.execute("doc:search", {"query": "entry", "k": 1})
    assert found.ok
    assert not workers._idle
    assert not workers._busy


async def test_processes_get_no_keys(make, opened, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    make.report()
    backend = []
    async with opened(backend=backend) as sandbox:
        await sandbox.execute("doc:list")
        (worker,) = backend[0]._library._workers._idle
        given = _environ_of(worker._process.pid)
    assert b"PYTHONPATH" in given
    assert b"sk-canary" not in given


def _environ_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_what_was_read_is_kept_by_content(make, opened, tmp_path):
    path = make.report()
    async with opened() as sandbox:
        first = await sandbox.execute("doc:search", {"query": "cranes"})
    kept = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "state").rglob("*.sqlite")}
    os.utime(path)
    make.folder.joinpath("copy.pdf").write_bytes(path.read_bytes())
    backend = []
    async with opened(backend=backend) as sandbox:
        again = await sandbox.execute("doc:search", {"query": "cranes", "doc": "report.pdf"})
        await sandbox.execute("doc:search", {"query": "cranes", "doc": "copy.pdf"})
        assert not backend[0]._library._workers._idle
    assert again.data["hits"] == first.data["hits"]
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "state").rglob("*.sqlite")} == kept


async def test_a_document_that_changes_is_read_anew(make, opened):
    make.plain("note.pdf", ["The walrus sleeps."])
    async with opened() as sandbox:
        before = await sandbox.execute("doc:search", {"query": "walrus"})
        make.plain("note.pdf", ["The heron fishes at dawn."])
        after = await sandbox.execute("doc:search", {"query": "heron"})
        gone = await sandbox.execute("doc:search", {"query": "walrus"})
        (make.folder / "note.pdf").unlink()
        missing = await sandbox.execute("doc:read", {"doc": "note.pdf"})
    assert before.data["hits"]
    assert after.data["hits"]
    assert not gone.data["hits"]
    assert missing.code == "not_found"


async def test_a_store_that_was_cut_short_is_made_anew(make, opened, tmp_path):
    make.report()
    async with opened() as sandbox:
        await sandbox.execute("doc:list")
    (kept,) = (tmp_path / "state").rglob("*.sqlite")
    kept.write_bytes(kept.read_bytes()[:100])
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "cranes"})
    assert found.data["hits"]


async def test_equal_calls_get_equal_answers_whichever_documents_were_read_before(make, opened):
    make.report("a.pdf")
    make.report("b.pdf", zones=2)
    async with opened() as sandbox:
        await sandbox.execute("doc:search", {"query": "grey cranes", "doc": "b.pdf"})
        first = await sandbox.execute("doc:search", {"query": "grey cranes"})
    async with opened() as sandbox:
        second = await sandbox.execute("doc:search", {"query": "grey cranes"})
    assert first.text == second.text
    assert [hit["doc"] for hit in first.data["hits"]].index("a.pdf") == 0


async def test_a_folder_without_documents_is_an_error(make, opened):
    with pytest.raises(AgentFlowError, match="no documents in the folder"):
        async with opened() as sandbox:
            await sandbox.warmup(["doc"])
