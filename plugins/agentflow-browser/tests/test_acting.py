"""Clicks, forms, dialogs, tabs, downloads, uploads: what an action does, and what it says that it did."""

from __future__ import annotations

import re

import anyio
import pytest

from agentflow_core.errors import SandboxError


async def test_a_form_is_filled_in_and_sent(site, browse):
    site.pages[
        "/"
    ] = """<form action=/sent method=post><label>Name <input name=name></label><label>Kind <select name=kind>
      <option value=g>green<option value=b>black</select></label><input type=checkbox name=hot aria-label=Hot>
      <textarea name=note></textarea><button>Send</button></form>"""
    site.pages["/sent"] = "<title>Thanks</title>"
    async with browse() as do:
        await do("navigate", url=site.url)
        filled = await do(
            "fill_form", fields={"[name=name]": "Ann Ü 漢 😀", "[name=kind]": "black", "[name=hot]": True}, submit=False
        )
        assert filled.ok, filled.text
        await do("type", selector="textarea", text="one")
        await do("type", selector="textarea", text=" two", clear=False)
        probes = ["value:[name=name]", "value:[name=kind]", "value:[name=hot]", "value:textarea", "value:#none"]
        seen = await do.sandbox.execute("browser:observe_end", {"probes": probes})
        assert list(seen.data["observed"].values()) == ["Ann Ü 漢 😀", "b", True, "one two", None]
        sent = await do("click", selector="button")
        assert sent.data["effect"]["navigated"]
        assert sent.text.startswith(f"Thanks\n{site.url}/sent\n")
        assert b"kind=b" in next(body for _, path, body in site.asked if path == "/sent")
        assert (await do("select", selector="title", options=["x"])).code == "invalid_argument"


async def test_an_option_that_is_not_there_is_told_with_those_that_are(site, browse):
    site.pages["/"] = "<select aria-label=Kind><option>green<option>black</select>"
    async with browse() as do:
        await do("navigate", url=site.url)
        result = await do("select", selector="select", options=["white"])
    assert result.code == "not_found"
    assert "'green', 'black'" in result.hint


async def test_a_dialog_bars_everything_until_it_is_answered(site, browse):
    site.pages["/"] = """<button onclick="document.title = prompt('Who?', 'me')">Ask</button>"""
    async with browse() as do:
        await do("navigate", url=site.url)
        asked = await do("click", selector="button")
        assert asked.ok
        assert asked.data["effect"]["dialog"] == {"type": "prompt", "message": "Who?", "default": "me", "tab": 1}
        barred = await do("snapshot")
        assert barred.code == "blocked_by_dialog"
        assert "browser:dialog" in barred.hint
        answered = await do("dialog", accept=True, text="you")
        assert answered.data["title"] == "you"
        assert (await do("dialog")).code == "not_found"


async def test_a_page_that_asks_before_it_is_left_is_left_or_kept(site, browse):
    site.pages["/"] = "<title>Draft</title><input><script>onbeforeunload = event => event.preventDefault()</script>"
    site.pages["/b"] = "<title>Other</title>"
    async with browse() as do:
        await do("navigate", url=site.url)
        await do("click", selector="input")  # without a gesture no page may ask
        left = await do("navigate", url=f"{site.url}/b")
        assert left.data["dialog"]["type"] == "beforeunload"
        kept = await do("dialog", accept=False)
        assert kept.data["title"] == "Draft"
        await do("navigate", url=f"{site.url}/b")
        assert (await do("dialog", accept=True)).data["title"] == "Other"


async def test_a_page_that_alerts_while_it_loads_says_so(site, browse):
    site.pages["/"] = "<title>Hello</title><script>alert('welcome')</script>words"
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        assert seen.data["dialog"]["message"] == "welcome"
        assert "words" in (await do("dialog")).text


async def test_what_opens_in_a_new_tab_is_acted_on(site, browse):
    site.pages["/"] = "<title>First</title><a target=_blank href=/second>open</a>"
    site.pages["/second"] = "<title>Second</title>"
    async with browse() as do:
        await do("navigate", url=site.url)
        clicked = await do("click", selector="a")
        assert clicked.data["effect"]["new_tab"] == 2
        assert clicked.data["title"] == "Second"
        assert [each["current"] for each in (await do("tabs")).data["tabs"]] == [False, True]
        assert (await do("tabs", action="close")).data["tabs"][0]["title"] == "First"
        assert (await do("snapshot")).data["title"] == "First"
        assert (await do("tabs", action="select", tab=9)).code == "not_found"


async def test_a_page_opens_tabs_when_it_is_acted_on_and_not_of_its_own_accord(site, browse):
    site.pages["/"] = "<title>First</title><script>for (let n = 0; n < 50; n++) open('/second')</script>words"
    site.pages["/second"] = "<title>Second</title>"
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        assert seen.data["title"] == "First"
        assert len((await do("tabs")).data["tabs"]) == 1
    assert not site.was_asked("/second")


async def test_a_session_has_no_more_than_so_many_tabs(site, browse):
    site.pages["/"] = "<title>First</title><a target=_blank href=/second>open</a>"
    site.pages["/second"] = "<title>Second</title>"
    async with browse() as do:
        for _ in range(19):
            assert (await do("tabs", action="new", url=f"{site.url}/")).ok
        refused = await do("click", selector="a")
        assert refused.data["effect"]["new_tab"] is None
        assert refused.data["title"] == "First"
        assert "a new tab was closed at once" in refused.text
        assert len((await do("tabs")).data["tabs"]) == 20
        assert (await do("tabs", action="new")).code == "quota_exceeded"
        await do("tabs", action="close", tab=1)
        assert (await do("click", selector="a")).data["title"] == "Second"


async def test_history_goes_back_and_forward_and_ends(site, browse):
    site.pages |= {"/a": "<title>A</title>", "/b": "<title>B</title>"}
    async with browse() as do:
        await do("navigate", url=f"{site.url}/a")
        await do("navigate", url=f"{site.url}/b")
        assert (await do("back")).data["title"] == "A"
        assert (await do("forward")).data["title"] == "B"
        assert (await do("forward")).code == "not_found"
        site.pages["/b"] = "<title>B again</title>"
        assert (await do("reload")).data["title"] == "B again"


async def test_downloads_come_into_the_sessions_folder_up_to_a_size(site, browse):
    def attached(size):
        return 200, {"Content-Disposition": "attachment; filename=data.csv", "Content-Type": "text/csv"}, b"x" * size

    site.pages |= {
        "/": "<a href=/small>small</a><p></p><a href=/large>large</a>",
        "/small": attached(1000),
        "/large": attached(9000),
    }
    async with browse(download_bytes=5000) as do:
        await do("navigate", url=site.url)
        small = await do("click", selector="[href='/small']")
        assert small.data["effect"]["download"]["path"] == "downloads/data.csv"
        session = small.session_id
        assert await do.sandbox.read_file(session, "downloads/data.csv") == b"x" * 1000
        large = await do("click", selector="[href='/large']")
        assert large.data["effect"]["download"]["state"] == "refused"
        opened = await do("navigate", url=f"{site.url}/small")
        assert opened.ok
        assert [each["state"] for each in (await do("downloads")).data["downloads"]] == ["done", "refused", "done"]


async def test_files_are_uploaded_from_the_sessions_folder_and_from_nowhere_else(site, browse):
    site.pages["/"] = (
        "<form action=/sent method=post enctype=multipart/form-data><input type=file name=f multiple><button>Send</button></form>"
    )
    site.pages["/sent"] = "<title>Thanks</title>"
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        await do.sandbox.write_file(seen.session_id, "notes.txt", b"from the client")
        put = await do("upload", selector="input", files=["notes.txt"], name="made.txt", text="made up")
        assert "notes.txt, made.txt" in put.text
        await do("click", selector="button")
        body = next(body for _, path, body in site.asked if path == "/sent")
        assert b"from the client" in body
        assert b"made up" in body
        await do("back")
        for path in ("/etc/passwd", "../../taken.sqlite", "none.txt"):
            assert (await do("upload", selector="input", files=[path])).code in (
                "invalid_argument",
                "not_found",
                "forbidden",
            )


async def test_a_selector_that_matches_several_is_ambiguous_and_names_them(site, browse):
    site.pages["/"] = "<button>One</button><button>Two</button>"
    async with browse() as do:
        await do("navigate", url=site.url)
        result = await do("click", selector="button")
        assert result.code == "ambiguous_target"
        assert [each["name"] for each in result.data["candidates"]] == ["One", "Two"]
        assert (await do("click", ref=result.data["candidates"][1]["ref"])).ok
        assert (await do("click", selector="#none")).code == "not_found"
        assert (await do("click", selector="[[")).code == "invalid_argument"
        assert (await do("click", ref="g1e1", selector="button")).code == "invalid_argument"


async def test_points_are_clicked_on_the_screen_and_refused_off_it(site, browse):
    site.pages["/"] = (
        """<button style="position:fixed;left:10px;top:10px;width:50px;height:50px" onclick="document.title='hit'">x</button>"""
    )
    async with browse(session={"viewport": {"width": 320, "height": 200}}) as do:
        await do("navigate", url=site.url)
        assert (await do("click", x=30, y=30)).data["title"] == "hit"
        off = await do("click", x=321, y=10)
        assert off.code == "invalid_argument"
        assert "320 × 200" in off.message
        assert (await do("click", x=-1, y=10)).code == "invalid_argument"
        assert (await do("click", x=5)).code == "invalid_argument"


async def test_what_is_covered_or_disabled_is_told_why_it_cannot_be_clicked(site, browse):
    site.pages["/"] = "<button>Under</button><div id=over style='position:fixed;inset:0;background:#0008'></div>"
    async with browse(action_timeout_s=3) as do:
        await do("navigate", url=site.url)
        result = await do("click", selector="button")
    assert result.code == "timeout"
    assert "intercepts pointer events" in result.message


async def test_keys_mouse_and_scrolling_reach_the_page(site, browse):
    site.pages[
        "/"
    ] = """<div style="height:3000px"><div id=a draggable=false style="width:60px;height:60px;background:red">A</div>
      <div id=b style="width:60px;height:60px;background:blue">B</div></div><p id=end>End</p><script>
      let from; a.onmousedown = () => from = 'a'; b.onmouseup = () => document.title = 'dropped ' + from;
      b.onmouseenter = () => b.textContent = 'Over'; onkeydown = event => { document.body.dataset.key = event.key }</script>"""
    async with browse() as do:
        await do("navigate", url=site.url)
        assert "Over" in (await do("hover", selector="#b")).text
        assert (await do("drag", selector="#a", to_selector="#b")).data["title"] == "dropped a"
        await do("press", key="Escape")
        assert (await do.sandbox.execute("browser:observe_end", {"probes": ["count:[data-key=Escape]"]})).data[
            "observed"
        ] == {"count:[data-key=Escape]": 1}
        assert (await do("scroll", dy=500)).data["scroll"]["y"] == 500
        assert (await do("press", key="NoSuchKey")).code == "invalid_argument"


async def test_waiting_says_which_one_happened(site, browse):
    site.pages["/"] = """<p id=p>loading</p><script>setTimeout(() => { p.textContent = 'ready' }, 300)</script>"""
    async with browse() as do:
        await do("navigate", url=site.url)
        assert (await do("wait", text="ready", url="/never")).data["happened"] == "text"
        assert (await do("wait", text_gone="loading")).data["happened"] == "text_gone"
        assert (await do("wait", time=0.01)).data["happened"] == "time"
        late = await do("wait", text="never", timeout_s=0.2)
        assert late.code == "timeout"
        assert (await do("wait")).code == "invalid_argument"


async def test_console_and_requests_are_kept_up_to_a_number(site, browse):
    site.pages["/"] = (
        "<script>for (let n = 0; n < 2000; n++) console.log('line ' + n); fetch('/missing'); null.x</script>"
    )
    async with browse() as do:
        await do("navigate", url=site.url)
        assert len((await do("console", limit=500)).data["messages"]) == 500
        assert "null" in (await do("console", level="exception")).text
        failed = []
        with anyio.fail_after(20):
            while not failed:
                failed = (await do("requests", failed=True, text="missing")).data["requests"]
        assert failed[0]["status"] == 404


async def test_scripts_run_only_where_they_are_allowed(site, browse):
    site.pages["/"] = "<title>One</title>"
    async with browse() as do:
        await do("navigate", url=site.url)
        assert (await do("evaluate", script="document.title = 'Two'")).code == "policy_denied"
        assert (await do("snapshot")).data["title"] == "One"
    async with browse(allow_evaluate=True) as do:
        await do("navigate", url=site.url)
        assert (await do("evaluate", script="() => ({n: 40 + 2})")).data["value"] == {"n": 42}


async def test_a_session_begins_where_its_settings_say(site, browse, opened):
    site.pages["/"] = (
        "<script>document.write(`${innerWidth} ${localStorage.getItem('who')} ${document.cookie}`)</script>"
    )
    state = {
        "cookies": [
            {
                "name": "c",
                "value": "1",
                "domain": "127.0.0.1",
                "path": "/",
                "expires": -1,
                "httpOnly": False,
                "secure": False,
                "sameSite": "Lax",
            }
        ],
        "origins": [{"origin": site.url, "localStorage": [{"name": "who", "value": "Ann"}]}],
    }
    settings = {"start_url": site.url, "viewport": {"width": 500, "height": 400}, "storage_state": state}
    async with browse(session=settings) as do:
        assert "500 Ann c=1" in (await do("snapshot")).text
        probes = ["url", "storage:who", "cookie:c", "cookie:none", "count:script", "title"]
        seen = (await do.sandbox.execute("browser:observe_end", {"probes": probes})).data["observed"]
        assert seen == {
            "url": f"{site.url}/",
            "storage:who": "Ann",
            "cookie:c": "1",
            "cookie:none": None,
            "count:script": 1,
            "title": "",
        }
        wrong = await do.sandbox.execute("browser:observe_end", {"probes": ["colour:red"]})
        assert wrong.code == "invalid_argument"
        assert "text:SELECTOR" in wrong.hint
    async with opened() as sandbox:
        for wrong in (
            {"start": "x"},
            {"viewport": {"width": 1}},
            {"viewport": {"width": 1, "height": 1}},
            {"storage_state": []},
            {"start_url": "file:///etc/passwd"},
        ):
            with pytest.raises(SandboxError):
                await sandbox.create_session({"browser": wrong})


async def test_a_fork_has_cookies_storage_and_place_where_that_is_allowed(site, browse):
    site.pages["/"] = "<p style='height:4000px'></p><script>localStorage.n ??= '1'; document.cookie ||= 'c=1'</script>"
    async with browse(approximate_forks=True) as do:
        seen = await do("navigate", url=site.url)
        await do("scroll", dy=700)
        child = await do.sandbox.fork(seen.session_id)
        assert "approximate" in child.data
        probes = ["url", "storage:n", "cookie:c"]
        observed = await do.sandbox.execute("browser:observe_end", {"probes": probes}, session=child.id)
        assert observed.data["observed"] == {"url": f"{site.url}/", "storage:n": "1", "cookie:c": "1"}
        assert (await do.sandbox.execute("browser:scroll", {"dy": 1}, session=child.id)).data["scroll"]["y"] == 701
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        with pytest.raises(SandboxError, match="cannot fork") as caught:
            await do.sandbox.fork(seen.session_id)
    assert caught.value.code == "unsupported"
    assert re.search("fresh session", caught.value.hint)
