"""Fill in forms: several fields at once, choices, boxes, files."""

from __future__ import annotations

import mimetypes
import posixpath
from typing import TYPE_CHECKING, Annotated

import anyio.to_thread

from agentflow_browser.calling import act, call
from agentflow_browser.session import BrowserSession
from agentflow_browser.snapshots import Refused, is_ref
from agentflow_browser.targets import Target, find_target
from agentflow_core.errors import SandboxError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Range, tool

if TYPE_CHECKING:
    from playwright.async_api import FilePayload

    from agentflow_browser.config import BrowserConfig
    from agentflow_browser.tabs import Tab

__all__ = ["FillingTools"]

Ref = Annotated[str, Range(2, 60)]
Selector = Annotated[str, Range(1, 2000)]
_UPLOAD_BYTES = 40 * 1024 * 1024


class FillingTools:
    """See the module."""

    config: BrowserConfig

    @tool(relative=True)
    async def fill_form(
        self,
        state: BrowserSession,
        fields: Annotated[dict[str, str | bool | list[str]], Range(1, 100)],
        submit: bool = False,
    ) -> ToolResult:
        """Fill in several fields of a form.

        Args:
            fields: by ref (or a CSS selector that matches one field): text, true or false for a box, an option's label for a choice.
            submit: press Enter in the last text field, or submit its form.
        """

        async def work(tab: Tab) -> ToolResult:
            targets = [
                (await find_target(tab, key if is_ref(key) else None, None if is_ref(key) else key), value)
                for key, value in fields.items()
            ]

            async def filled() -> None:
                for target, value in targets:
                    await _fill(target, value)
                if submit:
                    await targets[-1][0].element.evaluate(
                        "el => { const form = el.form || el.closest('form'); if (form) form.requestSubmit(); }"
                    )

            told = ", ".join(str(target) for target, _ in targets)
            return await act(state, tab, filled, f"filled in {told}" + (" and submitted" if submit else ""))

        return await call(state, work)

    @tool(relative=True)
    async def select(
        self,
        state: BrowserSession,
        options: Annotated[list[Annotated[str, Range(0, 1000)]], Range(0, 100)],
        ref: Ref | None = None,
        selector: Selector | None = None,
    ) -> ToolResult:
        """Choose options of a select field.

        Args:
            options: their labels or values; none to choose nothing in a field that allows several.
            ref: the field, as a snapshot names it.
            selector: or a CSS selector that matches one field.
        """

        async def work(tab: Tab) -> ToolResult:
            target = await find_target(tab, ref, selector)

            async def chosen() -> None:
                await _choose(target, options)

            return await act(state, tab, chosen, f"chose {', '.join(map(repr, options)) or 'nothing'} in {target}")

        return await call(state, work)

    @tool(relative=True)
    async def check(
        self,
        state: BrowserSession,
        ref: Ref | None = None,
        selector: Selector | None = None,
        checked: bool = True,
    ) -> ToolResult:
        """Check or uncheck a box, switch or radio button, whatever it is now.

        Args:
            ref: the box, as a snapshot names it.
            selector: or a CSS selector that matches one box.
            checked: false to uncheck it.
        """

        async def work(tab: Tab) -> ToolResult:
            target = await find_target(tab, ref, selector)

            async def done() -> None:
                await target.element.set_checked(checked)

            return await act(state, tab, done, f"{'checked' if checked else 'unchecked'} {target}")

        return await call(state, work)

    @tool(relative=True)
    async def upload(
        self,
        state: BrowserSession,
        files: Annotated[list[Annotated[str, Range(1, 1000)]], Range(0, 20)] = [],  # noqa: B006 - a default of the schema
        ref: Ref | None = None,
        selector: Selector | None = None,
        name: Annotated[str, Range(1, 200)] | None = None,
        text: Annotated[str, Range(0, 1_000_000)] | None = None,
    ) -> ToolResult:
        """Put files into a file field.

        Args:
            files: paths in the session's folder, such as downloads/report.csv.
            ref: the field, as a snapshot names it.
            selector: or a CSS selector that matches one field.
            name: or the name of a file that is made up for this.
            text: and what is in it.
        """

        async def work(tab: Tab) -> ToolResult:
            target = await find_target(tab, ref, selector)
            payloads = [_payload(path, data) for path, data in await _read(state, files)]
            if name is not None or text is not None:
                payloads.append(_payload(name or "file.txt", (text or "").encode()))

            async def put() -> None:
                await target.element.set_input_files(payloads)

            told = ", ".join(each["name"] for each in payloads) or "no file"
            return await act(state, tab, put, f"put {told} into {target}")

        return await call(state, work)


async def _fill(target: Target, value: str | bool | list[str]) -> None:
    role = target.named.role
    if isinstance(value, bool):
        await target.element.set_checked(value)
    elif isinstance(value, list) or await target.element.evaluate("el => el.tagName === 'SELECT'"):
        await _choose(target, value if isinstance(value, list) else [value])
    elif role in ("checkbox", "radio", "switch"):
        raise Refused(ToolResult.failure("invalid_argument", f"{target} takes true or false, not a text"))
    else:
        await target.element.fill(value)


async def _choose(target: Target, options: list[str]) -> None:
    """Choose by label or value; those that are there are named where one is not."""
    there = await target.element.evaluate(
        "el => el.tagName === 'SELECT' ? [...el.options].map(o => [o.label.replace(/\\s+/g, ' ').trim(), o.value]) : null"
    )
    if there is None:
        raise Refused(
            ToolResult.failure(
                "invalid_argument", f"{target} is no select field", hint="click it, then click what it offers"
            )
        )
    values = []
    for wanted in options:
        found = next((value for label, value in there if wanted in (label, value)), None)
        if found is None:
            labels = [label for label, _ in there[:50]]
            raise Refused(
                ToolResult.failure(
                    "not_found",
                    f"{target} has no option {wanted!r}",
                    hint=f"its options are {', '.join(map(repr, labels))}",
                    data={"options": labels},
                )
            )
        values.append(found)
    await target.element.select_option(value=values)


async def _read(state: BrowserSession, paths: list[str]) -> list[tuple[str, bytes]]:
    def read() -> list[tuple[str, bytes]]:
        with state.files() as files:
            return [(path, files.read(path, 0, _UPLOAD_BYTES + 1).data) for path in paths]

    try:
        found = await anyio.to_thread.run_sync(read)
    except SandboxError as error:
        raise Refused(
            ToolResult.failure(error.code, error.message, hint=error.hint or "browser:downloads lists files")
        ) from error
    if sum(len(data) for _, data in found) > _UPLOAD_BYTES:
        raise Refused(
            ToolResult.failure("quota_exceeded", f"more than {_UPLOAD_BYTES} bytes cannot be uploaded at once")
        )
    return found


def _payload(path: str, data: bytes) -> FilePayload:
    name = posixpath.basename(path)
    return {"name": name, "mimeType": mimetypes.guess_type(name)[0] or "application/octet-stream", "buffer": data}
