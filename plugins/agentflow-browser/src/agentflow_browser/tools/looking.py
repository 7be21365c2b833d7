"""Look at a page: snapshot, find, read, screenshot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import anyio

from agentflow_browser.calling import call, look, shown_page
from agentflow_browser.inside import READING
from agentflow_browser.results import page_result, snapshot_note
from agentflow_browser.session import BrowserSession
from agentflow_browser.snapshots import Refused, changes
from agentflow_core.records import ImageContent, ToolResult
from agentflow_core.sandbox import Range, tool

if TYPE_CHECKING:
    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.tabs import Tab

__all__ = ["LookingTools"]

Ref = Annotated[str, Range(2, 60)]
Chars = Annotated[int, Range(500, 200_000)]
_READ_S = 20.0
_READ_MOST = 5_000_000
_LINKS = 200
_PIXELS = 16_000


class LookingTools:
    """See the module."""

    config: BrowserConfig

    @tool(read_only=True, relative=True)
    async def snapshot(
        self,
        state: BrowserSession,
        ref: Ref | None = None,
        depth: Annotated[int, Range(1, 100)] | None = None,
        max_chars: Chars | None = None,
        mode: Literal["full", "interactive", "diff"] = "full",
        cursor: Annotated[int, Range(0, 10_000_000)] = 0,
    ) -> ToolResult:
        """See the page as a tree of roles, names and states; [ref=…] names an element for other tools.

        Args:
            ref: only what is below this element.
            depth: how many levels of the tree at most.
            max_chars: how much text at most; default: what is configured.
            mode: full; interactive, only what can be acted on; or diff, what has changed since the last snapshot.
            cursor: go on where a snapshot that was cut says.
        """
        chars = self.config.max_chars if max_chars is None else max_chars

        async def work(tab: Tab) -> ToolResult:
            if mode == "diff" and tab.last is not None and ref is None:
                before = tab.last
                after = await look(tab, chars)
                if after.generation == before.generation:
                    return page_result(
                        title=await tab.page.title(),
                        url=tab.page.url,
                        body=changes(before.lines, after.lines).text or "No change is seen.",
                        notes=snapshot_note(after, chars),
                        data={"generation": after.generation, "mode": mode},
                    )
            if ref is None and depth is None and cursor == 0 and mode != "interactive":
                return await shown_page(state, tab, chars=chars, mode=mode)
            with anyio.fail_after(_READ_S):
                found = await tab.registries.snapshot(
                    chars=chars, ref=ref, depth=depth, interactive=mode == "interactive", cursor=cursor
                )
            return page_result(
                title=await tab.page.title(),
                url=tab.page.url,
                body=found.text,
                notes=snapshot_note(found, chars),
                data={
                    "generation": found.generation,
                    "elements": found.elements,
                    "truncated": found.next is not None,
                    "next": found.next,
                    "mode": mode,
                    "tab": tab.number,
                },
            )

        return await call(state, work)

    @tool(read_only=True, relative=True)
    async def find(
        self,
        state: BrowserSession,
        text: Annotated[str, Range(1, 500)] | None = None,
        regex: Annotated[str, Range(1, 500)] | None = None,
        role: Annotated[str, Range(1, 40)] | None = None,
        name: Annotated[str, Range(1, 500)] | None = None,
        limit: Annotated[int, Range(1, 200)] = 20,
    ) -> ToolResult:
        """Find elements anywhere in the page, however large it is, with their references and what they are in.

        Args:
            text: words that its name, value or text holds, in any case.
            regex: or a regular expression that they match.
            role: its role, such as button, link, textbox or heading.
            name: words that its name holds.
            limit: how many at most.
        """
        if text is None and regex is None and role is None and name is None:
            return ToolResult.failure("invalid_argument", "say what to find: text, regex, role or name")

        from playwright.async_api import Error

        async def work(tab: Tab) -> ToolResult:
            match = {"text": text, "regex": regex, "role": role, "name": name, "limit": limit}
            try:
                with anyio.fail_after(_READ_S):
                    found = await tab.registries.snapshot(chars=100_000, match=match)
            except Error as error:
                if "Invalid regular expression" not in str(error):
                    raise
                why = str(error).partition("\n")[0].rpartition(": ")[2]
                raise Refused(
                    ToolResult.failure("invalid_argument", f"argument 'regex' is no regular expression: {why}")
                ) from error
            lines = found.lines[:limit]
            if not lines:
                return ToolResult.failure(
                    "not_found", "nothing in the page matches", hint="try fewer words, or browser:snapshot"
                )
            more = ["there are more matches"] if found.next is not None or len(found.lines) > limit else []
            matches = [{"ref": ref, "role": each.role, "name": each.name} for ref, each in found.refs.items()]
            return page_result(
                title=await tab.page.title(),
                url=tab.page.url,
                body="\n".join(lines),
                notes=more,
                data={"generation": found.generation, "matches": matches[:limit], "more": bool(more)},
            )

        return await call(state, work)

    @tool(read_only=True, relative=True)
    async def read(
        self,
        state: BrowserSession,
        format: Literal["markdown", "text", "html"] = "markdown",
        max_chars: Chars = 20_000,
        page: Annotated[int, Range(1, 100_000)] = 1,
    ) -> ToolResult:
        """Read the main text of the page, with its links.

        Args:
            format: how it is written.
            max_chars: how much of it a page of the answer holds.
            page: which page of a long text, from 1 on.
        """

        async def work(tab: Tab) -> ToolResult:
            wanted = {"format": format, "limit": min(_READ_MOST, max_chars * page), "links": _LINKS}
            with anyio.fail_after(_READ_S):
                found = await tab.page.evaluate(READING, wanted)
            whole: str = found["text"]
            pages = max(1, math.ceil(len(whole) / max_chars))
            if page > pages:
                raise Refused(ToolResult.failure("not_found", f"the text has {pages} pages of {max_chars} characters"))
            body = whole[(page - 1) * max_chars : page * max_chars]
            more = bool(found["more"])
            notes = (
                [f"page {page}; go on with page={page + 1}"]
                if more
                else [f"page {page} of {pages}"]
                if pages > 1
                else []
            )
            return page_result(
                title=await tab.page.title(),
                url=tab.page.url,
                body=body,
                notes=notes,
                data={"format": format, "page": page, "more": more, "links": found["links"]},
            )

        return await call(state, work)

    @tool(read_only=True, relative=True)
    async def screenshot(
        self,
        state: BrowserSession,
        ref: Ref | None = None,
        full_page: bool = False,
        marks: bool = False,
    ) -> ToolResult:
        """See the page as an image.

        Args:
            ref: only this element.
            full_page: the whole page, not only what is in view.
            marks: boxes over what can be acted on, numbered like its references.
        """

        async def work(tab: Tab) -> ToolResult:
            marked: list[tuple[str, list[int]]] = []
            if marks:
                if tab.registries.generation == 0 or tab.last is None:
                    await look(tab, self.config.max_chars)
                marked = await tab.registries.mark()
            try:
                if ref is not None:
                    element = await tab.registries.element(ref)
                    data = await element.screenshot(type="png", animations="disabled")
                elif full_page:
                    height = await tab.page.evaluate("() => document.documentElement.scrollHeight")
                    if height > _PIXELS:
                        raise Refused(
                            ToolResult.failure(
                                "output_limit",
                                f"the page is {height} pixels high",
                                hint="scroll, and look without full_page",
                            )
                        )
                    data = await tab.page.screenshot(type="png", full_page=True, animations="disabled")
                else:
                    data = await tab.page.screenshot(type="png", animations="disabled")
            finally:
                if marks:
                    await tab.registries.mark()
            shown = "\n".join(f"{one} at {box[0]}, {box[1]} ({box[2]} × {box[3]})" for one, box in marked)
            return page_result(
                title=await tab.page.title(),
                url=tab.page.url,
                body=shown or "[image]",
                data={"marks": [{"ref": one, "box": box} for one, box in marked], "full_page": full_page},
                content=[ImageContent(mime="image/png", data=data)],
            )

        return await call(state, work)
