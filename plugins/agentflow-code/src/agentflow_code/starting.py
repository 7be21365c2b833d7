"""How interpreters come to be: forked from the zygote into their confinement where that is possible, else started there."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import BrokenResourceError, EndOfStream
from attrs import evolve, field, frozen

from agentflow_code.config import CodeConfig
from agentflow_code.interpreter import START_S, Interpreter
from agentflow_code.python import Python
from agentflow_code.zygote import Zygote
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import BackendContext
from agentflow_core.sandbox.launchers import LaunchSpec

if TYPE_CHECKING:
    from pathlib import Path

    from agentflow_core.sandbox.launchers import Bind, Confined

__all__ = ["Starter", "session_env"]

#: Holds a confinement open, says when it stands by repeating what it is told, and ends when the server does.
_HOLDER: Final = ("/bin/cat",)


def session_env() -> dict[str, str]:
    """The variables of interpreters beside those that the launcher sets."""
    return {
        "MPLBACKEND": "module://agentflow_code.inside.plots",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator: a thread cannot be forked
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # sets print alike in every session
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "PAGER": "cat",
    }


@frozen(kw_only=True)
class Starter:
    """Starts interpreters, all of one kind."""

    config: CodeConfig
    context: BackendContext
    python: Python
    zygote: Zygote | None = None
    env: dict[str, str] = field(factory=session_env)

    async def start(self, workspace: Path, binds: tuple[Bind, ...], label: str) -> Interpreter:
        """An interpreter that is ready; how it came to be is ``about["start"]``.

        Raises:
            SandboxError: as `Launcher.start` does; ``internal``: the interpreter does not start.
        """
        spec = LaunchSpec(
            argv=_HOLDER,
            env={**self.env, **self.python.env},
            workspace=workspace,
            binds=(*self.python.binds, *binds),
            limits=self.config.limits,
            network=self.config.network,
            label=label,
        )
        if self.zygote is not None and not self.zygote.is_gone:
            return await self._forked(spec, self.zygote)
        return await self._plain(spec)

    async def _forked(self, spec: LaunchSpec, zygote: Zygote) -> Interpreter:
        async with AsyncExitStack() as stack:
            confined = await self.context.launch(spec)
            interpreter = Interpreter(confined, output_bytes=self.config.max_output_bytes)
            stack.push_async_callback(interpreter.aclose)
            interpreter.open()
            interpreter.child = await zygote.fork(confined, self._order(confined), partial(_stands, confined))
            await interpreter.greet()
            interpreter.about = {**interpreter.about, "start": "zygote"}
            stack.pop_all()
        return interpreter

    async def _plain(self, spec: LaunchSpec) -> Interpreter:
        async with AsyncExitStack() as stack:
            confined = await self.context.launch(evolve(spec, argv=self.python.command("--session")))
            interpreter = Interpreter(confined, output_bytes=self.config.max_output_bytes)
            stack.push_async_callback(interpreter.aclose)
            interpreter.open()
            with suppress(BrokenResourceError):  # it has died already; then greeting it says why
                await confined.stdin.send(json.dumps(self._order(confined)).encode() + b"\n")
            await interpreter.greet()
            interpreter.about = {**interpreter.about, "start": "plain"}
            stack.pop_all()
        return interpreter

    def _order(self, confined: Confined) -> dict[str, Any]:
        return {"control": confined.control.inside, "workspace": confined.workspace, "plots": self.config.plots}


async def _stands(confined: Confined) -> None:
    """Wait until the holder runs."""
    try:
        with anyio.fail_after(START_S):
            await confined.stdin.send(b"\n")
            await confined.stdout.receive()
    except (BrokenResourceError, EndOfStream, TimeoutError) as error:
        said = (await confined.stderr.read_all(4000)).decode(errors="replace").strip()
        raise SandboxError(f"the session could not be confined: {said}", code="internal") from error
