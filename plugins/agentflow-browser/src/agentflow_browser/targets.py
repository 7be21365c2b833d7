"""Find the one element that a call means: by reference or selector; and points by coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_browser.snapshots import Named, Refused
from agentflow_core.records import ToolResult

if TYPE_CHECKING:
    from agentflow_browser.session import BrowserSession
    from agentflow_browser.tabs import Tab

__all__ = ["Point", "Target", "find_point", "find_target"]

_SHOWN = 5


@frozen
class Target:
    """An element and what it is."""

    element: Any  #: an ``ElementHandle`` of Playwright, which is imported late
    ref: str
    named: Named

    def __str__(self) -> str:
        name = f" {self.named.name!r}" if self.named.name else ""
        return f"{self.named.role or 'element'}{name}"


@frozen
class Point:
    """A place in the viewport."""

    x: float
    y: float

    def __str__(self) -> str:
        return f"the point {self.x:g}, {self.y:g}"


async def find_target(tab: Tab, ref: str | None, selector: str | None) -> Target:
    """The element.

    Raises:
        Refused: ``invalid_argument``, ``stale_ref``, ``not_found`` or ``ambiguous_target``.
    """
    if (ref is None) == (selector is None):
        raise Refused(ToolResult.failure("invalid_argument", "name the target by ref or by selector, one of them"))
    if ref is not None:
        element = await tab.registries.element(ref)
        return Target(element, *await tab.registries.describe(element))
    assert selector is not None
    from playwright.async_api import Error

    try:
        found = await tab.page.query_selector_all(selector)
    except Error as error:
        first = str(error).partition("\n")[0]
        raise Refused(
            ToolResult.failure("invalid_argument", f"the selector cannot be used: {first}", hint="use a ref")
        ) from error
    if not found:
        raise Refused(
            ToolResult.failure(
                "not_found", f"nothing matches {selector!r}", hint="browser:snapshot shows what is there"
            )
        )
    if len(found) > 1:
        shown = [await tab.registries.describe(each) for each in found[:_SHOWN]]
        told = "; ".join(f"{one} {named.role} {named.name!r}" for one, named in shown)
        raise Refused(
            ToolResult.failure(
                "ambiguous_target",
                f"{len(found)} elements match {selector!r}",
                hint=f"use the ref of one: {told}",
                data={"candidates": [{"ref": one, "role": named.role, "name": named.name} for one, named in shown]},
            )
        )
    return Target(found[0], *await tab.registries.describe(found[0]))


def find_point(state: BrowserSession, x: float | None, y: float | None) -> Point:
    """The point.

    Raises:
        Refused: ``invalid_argument``: one of the two is missing, or it is off the screen.
    """
    size = state.settings.viewport
    if x is None or y is None:
        told = "name the target: ref, or selector, or both x and y"
        raise Refused(ToolResult.failure("invalid_argument", told, hint="browser:snapshot gives references"))
    if not (0 <= x < size.width and 0 <= y < size.height):
        raise Refused(
            ToolResult.failure(
                "invalid_argument",
                f"the point {x:g}, {y:g} is off the screen, which is {size.width} × {size.height}",
                hint="scroll first; coordinates count from the upper left corner of what is seen",
                data={"width": size.width, "height": size.height},
            )
        )
    return Point(x, y)
