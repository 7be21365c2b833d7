"""One code session: its interpreter, which comes back when it dies, its data, and what has been run in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from anyio import CancelScope
from attrs import evolve, frozen

from agentflow_code.data import SessionDatabase
from agentflow_code.forking import part_hard_links
from agentflow_code.packages import FOLDER
from agentflow_code.results import cell_result
from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.records.codes import CODES
from agentflow_core.sandbox.beneath import Beneath

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentflow_code.data import SessionData
    from agentflow_code.interpreter import Answer, Interpreter
    from agentflow_code.starting import Starter
    from agentflow_core.sandbox.launchers import Bind

__all__ = ["CodeSession", "Past", "Reply", "SessionDatabase"]

SETUP_S: Final = 120.0
#: How much of the files that are put into a session is kept in memory for forks.
REMEMBERED_BYTES: Final = 32 * 1024 * 1024
LOST: Final = "The interpreter was started afresh: the variables, functions and imports of before are gone."
_HINTS: Final = {
    "oom": "work on less data at a time, or free what is no longer needed with del",
    "disk": "delete files that are no longer needed, then write less",
    "stuck": "raise timeout_s, or do less in one call",
}


@frozen(kw_only=True)
class Reply:
    """What a function in the interpreter came to: its ``value``, or the ``failure`` to answer with."""

    value: Any = None
    failure: ToolResult | None = None
    stdout: str = ""
    stderr: str = ""


@frozen(kw_only=True)
class Past:
    """Something that has made the session what it is, to be done again in a fork: a request, or a file put there."""

    request: Mapping[str, Any] | None = None  #: to the interpreter: a cell, or a function that has lasting effects
    file: tuple[str, bytes] | None = None  #: a path, and what was written to it from outside
    interrupted: bool = False  #: it did not come to its end, so that it cannot be done again
    failed: bool = False  #: it ended with an error


class CodeSession:
    """See the module. Its calls must not overlap.

    Args:
        id: the session's.
        folder: the workspace on the host.
        data: what it sees.
        starter: starts its interpreters.
    """

    def __init__(self, *, id: str, folder: Path, data: SessionData, starter: Starter) -> None:
        self.id = id
        self.folder = folder
        self.data = data
        self.past: list[Past] = []
        self.is_whole = True  #: has all that is in the workspace come from the past, or from outside before it?
        self._starter = starter
        self._stack = AsyncExitStack()
        self._interpreter: Interpreter | None = None
        self._note = ""

    @property
    def workspace(self) -> str:
        """The path of the workspace inside."""
        return "/workspace" if self._interpreter is None else self._interpreter.confined.workspace

    @property
    def files(self) -> Mapping[str, str]:
        """Data files by name, as paths inside."""
        return self.data.files

    @property
    def databases(self) -> Mapping[str, SessionDatabase]:
        """Databases by name."""
        return self.data.databases

    @property
    def about(self) -> dict[str, Any]:
        """What is told of the session to whoever opened it; JSON."""
        told: dict[str, Any] = {"files": dict(self.files), "databases": sorted(self.databases)}
        if self._interpreter is not None:
            about = self._interpreter.about
            told |= {"start": about["start"], "python": about.get("python"), "workspace": self.workspace}
            told["enforced"] = dict(self._interpreter.confined.enforced)
        return told

    @property
    def uid(self) -> int | None:
        """Whose the files of the workspace are; None: the server's user."""
        return None if self._interpreter is None else self._interpreter.confined.uid

    async def start(self) -> None:
        """Start the interpreter and run the session's setup; a session whose interpreter runs is left as it is.

        Raises:
            SandboxError: as `Starter.start` does; ``invalid_argument``: the setup fails.
        """
        if self._interpreter is not None:
            if not self._interpreter.has_ended:
                return
            death = await self._interpreter.find_death()
            await self._drop(f"The interpreter died between the calls: {death.detail}.")
        await anyio.to_thread.run_sync(part_hard_links, self.folder)
        interpreter = self._interpreter = await self._starter.start(self.folder, self.data.binds, self.id)
        try:
            await self._set_up(interpreter)
        except BaseException:
            with CancelScope(shield=True):
                await self._drop("")
            raise

    async def _set_up(self, interpreter: Interpreter) -> None:
        if (self.folder / FOLDER).is_dir():
            payload = {"target": f"{self.workspace}/{FOLDER}"}
            await interpreter.ask({"call": "agentflow_code.inside.packages:activate", "payload": payload}, SETUP_S)
        if self.data.setup:
            answer = await interpreter.ask({"run": self.data.setup}, SETUP_S)
            result = cell_result(answer, failure_of(answer, SETUP_S), "")
            if not result.ok or result.data["error"] is not None:
                raise SandboxError(f"the setup of the session fails: {result.text[-1000:]}", code="invalid_argument")

    async def stop(self) -> None:
        """End the interpreter and all of its processes; the workspace stays. The next call starts another one."""
        await self._drop("")

    async def ask(self, message: Mapping[str, Any], timeout_s: float) -> Answer:
        """Ask the interpreter; one that dies of it is cleared away, and the next one is a fresh one."""
        await self.start()
        interpreter = self._interpreter
        assert interpreter is not None
        try:
            answer = await interpreter.ask(message, timeout_s)
        except BaseException:
            if interpreter.death is not None:
                await self._drop(f"The last call was given up, and {interpreter.death.detail}.")
            raise
        if answer.death is not None:
            await self._drop("")
            self._note = LOST
        return answer

    async def call(
        self, function: str, payload: Mapping[str, Any], timeout_s: float, *, lasting: bool = False
    ) -> Reply:
        """Run ``package.module:function`` in the interpreter with the payload; its one argument and its value are JSON.

        It runs in the main thread, outside of the user's namespace, and is interrupted and limited as cells are. One
        with ``lasting`` effects is done again in forks.
        """
        ask = self._ask_for_good if lasting else self.ask
        answer = await ask({"call": function, "payload": payload}, timeout_s)
        out, err = answer.stdout.text, answer.stderr.text
        if (failure := failure_of(answer, timeout_s)) is not None:
            return Reply(failure=failure, stdout=out, stderr=err)
        assert answer.reply is not None
        if isinstance(refused := answer.reply.get("refused"), dict):
            return Reply(failure=_refusal(refused), stdout=out, stderr=err)
        if "value" not in answer.reply:
            said = answer.reply.get("defect") or answer.reply.get("error")
            return Reply(failure=ToolResult.failure("internal", f"{function}: {said}"[:4000]), stdout=out, stderr=err)
        return Reply(value=answer.reply["value"], stdout=out, stderr=err)

    async def run(self, code: str, timeout_s: float) -> ToolResult:
        """Run a cell; the result of ``code:run``."""
        await self.start()
        note, self._note = self._note, ""
        answer = await self._ask_for_good({"run": code}, timeout_s)
        return cell_result(answer, failure_of(answer, timeout_s), note)

    async def _ask_for_good(self, request: Mapping[str, Any], timeout_s: float) -> Answer:
        """Ask, and remember it for forks."""
        await self.start()
        step = Past(request=request, interrupted=True)
        self.past.append(step)  # now already: a call that is given up leaves it as it is
        answer = await self.ask(request, timeout_s)
        if answer.death is None and not answer.timed_out:
            self.past[-1] = evolve(step, interrupted=False, failed=has_failed(answer))
        return answer

    async def repeat(self, step: Past, timeout_s: float) -> bool:
        """Do again what another session has done; does it end in the same way?"""
        if step.file is not None:
            await self.write(*step.file)
        if step.request is None:
            return True
        answer = await self._ask_for_good(step.request, timeout_s)
        return answer.death is None and not answer.timed_out and has_failed(answer) == step.failed

    def beneath(self) -> Beneath:
        """Its workspace, to be opened from outside in a thread."""
        return Beneath(self.folder, shown=self.workspace, uid=self.uid)

    async def write(self, path: str, data: bytes) -> None:
        """Put a file into the workspace from outside; raises as `Backend.write_file` does."""
        room = self._starter.config.limits.disk_bytes
        if len(data) > room:
            raise SandboxError(f"{len(data)} bytes are more than a session may hold ({room})", code="disk_limit")

        def write() -> None:
            with self.beneath() as files:
                files.write(path, data)

        await anyio.to_thread.run_sync(write)
        if sum(len(step.file[1]) for step in self.past if step.file is not None) + len(data) <= REMEMBERED_BYTES:
            self.past.append(Past(file=(path, data)))
        else:
            self.is_whole = False

    def forget(self, binds: Sequence[Bind]) -> None:
        """Let the interpreters after this one see no more of these."""
        self.data = evolve(self.data, binds=tuple(bind for bind in self.data.binds if bind not in binds))

    def hold(self, stack: AsyncExitStack) -> None:
        """Give this back when the session is closed."""
        self._stack = stack

    async def _drop(self, why: str) -> None:
        """Clear the interpreter away, and with it all that cells have made but files."""
        interpreter, self._interpreter = self._interpreter, None
        self.past.clear()
        self.is_whole = False
        if interpreter is not None:
            await interpreter.aclose()
            self._note = f"{why} {LOST}".strip() if why else ""

    async def aclose(self) -> None:
        """End everything and give it back; it may come twice."""
        await self._drop("")
        await self._stack.aclose()


def has_failed(answer: Answer) -> bool:
    """Did it end with an error?"""
    reply = answer.reply or {}
    return any(reply.get(name) is not None for name in ("error", "refused", "defect"))


def failure_of(answer: Answer, timeout_s: float) -> ToolResult | None:
    """The failure that an answer without a result stands for: the time was over, or the interpreter died."""
    if answer.death is not None:
        death = answer.death
        said = f"after {timeout_s:g} s the call was stopped: {death.detail}" if answer.timed_out else death.detail
        return ToolResult.failure(
            "kernel_died",
            f"The interpreter died: {said}. Its variables are lost; the files of the workspace are kept.",
            hint=_HINTS.get(death.reason, "run the needed code again; avoid what ended the interpreter"),
            data={"reason": death.reason, "detail": death.detail, "timed_out": answer.timed_out},
        )
    if answer.timed_out:
        return ToolResult.failure(
            "timeout",
            f"The call was interrupted after {timeout_s:g} s; variables are kept.",
            hint="raise timeout_s, or do less in one call",
        )
    return None


def _refusal(refused: Mapping[str, Any]) -> ToolResult:
    code = str(refused.get("code"))
    return ToolResult.failure(
        code if code in CODES and code != "ok" else "internal",
        str(refused.get("message", "")),
        hint=str(refused.get("hint") or ""),
        data=refused.get("data"),
    )
