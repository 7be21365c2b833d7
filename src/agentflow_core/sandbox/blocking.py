"""The sandbox with blocking methods: an event loop in a thread of its own, so it also works inside a running loop."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CancelScope
from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from agentflow_core.interfaces import SessionInfo
    from agentflow_core.records import Observation, ToolDefinition, ToolResult
    from agentflow_core.sandbox.client import Sandbox
    from agentflow_core.sandbox.replaying import Replayed
    from agentflow_core.sandbox.worker import WorkerView

__all__ = ["BlockingSandbox", "BlockingWorker"]

T = TypeVar("T")


class BlockingWorker:
    """A `WorkerView` whose methods return when they are done. It may be used by several threads."""

    def __init__(self, view: WorkerView, portal: BlockingPortal | None) -> None:
        self._view = view
        self._portal = portal

    def _wait(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: Any, **options: Any) -> T:
        if self._portal is None:
            raise SandboxError("the sandbox is not open", code="not_ready", hint="with Sandbox.sync() as sandbox: …")
        scopes: list[CancelScope] = []
        ended: list[T | BaseException] = []

        async def run() -> None:
            with CancelScope() as scope:
                scopes.append(scope)
                try:
                    ended.append(await work(*arguments, **options))
                except Exception as error:  # noqa: BLE001 - it is raised where the caller waits
                    ended.append(error)

        async def give_up() -> None:
            for scope in scopes:
                scope.cancel()

        try:
            self._portal.call(run)
        except BaseException:  # such as Ctrl-C: the work must not go on without anybody who waits for it
            self._portal.start_task_soon(give_up)
            raise
        (result,) = ended
        if isinstance(result, BaseException):
            raise result
        return result

    @property
    def worker_id(self) -> str:
        """The label under which its sessions are kept apart."""
        return self._view.worker_id

    def create_session(
        self,
        backends: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        *,
        call_id: str | None = None,
    ) -> Mapping[str, SessionInfo]:
        """See `WorkerView.create_session`."""
        return self._wait(self._view.create_session, backends, call_id=call_id)

    def execute(
        self,
        tool: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        timeout_s: float | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """See `WorkerView.execute`."""
        return self._wait(self._view.execute, tool, params, session=session, timeout_s=timeout_s, call_id=call_id)

    def execute_batch(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, parallel: bool = True, stop_on_error: bool = False
    ) -> Sequence[ToolResult]:
        """See `WorkerView.execute_batch`."""
        return self._wait(self._view.execute_batch, calls, parallel=parallel, stop_on_error=stop_on_error)

    def replay(self, target: str, calls: Sequence[tuple[str, Mapping[str, Any], Observation]]) -> Replayed:
        """See `WorkerView.replay`."""
        return self._wait(self._view.replay, target, calls)

    def list_sessions(self) -> Sequence[SessionInfo]:
        """See `WorkerView.list_sessions`."""
        return self._wait(self._view.list_sessions)

    def fork(self, session: str, *, call_id: str | None = None) -> SessionInfo:
        """See `WorkerView.fork`."""
        return self._wait(self._view.fork, session, call_id=call_id)

    def renew(self, session: str) -> SessionInfo:
        """See `WorkerView.renew`."""
        return self._wait(self._view.renew, session)

    def read_file(self, session: str, path: str, start: int = 0, end: int | None = None) -> bytes:
        """See `WorkerView.read_file`."""
        return self._wait(self._view.read_file, session, path, start, end)

    def write_file(self, session: str, path: str, data: bytes) -> None:
        """See `WorkerView.write_file`."""
        self._wait(self._view.write_file, session, path, data)

    def close_session(self, session: str) -> None:
        """See `WorkerView.close_session`."""
        self._wait(self._view.close_session, session)

    def close(self) -> None:
        """Close all sessions of the worker."""
        self._wait(self._view.aclose)


class BlockingSandbox(BlockingWorker):
    """A `Sandbox` whose methods return when they are done; ``with Sandbox.sync() as sandbox: …``."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, None)
        self._sandbox = sandbox
        self._stack: ExitStack | None = None

    def __enter__(self) -> Self:
        if self._stack is not None:
            raise SandboxError("the sandbox is open already")
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._sandbox))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        try:
            if stack is not None:
                stack.__exit__(kind, error, trace)
        finally:
            self._portal = None

    def worker(self, worker_id: str) -> BlockingWorker:
        """A view for another worker over the same sandbox."""
        return BlockingWorker(self._sandbox.worker(worker_id), self._portal)

    def list_tools(self) -> Sequence[ToolDefinition]:
        """See `Sandbox.list_tools`."""
        return self._wait(self._sandbox.list_tools)

    def tool_traits(self, tool: str) -> Mapping[str, Any]:
        """See `Sandbox.tool_traits`."""
        return self._sandbox.tool_traits(tool)

    def warmup(self, backends: Sequence[str] = ()) -> None:
        """See `Sandbox.warmup`."""
        self._wait(self._sandbox.warmup, backends)

    def status(self) -> Mapping[str, Any]:
        """See `Sandbox.status`."""
        return self._wait(self._sandbox.status)

    def artifact(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Sandbox.artifact`."""
        return self._wait(self._sandbox.artifact, sha256, start, end)
