"""Files of sessions: read and written under the locks and limits of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentflow_core.errors import PluginError, ReplayMissError, SandboxError
from agentflow_core.sandbox import Backend, Catalog, FileSlice, Sandbox, Session, tool
from agentflow_core.sandbox.files import LARGEST_READ_BYTES
from agentflow_core.testing.backends import CounterBackend, GlossaryBackend, PagesBackend

if TYPE_CHECKING:
    from pathlib import Path


class Slow(Backend):
    """Its file is there when a test says so; a tool changes it."""

    def __init__(self) -> None:
        self.arrived = 0
        self.most = 0
        self.proceed = anyio.Event()

    async def initialize(self, session: Session) -> dict[str, bytes]:
        """No files yet."""
        return {}

    async def read_file(self, state: dict[str, bytes], path: str, start: int, end: int | None) -> FileSlice:
        """Wait at the gate."""
        await self._pass()
        whole = state.get(path, b"")
        return FileSlice(data=whole[start:end], size=len(whole))

    async def write_file(self, state: dict[str, bytes], path: str, data: bytes) -> None:
        """Wait at the gate."""
        await self._pass()
        state[path] = data

    async def _pass(self) -> None:
        self.arrived += 1
        self.most = max(self.most, self.arrived)
        try:
            await self.proceed.wait()
        finally:
            self.arrived -= 1

    @tool
    async def change(self, state: dict[str, bytes]) -> str:
        """Wait at the gate too."""
        await self._pass()
        return "changed"


async def reached(predicate: Any) -> None:
    """Let the other tasks run until it is so."""
    with anyio.fail_after(5):
        while not predicate():
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()


async def code_of(work: Any) -> str:
    with pytest.raises(SandboxError) as caught:
        await work
    return caught.value.code


async def test_a_file_is_written_and_read_whole_and_in_parts(engine):
    async with engine(pages=PagesBackend) as sandbox:
        page = (await sandbox.create_session("w", {"pages": None}))["pages"].id
        await sandbox.write_file("w", page, "a/ü.bin", b"0123456789")
        for span, data in (((), b"0123456789"), ((2, 4), b"23"), ((7,), b"789"), ((4, 4), b""), ((9, 3), b"")):
            assert await sandbox.read_file("w", page, "a/ü.bin", *span) == FileSlice(data=data, size=10)
        assert await sandbox.read_file("w", page, "a/ü.bin", 50) == FileSlice(data=b"", size=10)
        await sandbox.write_file("w", page, "a/ü.bin", b"")
        assert await sandbox.read_file("w", page, "a/ü.bin") == FileSlice(data=b"", size=0)


async def test_files_that_are_not_there_or_find_no_room_are_the_backend_s_to_tell(engine):
    async with engine(pages=PagesBackend) as sandbox:
        page = (await sandbox.create_session("w", {"pages": None}))["pages"].id
        assert await code_of(sandbox.read_file("w", page, "x")) == "not_found"
        assert await code_of(sandbox.write_file("w", page, "x", b"x" * 1_000_001)) == "disk_limit"
        assert (await sandbox.execute("w", "pages:read")).ok


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", None])
async def test_what_is_no_path_reaches_no_backend(engine, path):
    async with engine(pages=PagesBackend) as sandbox:
        page = (await sandbox.create_session("w", {"pages": None}))["pages"].id
        assert await code_of(sandbox.read_file("w", page, path)) == "invalid_argument"
        assert await code_of(sandbox.write_file("w", page, path, b"")) == "invalid_argument"


@pytest.mark.parametrize("span", [(-1, None), (0, -1), ("0", None), (0, 1.5), (True, None)])
async def test_what_are_no_offsets_reach_no_backend(engine, span):
    async with engine(pages=PagesBackend) as sandbox:
        page = (await sandbox.create_session("w", {"pages": None}))["pages"].id
        assert await code_of(sandbox.read_file("w", page, "x", *span)) == "invalid_argument"


async def test_sessions_that_are_gone_or_another_worker_s_have_no_files(engine):
    async with engine(pages=PagesBackend) as sandbox:
        page = (await sandbox.create_session("w", {"pages": None}))["pages"].id
        await sandbox.write_file("w", page, "x", b"1")
        for worker, session in (("other", page), ("w", "pages-9"), ("w", "pages")):
            assert await code_of(sandbox.read_file(worker, session, "x")) == "not_found"
        await sandbox.close_session("w", page)
        with pytest.raises(SandboxError, match="was closed"):
            await sandbox.read_file("w", page, "x")


async def test_two_sessions_do_not_share_their_files(engine):
    async with engine(pages=PagesBackend) as sandbox:
        one, two = [(await sandbox.create_session("w", {"pages": None}))["pages"].id for _ in range(2)]
        await sandbox.write_file("w", one, "x", b"1")
        assert await code_of(sandbox.read_file("w", two, "x")) == "not_found"


async def test_a_backend_without_files_says_so(engine):
    async with engine(counter=CounterBackend, glossary=GlossaryBackend) as sandbox:
        counter = (await sandbox.create_session("w", {"counter": None}))["counter"].id
        for session in (counter, "glossary"):
            assert await code_of(sandbox.read_file("w", session, "x")) == "unsupported"
            assert await code_of(sandbox.write_file("w", session, "x", b"")) == "unsupported"


async def test_a_shared_backend_has_its_files_under_its_name(engine):
    class Library(GlossaryBackend):
        async def read_file(self, state: dict[str, str], path: str, start: int, end: int | None) -> FileSlice:
            """The meaning of a word."""
            whole = state[path].encode()
            return FileSlice(data=whole[start:end], size=len(whole))

    async with engine(library=Library) as sandbox:
        assert (await sandbox.read_file("w", "library", "hop", 2, 6)).data == b"step"
        assert await code_of(sandbox.read_file("w", "library", "missing")) == "internal"
        assert await code_of(sandbox.write_file("w", "library", "hop", b"")) == "unsupported"


async def test_a_writing_waits_for_its_turn_and_readings_go_together(engine):
    backend = Slow()
    async with engine(slow=lambda: backend) as sandbox:
        session = (await sandbox.create_session("w", {"slow": None}))["slow"].id
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.execute, "w", "slow:change")
            await reached(lambda: backend.arrived == 1)
            tasks.start_soon(sandbox.write_file, "w", session, "x", b"1")
            await anyio.wait_all_tasks_blocked()
            assert backend.most == 1
            backend.proceed.set()
        backend.proceed = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(sandbox.read_file, "w", session, "x")
            await reached(lambda: backend.arrived == 3)
            backend.proceed.set()


async def test_what_takes_too_long_is_stopped(engine):
    backend = Slow()
    async with engine(slow=lambda: backend, limits={"timeout_s": 0.02}) as sandbox:
        session = (await sandbox.create_session("w", {"slow": None}))["slow"].id
        assert await code_of(sandbox.write_file("w", session, "x", b"1")) == "timeout"
        assert backend.arrived == 0
        assert (await sandbox.list_sessions("w"))[0].state == "ready"


async def test_closing_the_session_stops_what_is_read(engine):
    backend = Slow()
    async with engine(slow=lambda: backend) as sandbox:
        session = (await sandbox.create_session("w", {"slow": None}))["slow"].id
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                assert await code_of(sandbox.read_file("w", session, "x")) == "cancelled"

            tasks.start_soon(read)
            await reached(lambda: backend.arrived == 1)
            await sandbox.close_session("w", session)
        assert backend.arrived == 0


async def test_there_is_room_for_so_many_at_once(engine):
    backend = Slow()
    async with engine(slow=lambda: backend, limits={"max_concurrency": 1, "queue_length": 0}) as sandbox:
        session = (await sandbox.create_session("w", {"slow": None}))["slow"].id
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.read_file, "w", session, "x")
            await reached(lambda: backend.arrived == 1)
            assert await code_of(sandbox.read_file("w", session, "x")) == "overloaded"
            backend.proceed.set()


async def test_a_session_that_its_files_lost_is_closed(engine):
    class Fragile(Backend):
        async def read_file(self, state: None, path: str, start: int, end: int | None) -> FileSlice:
            """The container is gone."""
            raise SandboxError("the container is gone", code="session_lost")

    async with engine(fragile=Fragile) as sandbox:
        session = (await sandbox.create_session("w", {"fragile": None}))["fragile"].id
        assert await code_of(sandbox.read_file("w", session, "x")) == "session_lost"
        assert await code_of(sandbox.renew("w", session)) == "session_lost"


async def test_a_file_that_is_too_large_to_be_held_is_read_in_parts(engine):
    asked: list[tuple[int, int | None]] = []

    class Vast(Backend):
        async def read_file(self, state: None, path: str, start: int, end: int | None) -> FileSlice:
            """Bytes without end."""
            asked.append((start, end))
            return FileSlice(data=b"x" * min(9, (end or 0) - start), size=10**12)

    async with engine(vast=Vast) as sandbox:
        session = (await sandbox.create_session("w", {"vast": None}))["vast"].id
        for span in ((0, None), (5, 10**12), (0, LARGEST_READ_BYTES + 1)):
            with pytest.raises(SandboxError, match=r"(?s)has 1000000000000 bytes.*in parts"):
                await sandbox.read_file("w", session, "x", *span)
        assert (await sandbox.read_file("w", session, "x", 10**11, 10**11 + 5)).data == b"xxxxx"
        assert max((end or 0) - start for start, end in asked) == LARGEST_READ_BYTES


def test_a_tool_of_the_name_does_not_offer_files_and_files_must_be_async():
    class WithTools(Backend):
        @tool(read_only=True)
        def read_file(self, state: None, path: str) -> str:  # type: ignore[override]
            """Read.

            Args:
                path: which.
            """
            return path

    class Both(WithTools):
        async def read_file(self, state: None, path: str, start: int, end: int | None) -> FileSlice:  # type: ignore[override]
            """Read."""
            return FileSlice(data=b"", size=0)

        @tool(name="read_file")
        def read(self, state: None) -> str:
            """Read."""
            return ""

    assert (WithTools.has_files(), Both.has_files(), CounterBackend.has_files()) == (False, True, False)
    assert list(Both.tools()) == ["read_file"]
    with pytest.raises(PluginError, match="write_file must be async"):

        class Wrong(Backend):
            def write_file(self, state: None, path: str, data: bytes) -> None:  # type: ignore[override]
                """Write."""


async def test_a_recording_answers_for_the_files_too(tmp_path: Path):
    file = tmp_path / "tools.sqlite"
    catalog = Catalog.of(pages=PagesBackend)
    seen = []
    for options in ({"record": file}, {"replay": file}):
        async with Sandbox(catalog=catalog, **options) as sandbox:
            page = (await sandbox.create_session("pages"))["pages"].id
            assert await code_of(sandbox.read_file(page, "x")) == "not_found"
            await sandbox.write_file(page, "x", b"\x00\xff123")
            assert await code_of(sandbox.read_file("pages", "x")) == "not_found"
            seen.append((await sandbox.read_file(page, "x"), await sandbox.read_file(page, "x", 2, 4)))
            assert (await sandbox.execute("pages:write", {"text": "one"})).ok
            assert await code_of(sandbox.write_file(page, "y", b"x" * 1_000_001)) == "disk_limit"
            seen.append(await sandbox.read_file(page, "x"))
            await sandbox.close_session(page)
            assert await code_of(sandbox.read_file(page, "x")) == "not_found"
    assert seen[:2] == seen[2:] == [(b"\x00\xff123", b"12"), b"\x00\xff123"]
    async with Sandbox(catalog=catalog, replay=file) as sandbox:
        page = (await sandbox.create_session("pages"))["pages"].id
        with pytest.raises(ReplayMissError, match="holds no answer"):
            await sandbox.write_file(page, "x", b"other")
