"""Record a screen: a picture for each change, as often as was asked for, and one animated PNG at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from anyio import current_time

from agentflow_core.errors import SandboxError
from agentflow_vm.png import Picture, animated_png

if TYPE_CHECKING:
    from agentflow_vm.session import VmSession

__all__ = ["Recording"]

#: Memory that pictures may take until they are packed.
_MAX_BYTES: Final = 256 << 20
#: How long the last picture stays at least, in seconds; it may have been taken at the end itself.
_LAST_S: Final = 0.1


class Recording:
    """See the module. `run` until `stop`; the first failure to look ends it early."""

    def __init__(self, session: VmSession, *, fps: float, max_frames: int) -> None:
        self._session = session
        self._pause_s = 1 / fps
        screen = session.display.framebuffer
        self._max_frames = max(1, min(max_frames, _MAX_BYTES // (3 * screen.width * screen.height)))
        self._frames: list[tuple[Picture, float]] = []
        self._last = ""
        self._pause = anyio.CancelScope()
        self._is_stopped = False
        self._ended = anyio.Event()
        self.is_full = False  #: were there more pictures than it may have?

    async def run(self) -> None:
        """Take pictures until stopped."""
        try:
            while not (self._is_stopped or self.is_full):
                self._pause = anyio.CancelScope()
                with self._session.display.watch() as watch:
                    await self._take()
                    with self._pause:
                        await anyio.sleep(self._pause_s)
                        await watch.change()
        except SandboxError:  # the display is gone: what there is stays, and the next call is told
            return
        finally:
            self._ended.set()

    async def _take(self) -> None:
        """Look, and keep what is seen if it is new."""
        picture, name = await self._session.look()
        if name == self._last or not self._fits(picture):
            return
        if len(self._frames) == self._max_frames:
            self.is_full = True
            return
        self._frames.append((picture, current_time()))
        self._last = name

    def _fits(self, picture: Picture) -> bool:
        first = self._frames[0][0] if self._frames else picture
        return (picture.width, picture.height) == (first.width, first.height)

    async def stop(self) -> tuple[bytes, int]:
        """The recording as an animated PNG, and how many pictures it has."""
        self._is_stopped = True
        self._pause.cancel()
        await self._ended.wait()
        try:
            await self._take()  # what has changed since the last one, if not all of it
        except SandboxError:
            if not self._frames:
                raise
        ends = [taken for _, taken in self._frames[1:]] + [max(current_time(), self._frames[-1][1] + _LAST_S)]
        frames = [(picture, max(0.0, end - taken)) for (picture, taken), end in zip(self._frames, ends, strict=True)]
        return await anyio.to_thread.run_sync(animated_png, frames), len(frames)
