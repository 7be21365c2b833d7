"""The tools of ``vm`` that use mouse and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import anyio

from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Range, tool
from agentflow_vm.results import effect_result, image, same_effect
from agentflow_vm.rfb.messages import BUTTONS
from agentflow_vm.session import VmSession
from agentflow_vm.writing import checked, press, write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentflow_core.sandbox.tools import ToolFunction
    from agentflow_vm.rfb.display import Display

__all__ = ["MAX_STEPS", "Hands"]

Button = Literal["left", "middle", "right"]
Modifier = Literal["ctrl", "shift", "alt", "super"]
Modifiers = Annotated[list[Modifier], Range(0, 4)]
Point = Annotated[list[int], Range(2, 2)]

#: How many steps one call of ``vm:actions`` may have.
MAX_STEPS: Final = 20
#: While a button is held, the pointer goes in steps of so many pixels, with so many seconds in between.
_STRIDE: Final = 25
_STEP_S: Final = 0.004
_MAX_STRIDES: Final = 40


class Hands:
    """Mixed into the backend; every tool answers what became of the screen."""

    async def _act(
        self, state: VmSession, said: str, work: Callable[[Display], Awaitable[None]], observe: bool, **more: Any
    ) -> ToolResult:
        effect = await state.do(work)
        shot = None
        if observe:
            box = state.display.framebuffer.box
            scale = min(1.0, state.config.max_edge / max(box.width, box.height))
            shot = await state.shot(box, (round(box.width * scale), round(box.height * scale)))
            state.shown(shot.frame_id)
        return effect_result(said, effect, more, shot)

    @tool(relative=True, compare=same_effect)
    async def click(
        self,
        state: VmSession,
        x: int,
        y: int,
        button: Button = "left",
        count: Annotated[int, Range(1, 3)] = 1,
        modifiers: Modifiers = [],  # noqa: B006 - a default of the schema
        press: Literal["click", "down", "up"] = "click",
        observe: bool = False,
    ) -> ToolResult:
        """Click at a place of the screen.

        Args:
            x: pixels from the left.
            y: pixels from the top.
            button: which button.
            count: 2 for a double click.
            modifiers: keys that are held meanwhile.
            press: down or up alone press the button and leave it, or let it go.
            observe: show the screen afterwards.
        """
        state.place(x, y)
        bit = BUTTONS[button]

        async def work(display: Display) -> None:
            await display.point(x, y)
            await _hold(display, modifiers)
            down, up = display.held | bit, display.held & ~bit
            await display.point(x, y, *{"click": [down, up] * count, "down": [down], "up": [up]}[press])
            await _let_go(display, modifiers)

        times = {1: "clicked", 2: "double-clicked", 3: "triple-clicked"}[count]
        did = {"click": times, "down": "pressed", "up": "let go"}[press]
        return await self._act(state, f"{did} {button} at ({x}, {y})", work, observe)

    @tool(relative=True, compare=same_effect)
    async def move(self, state: VmSession, x: int, y: int, observe: bool = False) -> ToolResult:
        """Move the pointer to a place of the screen.

        Args:
            x: pixels from the left.
            y: pixels from the top.
            observe: show the screen afterwards.
        """
        state.place(x, y)

        async def work(display: Display) -> None:
            await _glide(display, (x, y)) if display.held else await display.point(x, y)

        return await self._act(state, f"moved to ({x}, {y})", work, observe)

    @tool(relative=True, compare=same_effect)
    async def drag(
        self,
        state: VmSession,
        path: Annotated[list[Point], Range(2, 50)],
        button: Button = "left",
        modifiers: Modifiers = [],  # noqa: B006 - a default of the schema
        observe: bool = False,
    ) -> ToolResult:
        """Press a button at a place, move along a path and let it go at its end.

        Args:
            path: places as [x, y], from the first to the last.
            button: which button.
            modifiers: keys that are held meanwhile.
            observe: show the screen afterwards.
        """
        places = [state.place(x, y, f"path[{number}] ") for number, (x, y) in enumerate(path)]

        async def work(display: Display) -> None:
            await display.point(*places[0])
            await _hold(display, modifiers)
            await display.point(*places[0], display.held | BUTTONS[button])
            for place in places[1:]:
                await _glide(display, place)
            await display.point(*places[-1], display.held & ~BUTTONS[button])
            await _let_go(display, modifiers)

        return await self._act(state, f"dragged from {places[0]} to {places[-1]}", work, observe)

    @tool(relative=True, compare=same_effect)
    async def scroll(
        self,
        state: VmSession,
        x: int,
        y: int,
        dx: Annotated[int, Range(-100, 100)] = 0,
        dy: Annotated[int, Range(-100, 100)] = 0,
        modifiers: Modifiers = [],  # noqa: B006 - a default of the schema
        observe: bool = False,
    ) -> ToolResult:
        """Turn the mouse wheel at a place of the screen.

        Args:
            x: pixels from the left.
            y: pixels from the top.
            dx: notches to the right; below 0 to the left.
            dy: notches down; below 0 up.
            modifiers: keys that are held meanwhile.
            observe: show the screen afterwards.
        """
        state.place(x, y)
        turns = [
            *[BUTTONS["scroll_right" if dx > 0 else "scroll_left"]] * abs(dx),
            *[BUTTONS["scroll_down" if dy > 0 else "scroll_up"]] * abs(dy),
        ]

        async def work(display: Display) -> None:
            await display.point(x, y)
            await _hold(display, modifiers)
            for bit in turns:
                await display.point(x, y, display.held | bit)
                await display.point(x, y, display.held & ~bit)
            await _let_go(display, modifiers)

        return await self._act(state, f"scrolled by ({dx}, {dy}) at ({x}, {y})", work, observe)

    @tool(relative=True, compare=same_effect)
    async def type(
        self,
        state: VmSession,
        text: Annotated[str, Range(1, 10_000)],
        method: Literal["auto", "keys", "paste"] = "auto",
        observe: bool = False,
    ) -> ToolResult:
        """Type a text into what has the focus. A line's end is the Enter key, a tab the Tab key.

        Args:
            text: any characters.
            method: keys: key by key; paste: through the clipboard, which holds the text then; auto: keys, where they
                can make all of it.
            observe: show the screen afterwards.
        """
        used = ""

        async def work(display: Display) -> None:
            nonlocal used
            used = await write(state, display, text, method)

        result = await self._act(state, f"typed {len(text)} characters", work, observe)
        assert isinstance(result.data, dict)
        result.data.update(typed=len(text), method_used=used)
        return result

    @tool(relative=True, compare=same_effect)
    async def key(
        self,
        state: VmSession,
        keys: Annotated[str, Range(1, 100)] | Annotated[list[Annotated[str, Range(1, 100)]], Range(1, 20)],
        repeat: Annotated[int, Range(1, 100)] = 1,
        hold_ms: Annotated[int, Range(0, 10_000)] = 0,
        observe: bool = False,
    ) -> ToolResult:
        """Press keys.

        Args:
            keys: keys that are pressed together, such as ctrl+s, Enter or F5; or a list of such, pressed in turn.
            repeat: how often.
            hold_ms: how long they are held, in milliseconds.
            observe: show the screen afterwards.
        """
        chords = [keys] if isinstance(keys, str) else keys
        strokes = [checked(each) for each in chords]

        async def work(display: Display) -> None:
            for _ in range(repeat):
                for each, held in zip(chords, strokes, strict=True):
                    if hold_ms:
                        await display.keys((stroke.keysym, stroke.scancode, True) for stroke in held)
                        await anyio.sleep(hold_ms / 1000)
                        await display.keys((stroke.keysym, stroke.scancode, False) for stroke in reversed(held))
                    else:
                        await press(display, each)

        return await self._act(state, f"pressed {', '.join(chords)}", work, observe)

    @tool(relative=True, timeout_s=300.0, compare=same_effect)
    async def actions(
        self,
        state: VmSession,
        steps: Annotated[list[dict[str, Any]], Range(1, MAX_STEPS)],
        observe: bool = False,
    ) -> ToolResult:
        """Do several things in turn, and stop at the first that fails.

        Args:
            steps: each an object with the tool's name without the group under "tool", and its arguments beside it, such
                as {"tool": "click", "x": 10, "y": 20}.
            observe: show the screen afterwards.
        """
        done: list[str] = []
        images = []
        for number, step in enumerate(steps):
            result = await self._step(state, step)
            if not result.ok:
                told = {"done": number, "failed": result.code}
                return ToolResult.failure(
                    result.code, f"step {number} of {len(steps)}: {result.message}", hint=result.hint, data=told
                )
            done.append(result.text)
            images += [part for part in result.content if part.type == "image"]
        if observe:
            box = state.display.framebuffer.box
            images.append(image((await state.shot(box, (box.width, box.height))).data))
        return ToolResult.success({"done": len(done)}, text="\n".join(done), content=images)

    async def _step(self, state: VmSession, step: dict[str, Any]) -> ToolResult:
        tools: dict[str, ToolFunction] = dict(type(self).tools())  # type: ignore[attr-defined]  # of the backend
        tools.pop("actions")
        name = str(step.get("tool", "")).removeprefix("vm:")
        if name not in tools:
            return ToolResult.failure(
                "invalid_argument", f"no tool is {name!r}", hint=f"one of {', '.join(tools)}, under the key tool"
            )
        arguments = tools[name].validate({key: value for key, value in step.items() if key != "tool"})
        if isinstance(arguments, ToolResult):
            return arguments
        result = await tools[name].function(self, state, **arguments)
        assert isinstance(result, ToolResult)
        return result


async def _hold(display: Display, modifiers: list[Modifier]) -> None:
    for name in modifiers:
        (stroke,) = checked(name)
        await display.keys([(stroke.keysym, stroke.scancode, True)])


async def _let_go(display: Display, modifiers: list[Modifier]) -> None:
    for name in reversed(modifiers):
        (stroke,) = checked(name)
        await display.keys([(stroke.keysym, stroke.scancode, False)])


async def _glide(display: Display, to: tuple[int, int]) -> None:
    """Move step by step, as a hand does: programs take one leap for no drag."""
    x, y = display.pointer
    strides = max(2, min(_MAX_STRIDES, max(abs(to[0] - x), abs(to[1] - y)) // _STRIDE))
    for number in range(1, strides + 1):
        await display.point(x + (to[0] - x) * number // strides, y + (to[1] - y) * number // strides)
        await anyio.sleep(_STEP_S)
