"""What pages reach, and by no detour anything else."""

from __future__ import annotations

import json

import pytest

from agentflow_browser.config import BrowserConfig
from agentflow_browser.network import may_open
from agentflow_core.errors import ConfigError


def names(**known):
    """A resolver that knows these names."""

    async def resolve(name):
        if name not in known:
            raise OSError("no such name")
        return [known[name]]

    return resolve


async def test_files_pages_of_the_browser_and_scripts_are_not_opened(browse):
    async with browse() as do:
        for url in (
            "file:///etc/passwd",
            "chrome://version",
            "view-source:http://example.com",
            "javascript:alert(1)",
            "devtools://x",
        ):
            assert (await do("navigate", url=url)).code == "policy_denied", url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://2130706433:{port}/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://192.168.1.1/",
    ],
)
async def test_addresses_that_are_not_public_are_denied(site, browse, url):
    site.pages["/"] = "secret"
    async with browse(open_site=False) as do:
        result = await do("navigate", url=url.format(port=site.server.server_port))
    assert result.code == "network_denied", result.text
    assert "secret" not in result.text
    assert not site.asked


async def test_names_that_lead_to_what_is_not_public_are_denied(site, browse):
    site.pages["/"] = "secret"
    port = site.server.server_port
    known = names(**{"inside.example": "127.0.0.1", "intranet.example": "10.1.2.3", "cloud.example": "169.254.169.254"})
    async with browse(open_site=False, resolver=known) as do:
        for name in ("inside.example", "intranet.example", "cloud.example"):
            result = await do("navigate", url=f"http://{name}:{port}/")
            assert result.code == "network_denied", result.text
            assert (await do("navigate", url=f"https://{name}/")).code == "network_denied"
    assert not site.asked


async def test_a_name_that_was_opened_may_lead_anywhere(site, browse):
    site.pages["/"] = "<title>Ours</title>"
    port = site.server.server_port
    for host in (f"shop.example:{port}", "shop.example"):
        async with browse(open_site=False, allow_hosts=(host,), resolver=names(**{"shop.example": "127.0.0.1"})) as do:
            assert (await do("navigate", url=f"http://shop.example:{port}/")).data["title"] == "Ours"


async def test_redirects_frames_scripts_and_workers_are_held_to_the_same(site, other_site, browse):
    port = other_site.server.server_port
    inside = f"http://inside.example:{port}/secret"
    site.pages |= {
        "/redirect": (302, {"Location": inside}, b""),
        "/private": (302, {"Location": "http://10.0.0.1/"}, b""),
        "/frame": f"<iframe src='{inside}'></iframe><p>around</p>",
        "/fetch": f"<p id=p></p><script>fetch('{inside}', {{mode: 'no-cors'}}).then(r => r.text()).then(t => p.textContent = 'got ' + t).catch(e => p.textContent = 'failed')</script>",
        "/worker": """<p id=p></p><script>navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready)
          .then(ready => { navigator.serviceWorker.onmessage = event => p.textContent = 'worker: ' + event.data; ready.active.postMessage('go') })</script>""",
        "/worker.js": (
            200,
            {"Content-Type": "text/javascript"},
            f"""onmessage = event => fetch('{inside}')
          .then(r => r.text().then(t => event.source.postMessage(r.status + ' ' + t)), () => event.source.postMessage('failed'))""".encode(),
        ),
        "/link": f"<a href='{inside}'>go</a>",
    }
    other_site.pages["/secret"] = "secret words"
    resolver = names(**{"inside.example": "127.0.0.1"})
    async with browse(resolver=resolver) as do:
        assert (await do("navigate", url=f"{site.url}/redirect")).code == "network_denied"
        assert (await do("navigate", url=f"{site.url}/private")).code == "network_denied"
        framed = await do("navigate", url=f"{site.url}/frame")
        assert "around" in framed.text
        assert "secret words" not in framed.text
        await do("navigate", url=f"{site.url}/fetch")
        assert "secret words" not in (await do("wait", text_gone="none-such", timeout_s=5)).text
        await do("navigate", url=f"{site.url}/worker")
        assert "secret words" not in (await do("wait", text="worker:", timeout_s=10)).text
        await do("navigate", url=f"{site.url}/link")
        assert (await do("click", selector="a")).code == "network_denied"
    assert not other_site.asked


async def test_redirects_without_end_fail(site, browse):
    site.pages["/"] = (302, {"Location": "/"}, b"")
    async with browse() as do:
        result = await do("navigate", url=site.url)
    assert result.code == "navigation_failed"
    assert "TOO_MANY_REDIRECTS" in result.message


async def test_only_what_is_listed_is_reached_where_that_is_wanted(site, browse):
    resolver = names(**{"public.example": "93.184.216.34"})
    site.pages["/"] = "<title>Ours</title>"
    async with browse(public=False, resolver=resolver) as do:
        assert (await do("navigate", url=site.url)).ok
        assert (await do("navigate", url="http://public.example/")).code == "network_denied"


async def test_a_page_that_does_not_answer_or_is_not_there_is_told(site, browse):
    async with browse(resolver=names()) as do:
        missing = await do("navigate", url="http://nowhere.example/")
        assert missing.code in ("navigation_failed", "upstream_error")
        assert "nowhere.example" in missing.text
        answered = await do("navigate", url=f"{site.url}/none")
        assert answered.data["status"] == 404


def test_hosts_that_cannot_be_read_are_refused_with_their_place():
    with pytest.raises(ConfigError) as caught:
        BrowserConfig(allow_hosts=("fine.example", "http://not-a-host/"))
    assert caught.value.problems[0].path == "allow_hosts.1"


def test_addresses_are_told_apart_by_their_scheme():
    assert all(map(may_open, ("http://x/", "HTTPS://x/", "about:blank", "data:text/html,x")))
    assert not any(map(may_open, ("file:///x", "chrome://x", "about:config", "x", "ftp://x/", json.dumps({}))))
