"""Small backends, one of each sharing, that keep every law: for tests, and to read before writing one."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import anyio.lowlevel
from attrs import define, field

from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, Catalog, FileSlice, Range, Session, tool
from agentflow_core.testing.subjects import Canary, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

__all__ = ["COUNTER", "GLOSSARY", "PAGES", "CounterBackend", "GlossaryBackend", "PagesBackend", "reference_catalog"]

Seconds = Annotated[float, Range(0, 3600), "how long, in seconds"]


@define
class Counter:
    """The state of one counter."""

    total: int = 0
    labels: list[str] = field(factory=list)


class CounterBackend(Backend):
    """Count things, one counter a session."""

    sharing = "session"

    async def initialize(self, session: Session) -> Counter:
        """A counter that starts at the setting ``start``, 0 by default."""
        start = session.settings.get("start", 0)
        if not isinstance(start, int):
            raise SandboxError(f"start is {start!r}, not an integer", code="invalid_argument")
        return Counter(total=start)

    async def fork(self, state: Counter, session: Session) -> Counter:
        """A counter of its own at the same total."""
        return Counter(total=state.total, labels=list(state.labels))

    async def observe_end(self, state: Counter, probes: Sequence[str]) -> Mapping[str, Any]:
        """``total``, and ``label:N``: the N-th label."""
        return {probe: self._probe(state, probe) for probe in probes}

    @staticmethod
    def _probe(state: Counter, probe: str) -> int | str | None:
        kind, _, argument = probe.partition(":")
        if kind == "total":
            return state.total
        if kind != "label" or not argument.isdecimal():
            raise SandboxError(f"no probe {probe!r}", code="invalid_argument", hint="total, label:N")
        return dict(enumerate(state.labels)).get(int(argument))

    @tool
    async def add(self, state: Counter, amount: Annotated[int, Range(1, 100)] = 1) -> ToolResult:
        """Add to the counter.

        Args:
            amount: how much to add.
        """
        state.total += amount
        return ToolResult.success({"total": state.total})

    @tool
    async def label(self, state: Counter, text: Annotated[str, Range(1, 20_000_000)]) -> ToolResult:
        """Write a label on the counter.

        Args:
            text: what it says.
        """
        state.labels.append(text)
        return ToolResult.success({"labels": len(state.labels)})

    @tool(read_only=True)
    async def look(self, state: Counter, repeat: Annotated[int, Range(1, 100_000)] = 1) -> str:
        """Read the total and all labels.

        Args:
            repeat: how many times to print it.
        """
        return "\n".join([f"total {state.total}", *state.labels] * repeat)

    @tool
    async def wait(self, state: Counter, seconds: Seconds) -> ToolResult:
        """Wait, then add one."""
        await anyio.sleep(seconds)
        state.total += 1
        return ToolResult.success({"total": state.total})


class GlossaryBackend(Backend):
    """Look up words; the glossary is read once and is the same for all."""

    sharing = "shared"

    async def initialize(self, session: Session) -> dict[str, str]:
        """The glossary."""
        return {"hop": "a step from one source to the next", "rollout": "one run of an agent on a task"}

    @tool(read_only=True)
    async def define(self, state: dict[str, str], word: str) -> ToolResult:
        """Say what a word means.

        Args:
            word: the word, in lower case.
        """
        if word not in state:
            return ToolResult.failure("not_found", f"no such word: {word[:100]}", hint="words lists what is there")
        return ToolResult.success({"word": word}, text=f"{word}: {state[word]}")

    @tool(read_only=True)
    async def words(self, state: dict[str, str], repeat: Annotated[int, Range(1, 100_000)] = 1) -> list[str]:
        """List the words.

        Args:
            repeat: how many times to list them.
        """
        return sorted(state) * repeat

    @tool(read_only=True)
    async def ponder(self, state: dict[str, str], seconds: Seconds) -> str:
        """Think about the words for a while."""
        await anyio.sleep(seconds)
        return f"{len(state)} words"


@define
class Page:
    """The state of one page: its text, what is clipped to it, and what holds it open."""

    text: str = ""
    files: dict[str, bytes] = field(factory=dict)
    stack: AsyncExitStack = field(factory=AsyncExitStack)


class PagesBackend(Backend):
    """Write on pages of one pad: the pad is the server's, each session has a page with a task of its own.

    Files may be clipped to a page, `ROOM_BYTES` in all.
    """

    sharing = "hybrid"
    ROOM_BYTES = 1_000_000

    def __init__(self) -> None:
        self.pages: int | None = None

    async def warmup(self) -> None:
        """Open the pad."""
        if self.pages is None:
            self.pages = 0

    async def shutdown(self) -> None:
        """Close the pad."""
        self.pages = None

    async def initialize(self, session: Session) -> Page:
        """A page; its task group is open until `cleanup`."""
        page = Page()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._turned())
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(anyio.sleep_forever)
            stack.callback(tasks.cancel_scope.cancel)
            await anyio.lowlevel.checkpoint()
            page.stack = stack.pop_all()
        return page

    async def cleanup(self, state: Page) -> None:
        """Turn the page away."""
        await state.stack.aclose()

    async def read_file(self, state: Page, path: str, start: int, end: int | None) -> FileSlice:
        """A file that is clipped to the page."""
        if path not in state.files:
            raise SandboxError(f"no such file: {path[:100]}", code="not_found")
        whole = state.files[path]
        return FileSlice(data=whole[start:end], size=len(whole))

    async def write_file(self, state: Page, path: str, data: bytes) -> None:
        """Clip a file to the page."""
        others = sum(len(whole) for name, whole in state.files.items() if name != path)
        if others + len(data) > self.ROOM_BYTES:
            raise SandboxError(f"a page holds {self.ROOM_BYTES} bytes of files", code="disk_limit")
        state.files[path] = data

    @asynccontextmanager
    async def _turned(self) -> AsyncIterator[None]:
        if self.pages is None:
            raise SandboxError("the pad is closed", code="not_ready")
        self.pages += 1
        try:
            yield
        finally:
            if self.pages is not None:
                self.pages -= 1

    @tool
    async def write(self, state: Page, text: str) -> ToolResult:
        """Write a line at the end of the page.

        Args:
            text: the line.
        """
        state.text += text + "\n"
        return ToolResult.success({"characters": len(state.text)})

    @tool(read_only=True)
    async def read(self, state: Page, repeat: Annotated[int, Range(1, 100_000)] = 1) -> str:
        """Read the page.

        Args:
            repeat: how many times.
        """
        return state.text * repeat

    @tool
    async def dry(self, state: Page, seconds: Seconds) -> None:
        """Let the ink dry."""
        await anyio.sleep(seconds)


COUNTER = Subject(
    backend=CounterBackend,
    calls=(("add", {"amount": 2}), ("label", {"text": "apples"}), ("look", {}), ("wait", {"seconds": 0})),
    canaries={"labels": Canary(plant=lambda text: (("label", {"text": text}),), look=(("look", {}),))},
    slow=("wait", {"seconds": 60}),
    loud=("look", {"repeat": 10_000}),
    broken_settings={"start": "many"},
)

GLOSSARY = Subject(
    backend=GlossaryBackend,
    calls=(("define", {"word": "hop"}), ("words", {}), ("ponder", {"seconds": 0})),
    slow=("ponder", {"seconds": 60}),
    loud=("words", {"repeat": 5_000}),
)

PAGES = Subject(
    backend=PagesBackend,
    calls=(("write", {"text": "one"}), ("read", {}), ("dry", {"seconds": 0})),
    canaries={"text": Canary(plant=lambda text: (("write", {"text": text}),), look=(("read", {}),))},
    slow=("dry", {"seconds": 60}),
    loud=("read", {"repeat": 10_000}),
)


def reference_catalog() -> Catalog:
    """The three backends as ``counter``, ``glossary`` and ``pages``."""
    return Catalog.of(counter=CounterBackend, glossary=GlossaryBackend, pages=PagesBackend)
