"""What the tools answer with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentflow_core.records import ToolResult
from agentflow_core.records.results import ImageContent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.records import Observation
    from agentflow_vm.machines.machine import Ran
    from agentflow_vm.session import Effect, Shot, VmSession

__all__ = ["effect_result", "image", "ran_result", "same_effect", "shot_result"]

_CHANGED: Final = "; the screen changed"
_UNCHANGED: Final = "; the screen did not change"
_TIMING: Final = re.compile(f"{_CHANGED}|{_UNCHANGED}")


def image(data: bytes) -> ImageContent:
    """A picture for the model."""
    return ImageContent(mime="image/png", data=data)


def shot_result(state: VmSession, shot: Shot) -> ToolResult:
    """The result of looking."""
    box = shot.box
    screen = state.display.framebuffer
    data = {
        "width": shot.width,
        "height": shot.height,
        "screen": [screen.width, screen.height],
        "region": [box.x, box.y, box.width, box.height],
        "scale": shot.width / box.width,
        "pointer": list(state.display.pointer),
        "frame_id": shot.frame_id,
        "changed_since": state.shown(shot.frame_id),
    }
    said = f"screenshot of {'the screen' if box == screen.box else f'({box.x}, {box.y})'}, {box.width}x{box.height}"
    if (shot.width, shot.height) != (box.width, box.height):
        said += f", shown as {shot.width}x{shot.height}: coordinates are those of the screen"
    return ToolResult.success(data, text=said, content=[image(shot.data)])


def effect_result(said: str, effect: Effect, more: Mapping[str, Any], shot: Shot | None = None) -> ToolResult:
    """The result of something that was done, with a picture where it was asked for."""
    data = {**more, "changed": effect.changed, "frame_id": effect.frame_id}
    text = said + (_CHANGED if effect.changed else _UNCHANGED)
    return ToolResult.success(data, text=text, content=[] if shot is None else [image(shot.data)])


def same_effect(recorded: Observation, replayed: Observation) -> bool:
    """Equal but for what depends on how fast the screen was."""
    return _TIMING.sub("", recorded.text) == _TIMING.sub("", replayed.text)


def ran_result(ran: Ran, timeout_s: float) -> ToolResult:
    """The result of a command; one that fails is a success that tells of it."""
    stdout, stderr = (data.decode("utf-8", "replace") for data in (ran.stdout, ran.stderr))
    data = {
        "exit_code": ran.exit_code,
        "stdout": stdout,
        "stderr": stderr,
        "timed_out": ran.timed_out,
        "omitted_bytes": ran.omitted_bytes,
    }
    parts = [stdout.rstrip("\n")] if stdout else []
    if stderr:
        parts.append(f"stderr:\n{stderr.rstrip(chr(10))}")
    if ran.omitted_bytes:
        parts.append(f"[{ran.omitted_bytes} bytes of output are left out]")
    if ran.timed_out:
        return ToolResult.failure(
            "timeout", f"the command was stopped after {timeout_s:g} s", hint="start it by vm:launch", data=data
        )
    if ran.exit_code:
        parts.append(f"[exit code {ran.exit_code}]")
    return ToolResult.success(data, text="\n".join(parts) or "[no output]")
