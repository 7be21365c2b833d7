"""What ``agentflow doctor`` asks of this plugin."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agentflow_browser.config import BrowserConfig
from agentflow_browser.pool import Browsers
from agentflow_core.errors import SandboxError
from agentflow_core.records.events import Event, Notice
from agentflow_core.sandbox.backend import BackendContext
from agentflow_core.sandbox.premises import Premises

__all__ = ["check_browser"]


async def check_browser() -> tuple[bool, str]:
    """Start a browser with the default settings; which one it is, and how it is held apart."""
    notices: list[str] = []

    def observe(event: Event) -> None:
        if isinstance(event, Notice):
            notices.append(event.message)

    with tempfile.TemporaryDirectory() as folder:
        async with Premises(Path(folder)) as premises:
            context = BackendContext(name="browser", folder=Path(folder), observe=observe, premises=premises)
            browsers = Browsers(BrowserConfig(), context)
            try:
                process = await browsers.lease()
                version, way = process.browser.version, process.way
                await browsers.release(process)
            except SandboxError as error:
                return False, f"{error.message}; {error.hint}"
            finally:
                await browsers.aclose()
    sandbox = "on" if way.has_sandbox else "OFF"
    confined = "as another user, with a network of its own" if way.is_confined else "as the user of the server"
    return True, "; ".join([f"Chromium {version}, its sandbox {sandbox}, {confined}", *notices])
