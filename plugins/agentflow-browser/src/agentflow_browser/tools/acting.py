"""Act on a page with mouse and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from agentflow_browser.calling import act, call
from agentflow_browser.session import BrowserSession
from agentflow_browser.snapshots import Refused
from agentflow_browser.targets import Point, Target, find_point, find_target
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Range, tool

if TYPE_CHECKING:
    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.tabs import Tab

__all__ = ["ActingTools"]

Ref = Annotated[str, Range(2, 60)]
Selector = Annotated[str, Range(1, 2000)]
Text = Annotated[str, Range(0, 100_000)]
Modifier = Literal["Alt", "Control", "Meta", "Shift"]


#: A wheel is answered before it has scrolled: wait until nothing moves from one frame to the next.
_WHEELED: Final = """() => new Promise(done => {
  let last = null, frames = 0;
  const look = () => {
    const now = scrollX + ',' + scrollY;
    if ((now === last && frames > 3) || ++frames > 60) done(); else { last = now; requestAnimationFrame(look); }
  };
  look();
})"""
_SCROLL: Final = """() => {
  const page = document.scrollingElement || document.documentElement;
  return {x: Math.round(scrollX), y: Math.round(scrollY), width: page.scrollWidth, height: page.scrollHeight};
}"""


class ActingTools:
    """See the module."""

    config: BrowserConfig

    @tool(relative=True)
    async def click(
        self,
        state: BrowserSession,
        ref: Ref | None = None,
        selector: Selector | None = None,
        x: float | None = None,
        y: float | None = None,
        button: Literal["left", "right", "middle"] = "left",
        count: Annotated[int, Range(1, 3)] = 1,
        modifiers: Annotated[list[Modifier], Range(0, 4)] = [],  # noqa: B006 - a default of the schema
    ) -> ToolResult:
        """Click an element, or a point of the screen.

        Args:
            ref: the element, as a snapshot names it.
            selector: or a CSS selector that matches one element.
            x: or a point: pixels from the left of what is in view.
            y: and from the top.
            button: of the mouse.
            count: 2 for a double click.
            modifiers: keys that are held down.
        """

        async def work(tab: Tab) -> ToolResult:
            if ref is None and selector is None:
                point = find_point(state, x, y)

                async def at_point() -> None:
                    for key in modifiers:
                        await tab.page.keyboard.down(key)
                    try:
                        await tab.page.mouse.click(point.x, point.y, button=button, click_count=count)
                    finally:
                        for key in modifiers:
                            await tab.page.keyboard.up(key)

                return await act(state, tab, at_point, f"clicked {point}")
            _no_point(x, y)
            target = await find_target(tab, ref, selector)

            async def on_element() -> None:
                await target.element.click(button=button, click_count=count, modifiers=modifiers)

            return await act(state, tab, on_element, f"clicked {target}")

        return await call(state, work)

    @tool(name="type", relative=True)
    async def type_text(
        self,
        state: BrowserSession,
        text: Text,
        ref: Ref | None = None,
        selector: Selector | None = None,
        submit: bool = False,
        clear: bool = True,
    ) -> ToolResult:
        """Type text into a field; without a target, into what has the focus.

        Args:
            text: what to type.
            ref: the field, as a snapshot names it.
            selector: or a CSS selector that matches one field.
            submit: press Enter afterwards.
            clear: replace what is there; else the text is added.
        """

        async def work(tab: Tab) -> ToolResult:
            if ref is None and selector is None:

                async def into_focus() -> None:
                    await tab.page.keyboard.insert_text(text)
                    if submit:
                        await tab.page.keyboard.press("Enter")

                return await act(state, tab, into_focus, "typed into what has the focus")
            target = await find_target(tab, ref, selector)

            async def into_field() -> None:
                if clear:
                    await target.element.fill(text)
                else:
                    await target.element.focus()
                    await tab.page.keyboard.press("End")
                    await tab.page.keyboard.insert_text(text)
                if submit:
                    await target.element.press("Enter")

            return await act(state, tab, into_field, f"typed into {target}")

        return await call(state, work)

    @tool(relative=True)
    async def press(
        self, state: BrowserSession, key: Annotated[str, Range(1, 100)], ref: Ref | None = None
    ) -> ToolResult:
        """Press a key, or several at once.

        Args:
            key: such as Enter, Escape, ArrowDown, PageDown, a or Control+A.
            ref: the element that gets it; default: what has the focus.
        """

        async def work(tab: Tab) -> ToolResult:
            target = None if ref is None else await find_target(tab, ref, None)

            async def pressed() -> None:
                if target is not None:
                    await target.element.press(key)
                else:
                    await tab.page.keyboard.press(key)

            return await act(state, tab, pressed, f"pressed {key}" + (f" in {target}" if target else ""))

        return await call(state, work)

    @tool(relative=True)
    async def hover(
        self,
        state: BrowserSession,
        ref: Ref | None = None,
        selector: Selector | None = None,
        x: float | None = None,
        y: float | None = None,
    ) -> ToolResult:
        """Move the mouse over an element, or to a point of the screen.

        Args:
            ref: the element, as a snapshot names it.
            selector: or a CSS selector that matches one element.
            x: or a point: pixels from the left of what is in view.
            y: and from the top.
        """

        async def work(tab: Tab) -> ToolResult:
            if ref is None and selector is None:
                point = find_point(state, x, y)
                return await act(state, tab, lambda: tab.page.mouse.move(point.x, point.y), f"the mouse is at {point}")
            _no_point(x, y)
            target = await find_target(tab, ref, selector)
            return await act(state, tab, target.element.hover, f"the mouse is over {target}")

        return await call(state, work)

    @tool(relative=True)
    async def drag(
        self,
        state: BrowserSession,
        ref: Ref | None = None,
        selector: Selector | None = None,
        x: float | None = None,
        y: float | None = None,
        to_ref: Ref | None = None,
        to_selector: Selector | None = None,
        to_x: float | None = None,
        to_y: float | None = None,
    ) -> ToolResult:
        """Drag an element or a point onto another, and drop it there.

        Args:
            ref: what is dragged, as a snapshot names it.
            selector: or a CSS selector that matches one element.
            x: or a point: pixels from the left of what is in view.
            y: and from the top.
            to_ref: where it is dropped.
            to_selector: or a CSS selector that matches one element.
            to_x: or a point.
            to_y: and from the top.
        """

        async def work(tab: Tab) -> ToolResult:
            start = await _place(state, tab, ref, selector, x, y)
            end = await _place(state, tab, to_ref, to_selector, to_x, to_y)

            async def dragged() -> None:
                mouse = tab.page.mouse
                await mouse.move(*await _at(start))
                await mouse.down()
                try:
                    await mouse.move(*await _at(end), steps=8)
                    await mouse.move(*await _at(end))
                finally:
                    await mouse.up()

            return await act(state, tab, dragged, f"dragged {start} to {end}")

        return await call(state, work)

    @tool(relative=True)
    async def scroll(
        self,
        state: BrowserSession,
        dx: Annotated[float, Range(-1_000_000, 1_000_000)] = 0,
        dy: Annotated[float, Range(-1_000_000, 1_000_000)] = 0,
        ref: Ref | None = None,
        x: float | None = None,
        y: float | None = None,
    ) -> ToolResult:
        """Scroll the page, or what is at an element or point; with a ref alone, until that is in view.

        Args:
            dx: pixels to the right.
            dy: pixels down; negative: up.
            ref: the element, as a snapshot names it.
            x: or a point: pixels from the left of what is in view.
            y: and from the top.
        """

        async def work(tab: Tab) -> ToolResult:
            size = state.settings.viewport
            place: Target | Point = Point(size.width / 2, size.height / 2)
            if ref is not None or x is not None or y is not None:
                place = await _place(state, tab, ref, None, x, y)
            elif dx == dy == 0:
                raise Refused(ToolResult.failure("invalid_argument", "say how far: dx, dy, or a ref to scroll to"))

            async def scrolled() -> None:
                where = await _at(place)
                if dx or dy:
                    await tab.page.mouse.move(*where)
                    await tab.page.mouse.wheel(dx, dy)
                    await tab.page.evaluate(_WHEELED)

            result = await act(
                state, tab, scrolled, f"scrolled to {place}" if dx == dy == 0 else f"scrolled {dx:g}, {dy:g}"
            )
            if isinstance(result.data, dict) and state.dialog() is None:
                result.data["scroll"] = await tab.page.evaluate(_SCROLL)
            return result

        return await call(state, work)


async def _place(
    state: BrowserSession, tab: Tab, ref: str | None, selector: str | None, x: float | None, y: float | None
) -> Target | Point:
    if ref is None and selector is None:
        return find_point(state, x, y)
    _no_point(x, y)
    return await find_target(tab, ref, selector)


async def _at(place: Target | Point) -> tuple[float, float]:
    """Where it is in what is in view, scrolled there if need be."""
    if isinstance(place, Point):
        return place.x, place.y
    await place.element.scroll_into_view_if_needed()
    box = await place.element.bounding_box()
    if box is None:
        raise Refused(ToolResult.failure("conflict", f"{place} is not visible", hint="look with browser:snapshot"))
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _no_point(x: Any, y: Any) -> None:
    if x is not None or y is not None:
        raise Refused(
            ToolResult.failure("invalid_argument", "name the target by ref, selector or x and y, one of them")
        )
