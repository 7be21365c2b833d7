"""Computer-use actions of Anthropic's and OpenAI's models, as calls of the tools of ``vm``.

Anthropic: the ``input`` of a ``computer_20250124`` or ``computer_20251124`` tool use, such as
``{"action": "left_click", "coordinate": [10, 20]}``. OpenAI: the ``action`` of a ``computer_call``, such as
``{"type": "click", "button": "left", "x": 10, "y": 20}``. A model that is shown a screen made smaller speaks of its
pixels: ``scale`` is how many of them make one of the screen (0.5 for half the size).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agentflow_core.errors import UsageError

__all__ = ["Call", "vm_calls"]

#: A tool of ``vm`` without its group, and its arguments.
Call = tuple[str, dict[str, Any]]

_CLICKS: Final = {
    "left_click": ("left", 1),
    "right_click": ("right", 1),
    "middle_click": ("middle", 1),
    "double_click": ("left", 2),
    "triple_click": ("left", 3),
}
_DIRECTIONS: Final = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
_BUTTONS: Final = {"left": "left", "right": "right", "wheel": "middle", "middle": "middle"}
_MODIFIERS: Final = {
    **{name: name for name in ("ctrl", "shift", "alt", "super")},
    "control": "ctrl",
    "option": "alt",
    "cmd": "super",
    "meta": "super",
    "win": "super",
    "command": "super",
}
#: OpenAI scrolls by pixels; about so many are a notch of a wheel.
_NOTCH: Final = 100


def vm_calls(action: Mapping[str, Any], *, scale: float = 1.0, pointer: tuple[int, int] = (0, 0)) -> tuple[Call, ...]:
    """The calls that an action stands for, in order; ``pointer``: where it is, for actions that name no place.

    Raises:
        UsageError: it is no action of either, or one that a desktop does not have.
    """
    try:
        if "action" in action:
            return _anthropic(action, scale, pointer)
        return _openai(action, scale)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(f"the computer-use action {dict(action)!r} cannot be read: {error!r}") from error


def _at(place: Any, scale: float) -> tuple[int, int]:
    if isinstance(place, str):
        raise TypeError("a place is two numbers")
    x, y = place
    return round(float(x) / scale), round(float(y) / scale)


def _held(keys: Any) -> dict[str, Any]:
    names = keys.split("+") if isinstance(keys, str) else list(keys or ())
    found = [_MODIFIERS[name.strip().lower()] for name in names if name.strip()]
    return {"modifiers": found} if found else {}


def _anthropic(action: Mapping[str, Any], scale: float, pointer: tuple[int, int]) -> tuple[Call, ...]:
    name = action["action"]
    place = action.get("coordinate")
    x, y = pointer if place is None else _at(place, scale)
    if name in ("screenshot", "cursor_position"):  # a screenshot tells where the pointer is
        return (("screenshot", {}),)
    if name in _CLICKS:
        button, count = _CLICKS[name]
        return (("click", {"x": x, "y": y, "button": button, "count": count, **_held(action.get("text"))}),)
    if name in ("left_mouse_down", "left_mouse_up"):
        return (("click", {"x": x, "y": y, "press": name.removeprefix("left_mouse_")}),)
    if name == "mouse_move":
        return (("move", {"x": x, "y": y}),)
    if name == "left_click_drag":
        start = _at(action["start_coordinate"], scale) if "start_coordinate" in action else pointer
        return (("drag", {"path": [list(start), [x, y]], **_held(action.get("text"))}),)
    if name == "scroll":
        across, down = _DIRECTIONS[action["scroll_direction"]]
        amount = int(action["scroll_amount"])
        turned = {"dx": across * amount, "dy": down * amount}
        return (("scroll", {"x": x, "y": y, **turned, **_held(action.get("text"))}),)
    if name == "key":
        return (("key", {"keys": action["text"], "repeat": int(action.get("repeat", 1))}),)
    if name == "hold_key":
        return (("key", {"keys": action["text"], "hold_ms": round(float(action["duration"]) * 1000)}),)
    if name == "type":
        return (("type", {"text": action["text"]}),)
    if name == "wait":
        return (("wait", {"until": "ms", "ms": round(float(action["duration"]) * 1000)}),)
    if name == "zoom":
        left, top = _at(action["region"][:2], scale)
        right, bottom = _at(action["region"][2:], scale)
        return (("zoom", {"region": [left, top, right - left, bottom - top]}),)
    raise UsageError(f"no computer-use action is {name!r}")


def _openai(action: Mapping[str, Any], scale: float) -> tuple[Call, ...]:
    name = action["type"]
    if name == "screenshot":
        return (("screenshot", {}),)
    if name == "keypress":
        return (("key", {"keys": "+".join(action["keys"])}),)
    if name == "type":
        return (("type", {"text": action["text"]}),)
    if name == "wait":
        return (("wait", {"until": "ms", "ms": int(action.get("ms", 2000))}),)
    held = _held(action.get("keys"))
    if name == "drag":
        path = [
            list(_at((point["x"], point["y"]) if isinstance(point, Mapping) else point, scale))
            for point in action["path"]
        ]
        return (("drag", {"path": path, **held}),)
    if name in ("click", "double_click", "move", "scroll"):
        x, y = _at((action["x"], action["y"]), scale)
        if name == "move":
            return (("move", {"x": x, "y": y}),)
        if name == "scroll":
            turned = {"dx": _notches(action.get("scroll_x", 0)), "dy": _notches(action.get("scroll_y", 0))}
            return (("scroll", {"x": x, "y": y, **turned, **held}),)
        button = action.get("button") or "left"
        if button in ("back", "forward"):
            return (("key", {"keys": "alt+Left" if button == "back" else "alt+Right"}),)
        return (("click", {"x": x, "y": y, "button": _BUTTONS[button], "count": 1 + (name == "double_click"), **held}),)
    raise UsageError(f"no computer-use action is {name!r}")


def _notches(pixels: Any) -> int:
    """At least one for any distance."""
    distance = float(pixels)
    return 0 if not distance else max(1, round(abs(distance) / _NOTCH)) * (1 if distance > 0 else -1)
