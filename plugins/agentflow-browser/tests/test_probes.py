"""What probes see at the end of a session, whatever the page is doing."""

from __future__ import annotations

import threading

PROBES = ["url", "title", "text:h1", "count:h1", "value:input", "storage:k", "cookie:c"]


async def test_a_page_that_goes_on_is_asked_when_it_has_arrived(site, browse):
    for number in range(6):
        leads = f"<script>setTimeout(() => location = '/{number + 1}', 20)</script>" if number < 5 else ""
        site.pages[f"/{number}"] = f"<title>{number}</title><h1>Page {number}</h1><input value={number}>{leads}"
    async with browse() as do:
        await do("navigate", url=f"{site.url}/0")
        for _ in range(20):  # at whatever moment it is asked
            answer = await do.sandbox.execute("browser:observe_end", {"probes": PROBES})
            assert answer.ok, answer.text
            assert answer.data["observed"]["count:h1"] == 1
        seen = answer.data["observed"]
        assert (seen["url"], seen["title"], seen["text:h1"]) == (f"{site.url}/5", "5", "Page 5")


async def test_a_page_that_has_come_in_part_is_asked_when_it_is_parsed(site, browse):
    site.pages["/"] = """<h1>One</h1><script>
      Storage.prototype.getItem = () => { setTimeout(() => location = '/slow'); return 'asked' }</script>"""

    def in_parts(file):
        file.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>Slow</title>" + b" " * 2000)
        file.flush()
        threading.Event().wait(2)
        file.write(b"<h1>Two</h1>")

    site.pages["/slow"] = in_parts
    probes = ["storage:k", *["cookie:c"] * 100, "count:h1"]  # by the last of which it goes to the other page
    async with browse(settle_s=20) as do:
        await do("navigate", url=site.url)
        answer = await do.sandbox.execute("browser:observe_end", {"probes": probes})
    assert answer.data["observed"]["count:h1"] == 1


async def test_an_open_dialog_bars_what_the_page_would_answer(site, browse):
    site.pages["/"] = "<h1>Shop</h1><button onclick='confirm(1)'>Leave</button><script>document.cookie = 'c=1'</script>"
    async with browse() as do:
        await do("navigate", url=site.url)
        assert "dialog" in (await do("click", selector="button")).data["effect"]
        answer = await do.sandbox.execute("browser:observe_end", {"probes": PROBES}, timeout_s=30)
        assert answer.ok, answer.text
        told = {probe for probe, value in answer.data["observed"].items() if value is not None}
        assert told == {"url", "cookie:c"}
