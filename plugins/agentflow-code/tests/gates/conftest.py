"""Drafts, and sandboxes that answer as they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core.interfaces import GateContext
from agentflow_core.records import QA, Action, Node, Seed, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeWorker:
    """A worker whose tools answer what a function says of their parameters."""

    def __init__(self, sandbox: FakeSandbox, label: str) -> None:
        self.worker_id = label
        self._sandbox = sandbox

    async def create_session(self, backends: Any, *, call_id: str | None = None) -> dict[str, Any]:
        self._sandbox.opened.append((self.worker_id, backends))
        return {}

    async def execute(self, tool: str, params: Any = None, **more: Any) -> ToolResult:
        self._sandbox.calls.append((self.worker_id, tool, dict(params)))
        return self._sandbox.answer(tool, params)

    async def aclose(self) -> None:
        self._sandbox.closed.append(self.worker_id)


class FakeSandbox:
    def __init__(self, answer: Callable[[str, Any], ToolResult]) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.opened: list[tuple[str, Any]] = []
        self.closed: list[str] = []

    def worker(self, label: str) -> FakeWorker:
        return FakeWorker(self, label)


def rows_result(rows: list[list[Any]], **more: Any) -> ToolResult:
    data = {"rows": rows, "truncated": False, "dialect": "sqlite", "row_count": len(rows), **more}
    return ToolResult.success(data, text="")


@pytest.fixture
def answering() -> Callable[..., FakeSandbox]:
    """A sandbox of which every query gives these rows: ``answering([[1]])``; or what a function says."""

    def make(answer: Any) -> FakeSandbox:
        return FakeSandbox(answer if callable(answer) else lambda tool, params: rows_result(answer))

    return make


@pytest.fixture
def result_of() -> Callable[..., ToolResult]:
    return rows_result


@pytest.fixture
def draft() -> Callable[..., QA]:
    def make(answer: str = "347", question: str = "How many albums are there?", **more: Any) -> QA:
        extra = {key: more.pop(key) for key in ("sql", "code", "database") if key in more}
        return QA(id="s/0#0", seed_id="s", path_id="s/0", question=question, answer=answer, extra=extra, **more)

    return make


@pytest.fixture
def context() -> Callable[..., GateContext]:
    def make(sandbox: Any = None, session: Any = None, actions: tuple[Action, ...] = ()) -> GateContext:
        nodes = tuple(
            Node(id=f"s/0.{at}", seed_id="s", tool=action.tool, params=action.params)
            for at, action in enumerate(actions)
        )
        return GateContext(seed=Seed(id="s", content="x", session=session), path=nodes, sandbox=sandbox)

    return make
