"""What the local fetcher refuses to reach, however it is asked."""

from __future__ import annotations

import pytest

from agentflow_websearch.failures import WebFailure
from agentflow_websearch.guard import Guard
from agentflow_websearch.small_web import Reply, SmallWeb

PAGE = Reply(body=b"<html><body><p>Nobody outside should read this.</p></body></html>")


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        ("127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("169.254.169.254", "link-local"),
        ("100.100.100.200", "shared"),
        ("0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fd00:ec2::254", "private"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
    ],
)
async def test_a_name_of_an_address_that_is_not_public_is_denied(played, address, meaning):
    async with played({}, visit=["local"], names={"evil.example": [address]}) as it:
        result = await it.sandbox.execute("web:visit", {"url": "http://evil.example/"})
    assert result.code == "network_denied"
    assert meaning in result.text
    assert it.resolver.asked == ["evil.example"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]", "localhost"]
)
async def test_loopback_is_denied_in_every_spelling(played, host):
    async with played({}, visit=["local"]) as it:
        result = await it.sandbox.execute("web:visit", {"url": f"http://{host}:{it.web.port}/"})
    assert result.code in ("network_denied", "invalid_argument")
    assert not it.web.heard
    assert not it.resolver.asked


async def test_a_redirect_to_loopback_is_denied(played, local):
    other = SmallWeb(lambda heard: _page())
    async with other:
        routes = {
            "/there": Reply(status=302, headers={"Location": f"{other.url}/secret"}),
            "/name": Reply(status=302, headers={"Location": f"http://evil.example:{other.port}/secret"}),
        }
        async with played(routes, names={"evil.example": ["127.0.0.1"]}, **local) as it:
            for path in routes:
                result = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}{path}"})
                assert result.code == "network_denied", result.text
    assert not other.heard


async def test_the_very_address_that_was_judged_is_dialed(played):
    """A name that answers with another address a moment later changes nothing: it is looked up once a connection."""
    names = {"turning.example": [["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]]}
    settings = {"visit": ["local"], "allow_hosts": ["127.0.0.1:{port}"]}
    async with played({"/": PAGE}, names=names, **settings) as it:
        result = await it.sandbox.execute("web:visit", {"url": f"http://turning.example:{it.web.port}/"})
        assert result.ok, result.text
        assert it.resolver.asked == ["turning.example"]
        (heard,) = it.web.heard
        assert heard.headers["host"] == f"turning.example:{it.web.port}"
        again = await it.sandbox.execute("web:visit", {"url": f"http://turning.example:{it.web.port}/"})
        assert again.code == "network_denied"
    assert len(it.web.heard) == 1


async def test_of_mixed_addresses_only_the_public_ones_are_dialed():
    async def resolver(name: str) -> list[str]:
        return ["10.0.0.1", "93.184.215.14", "::1"]

    found = await Guard((), resolver).addresses("mixed.example", 443)
    assert [str(address) for address in found] == ["93.184.215.14"]


@pytest.mark.parametrize("allowed", ["127.0.0.1:1", "*:*", "0.0.0.0/0:*", "*.example:*"])
async def test_what_is_allowed_is_named_exactly(allowed):
    async def resolver(name: str) -> list[str]:
        return ["127.0.0.1"]

    with pytest.raises(WebFailure, match="loopback"):
        await Guard([allowed], resolver).addresses("evil.example", 80)


async def test_an_allowed_name_may_be_inside():
    async def resolver(name: str) -> list[str]:
        return ["10.0.0.7"]

    guard = Guard(["wiki.corp.example:8080"], resolver)
    assert [str(address) for address in await guard.addresses("wiki.corp.example", 8080)] == ["10.0.0.7"]
    with pytest.raises(WebFailure, match="private"):
        await guard.addresses("wiki.corp.example", 80)


async def test_a_name_that_does_not_exist_is_said_to(played):
    async with played({}, visit=["local"]) as it:
        result = await it.sandbox.execute("web:visit", {"url": "no-such-host.example"})
    assert result.code == "not_found"
    assert it.resolver.asked == ["no-such-host.example"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/", "javascript:alert(1)", "http://", "a b.c/"])
async def test_only_http_is_read(played, url):
    async with played({}, visit=["local"]) as it:
        result = await it.sandbox.execute("web:visit", {"url": url})
    assert result.code == "invalid_argument"


async def test_credentials_in_a_url_and_proxies_of_the_environment_are_not_used(played, local, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with played({"/p": PAGE}, **local) as it:
        result = await it.sandbox.execute("web:visit", {"url": f"http://user:secret@{it.web.host}/p"})
    assert result.ok, result.text
    assert "authorization" not in it.web.heard[0].headers
    assert "secret" not in result.text + str(result.data)


async def _page() -> Reply:
    return PAGE
