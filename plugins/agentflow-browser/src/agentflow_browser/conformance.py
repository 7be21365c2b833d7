"""What the laws of the sandbox try on ``browser``: its calls, and what a page can do to its neighbours."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from agentflow_browser.backend import BrowserBackend
from agentflow_browser.config import BrowserConfig
from agentflow_core.testing.subjects import Call, Canary, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOSTILE", "PAGE", "browser_subject", "page"]


def page(html: str) -> str:
    """The address of a page that needs no server."""
    return f"data:text/html;charset=utf-8,{quote(html)}"


PAGE: Final = page(
    "<title>A form</title><h1>A form</h1><p>Some words.</p><label>Name <input name=name></label>"
    "<label>Kind <select name=kind><option>green<option>black</select></label>"
    "<label><input type=checkbox name=hot> Hot</label><label>File <input type=file></label>"
    "<button onclick=\"this.textContent = 'Sent'\">Send</button><p id=drop>Drop</p><p style='height:3000px'>Long</p>"
    "<p id=long></p><script>document.querySelector('#long').textContent = 'many words '.repeat(4000)</script>"
)

#: Calls that try to break out or to take too much, by what they try.
HOSTILE: Mapping[str, Call] = {
    what: ("navigate", {"url": url, "timeout_s": 5})
    for what, url in {
        "a file": "file:///etc/passwd",
        "metadata": "http://169.254.169.254/latest/meta-data/",
        "a page that never rests": page("<script>while (true) {}</script>"),
        "a page that grows": page("<script>setInterval(() => document.body.append('x'.repeat(1e6)))</script>"),
        "windows without end": page("<script>for (let i = 0; i < 200; i++) open('about:blank')</script>"),
        "frames in frames": page(
            "<script>f = document.createElement('iframe'); f.src = location; document.documentElement.append(f)</script>"
        ),
        "a crash": page("<script>a = []; while (true) a.push(new Array(1e7).fill(a.length))</script>"),
    }.items()
}

_NOTES: Final = page("<title>Notes</title><label>Notes <input name=notes></label>")


def _hidden(html: str) -> str:
    """The address of a page, in which its text is not seen."""
    return f"data:text/html;base64,{b64encode(html.encode()).decode()}"


def browser_subject() -> Subject:
    """The subject: with approximate forks, so that they are tried, and one browser, so that what is left can be counted."""
    return Subject(
        backend=lambda: BrowserBackend(BrowserConfig(approximate_forks=True, contexts_per_browser=1000)),
        name="browser",
        calls=(
            ("navigate", {"url": PAGE}),
            ("snapshot", {"mode": "interactive"}),
            ("find", {"role": "button"}),
            ("type", {"selector": "[name=name]", "text": "tea"}),
            ("fill_form", {"fields": {"[name=kind]": "black", "[name=hot]": True}}),
            ("select", {"selector": "[name=kind]", "options": ["green"]}),
            ("check", {"selector": "[name=hot]", "checked": False}),
            ("upload", {"selector": "[type=file]", "name": "a.txt", "text": "words"}),
            ("click", {"selector": "button"}),
            ("press", {"key": "Tab"}),
            ("hover", {"selector": "#drop"}),
            ("drag", {"selector": "h1", "to_selector": "#drop"}),
            ("scroll", {"dy": 400}),
            ("wait", {"text": "Some words"}),
            ("read", {"max_chars": 1000}),
            ("screenshot", {"marks": True}),
            ("tabs", {"action": "list"}),
            ("downloads", {}),
            ("console", {}),
            ("requests", {"text": "nothing"}),
            ("reload", {}),
        ),
        canaries={
            "pages": Canary(
                plant=lambda text: (("navigate", {"url": _hidden(f"<title>Notes</title><p>{text}</p>")}),),
                look=(("snapshot", {}),),
            ),
            "tabs": Canary(
                plant=lambda text: (
                    ("tabs", {"action": "new", "url": _hidden(f"<title>{text}</title>")}),
                    ("tabs", {"action": "select", "tab": 1}),
                ),
                look=(("tabs", {}),),
            ),
        },
        settings={"start_url": _NOTES},
        hostile=HOSTILE,
        slow=("wait", {"time": 60}),
        loud=("read", {"max_chars": 100_000}),
        broken_settings={"viewport": {"width": 1}},
        parallel=4,
        cycles=8,
        growth_mb=64.0,
    )
