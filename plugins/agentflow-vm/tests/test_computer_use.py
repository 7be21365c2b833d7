"""Computer-use actions of both makers become calls that the tools accept."""

from __future__ import annotations

import pytest

from agentflow_core.errors import UsageError
from agentflow_vm.backend import VmBackend
from agentflow_vm.computer_use import vm_calls

ACTIONS = [
    ({"action": "screenshot"}, ("screenshot", {})),
    ({"action": "cursor_position"}, ("screenshot", {})),
    (
        {"action": "left_click", "coordinate": [10, 20], "text": "ctrl+shift"},
        ("click", {"x": 10, "y": 20, "button": "left", "count": 1, "modifiers": ["ctrl", "shift"]}),
    ),
    ({"action": "right_click", "coordinate": [1, 2]}, ("click", {"x": 1, "y": 2, "button": "right", "count": 1})),
    ({"action": "triple_click"}, ("click", {"x": 5, "y": 6, "button": "left", "count": 3})),
    ({"action": "left_mouse_down"}, ("click", {"x": 5, "y": 6, "press": "down"})),
    ({"action": "left_mouse_up", "coordinate": [8, 9]}, ("click", {"x": 8, "y": 9, "press": "up"})),
    ({"action": "mouse_move", "coordinate": [3, 4]}, ("move", {"x": 3, "y": 4})),
    (
        {"action": "left_click_drag", "start_coordinate": [1, 2], "coordinate": [3, 4]},
        ("drag", {"path": [[1, 2], [3, 4]]}),
    ),
    (
        {"action": "scroll", "coordinate": [1, 2], "scroll_direction": "up", "scroll_amount": 3},
        ("scroll", {"x": 1, "y": 2, "dx": 0, "dy": -3}),
    ),
    ({"action": "key", "text": "ctrl+s"}, ("key", {"keys": "ctrl+s", "repeat": 1})),
    ({"action": "hold_key", "text": "shift", "duration": 0.5}, ("key", {"keys": "shift", "hold_ms": 500})),
    ({"action": "type", "text": "héllo"}, ("type", {"text": "héllo"})),
    ({"action": "wait", "duration": 1.5}, ("wait", {"until": "ms", "ms": 1500})),
    ({"action": "zoom", "region": [10, 20, 110, 70]}, ("zoom", {"region": [10, 20, 100, 50]})),
    (
        {"type": "click", "button": "wheel", "x": 1, "y": 2},
        ("click", {"x": 1, "y": 2, "button": "middle", "count": 1}),
    ),
    (
        {"type": "double_click", "x": 1, "y": 2, "keys": ["SHIFT"]},
        ("click", {"x": 1, "y": 2, "button": "left", "count": 2, "modifiers": ["shift"]}),
    ),
    ({"type": "click", "button": "back", "x": 1, "y": 2}, ("key", {"keys": "alt+Left"})),
    ({"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}, ("drag", {"path": [[1, 2], [3, 4]]})),
    ({"type": "keypress", "keys": ["CTRL", "S"]}, ("key", {"keys": "CTRL+S"})),
    ({"type": "move", "x": 1, "y": 2}, ("move", {"x": 1, "y": 2})),
    (
        {"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": -250},
        ("scroll", {"x": 1, "y": 2, "dx": 0, "dy": -2}),
    ),
    ({"type": "screenshot"}, ("screenshot", {})),
    ({"type": "type", "text": "x"}, ("type", {"text": "x"})),
    ({"type": "wait"}, ("wait", {"until": "ms", "ms": 2000})),
]


@pytest.mark.parametrize(("action", "call"), ACTIONS)
def test_actions_are_calls_that_the_tools_accept(action, call):
    assert vm_calls(action, pointer=(5, 6)) == (call,)
    tool, params = call
    assert isinstance(VmBackend.tools()[tool].validate(params), dict)


def test_places_on_a_screen_that_was_made_smaller_are_those_of_the_screen():
    assert vm_calls({"type": "move", "x": 100, "y": 50}, scale=0.5) == (("move", {"x": 200, "y": 100}),)
    zoom = vm_calls({"action": "zoom", "region": [0, 0, 50, 50]}, scale=0.5)
    assert zoom == (("zoom", {"region": [0, 0, 100, 100]}),)


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"action": "fly"},
        {"type": "fly"},
        {"action": "left_click", "coordinate": [1]},
        {"action": "left_click", "coordinate": "12"},
        {"type": "click", "x": 1},
        {"action": "scroll", "scroll_direction": "in", "scroll_amount": 1},
        {"action": "left_click", "coordinate": [1, 2], "text": "banana"},
    ],
)
def test_what_is_no_action_is_told(action):
    with pytest.raises(UsageError, match="action"):
        vm_calls(action)
