"""web:visit by the local fetcher: characters, redirects, caps, and what is no page."""

from __future__ import annotations

import gzip
import zlib

import pytest

from agentflow_websearch.refreshing import refreshed_to
from agentflow_websearch.small_web import Reply

PAGE = """<html><head><title>Ulm &amp; the river</title>{meta}
<meta property="article:published_time" content="2024-03-01"></head>
<body><nav><a href="/home">Home</a></nav><article><h1>Ulm</h1>
<p>{text}</p><p>See <a href="danube#top">the river</a> and <a href="https://other.example/x?a=1&amp;b=2">more</a>.</p>
<table><tr><th>Year</th><th>People</th></tr><tr><td>1900</td><td>42,982</td></tr></table></article>
<p>The town was first mentioned in 854, and grew rich by trade in cloth and salt, by ships that went down the river
to Vienna and by coins that were accepted everywhere. Its citizens paid for the minster themselves, without any bishop.</p>
<footer><a href="/imprint">Imprint</a></footer><script>alert(1)</script></body></html>"""
TEXT = "Ulm lies on the Danube in southern Germany, and its minster has the tallest church tower of all."


def page(text: str = TEXT, *, meta: str = "", charset: str = "utf-8", **options) -> Reply:
    return Reply(body=PAGE.format(text=text, meta=meta).encode(charset), **options)


async def test_a_page_is_title_address_text_and_links(played, local):
    async with played({"/towns/ulm": page()}, **local) as it:
        url = f"{it.web.url}/towns/ulm"
        result = await it.sandbox.execute("web:visit", {"url": url})
    assert result.text.startswith(f"Ulm & the river\n{url}\n\n# Ulm\n\n{TEXT}")
    assert "| 1900 | 42,982 |" in result.text
    assert "alert" not in result.text
    (row,) = result.data["pages"]
    assert [link["url"] for link in row["links"]] == [
        f"{it.web.url}/towns/danube",
        "https://other.example/x?a=1&b=2",
        f"{it.web.url}/home",
        f"{it.web.url}/imprint",
    ]
    assert (row["status"], row["date"], row["cost_usd"]) == (200, "2024-03-01", 0.0)
    assert result.data["untrusted"] is True


CHARSETS = (
    ("text/html; charset=utf-8", "", "cp1252"),  # the server is wrong
    ("text/html; charset=latin-1", "", "latin-1"),
    ("text/html; charset=no-such-charset", "", "utf-8"),
    ("text/html", '<meta charset="windows-1251">', "windows-1251"),
    ("text/html", "", "utf-8"),
    ("text/html", "", "utf-16"),
    ("text/html; charset=utf-8", '<meta charset="shift_jis">', "shift_jis"),
    ("text/html; charset=base64", "", "utf-8"),
)
IN_CHARSET = {"windows-1251": "Дунай течёт через Ульм. ", "shift_jis": "ドナウ川はウルムを流れる。"}


async def test_characters_are_found_whatever_the_server_says(played, local):
    texts = [IN_CHARSET.get(real, "Größe und Höhe des Münsters. ") for _, _, real in CHARSETS]
    routes = {
        f"/{number}": Reply(body=PAGE.replace("{text}", text * 8).replace("{meta}", meta).encode(real), type=said)
        for number, (text, (said, meta, real)) in enumerate(zip(texts, CHARSETS, strict=True))
    }
    async with played(routes, **local) as it:
        for number, text in enumerate(texts):
            result = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/{number}"})
            assert text.strip() in result.text, CHARSETS[number]


async def test_packed_pages_are_unpacked_and_bombs_are_not(played, local):
    body = page().body
    bomb = gzip.compress(b"<p>" + b"bomb " * 4_000_000, 1)
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    routes = {
        "/gzip": Reply(body=gzip.compress(body), headers={"Content-Encoding": "gzip"}),
        "/deflate": Reply(body=zlib.compress(body), headers={"Content-Encoding": "deflate"}),
        "/bare": Reply(body=bare.compress(body) + bare.flush(), headers={"Content-Encoding": "deflate"}),
        "/bomb": Reply(body=bomb, headers={"Content-Encoding": "gzip"}),
        "/broken": Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}),
        "/odd": Reply(body=body, headers={"Content-Encoding": "br"}),
    }
    local["local"]["max_bytes"] = 100_000
    async with played(routes, **local) as it:
        read = {path: await it.sandbox.execute("web:visit", {"url": f"{it.web.url}{path}"}) for path in routes}
    for path in ("/gzip", "/deflate", "/bare"):
        assert TEXT in read[path].text
    assert read["/bomb"].data["pages"][0]["is_cut"]
    assert read["/bomb"].data["pages"][0]["total_chars"] <= 100_000
    assert "cannot be unpacked" in read["/broken"].text
    assert "'br'" in read["/odd"].text


async def test_redirects_are_followed_up_to_their_number(played, local):
    routes = {
        "/a": Reply(status=301, headers={"Location": "/b"}),
        "/b": Reply(status=307, headers={"Location": "c?x=1", "Set-Cookie": "who=me"}),
        "/c": page(),
        "/round": Reply(status=302, headers={"Location": "/round"}),
        "/file": Reply(status=302, headers={"Location": "file:///etc/passwd"}),
    }
    async with played(routes, **local) as it:
        good = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/a"})
        assert good.data["pages"][0]["final_url"] == f"{it.web.url}/c?x=1"
        around = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/round"})
        assert "redirects more than 5 times" in around.text
        away = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/file"})
        assert away.code == "invalid_argument"
    assert all("cookie" not in heard.headers for heard in it.web.heard)


async def test_pages_that_only_lead_on_are_followed_like_redirects(played, local):
    def leading(to):
        return Reply(body=f'<html><head><meta http-equiv="Refresh" content="0; url={to}"></head>moved</html>'.encode())

    routes = {
        "/old": leading("/new"),
        "/new": page(),
        "/round": leading("/turn"),
        "/turn": leading("/round"),
        "/self": Reply(body=page().body.replace(b"<head>", b"<head><meta http-equiv=refresh content='0; url=/self'>")),
        "/inside": leading("http://169.254.169.254/latest"),
    }
    async with played(routes, **local) as it:
        good = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/old"})
        assert good.data["pages"][0]["final_url"] == f"{it.web.url}/new"
        around = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/round"})
        assert "redirects more than 5 times" in around.text
        assert TEXT in (await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/self"})).text
        inside = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/inside"})
        assert inside.code == "network_denied", inside.text


@pytest.mark.parametrize(
    ("head", "to"),
    [
        ('<meta http-equiv="refresh" content="0;URL=\'/a?b=1&amp;c=2\'">', "/a?b=1&c=2"),
        ("<META CONTENT='3, /é' HTTP-EQUIV=Refresh>", "/é"),
        ('<meta http-equiv=refresh content="0 /bare">', "/bare"),
        ('<meta http-equiv="refresh" content="30; url=/later">', None),
        ('<meta http-equiv="refresh" content="0">', None),
        ('<meta http-equiv="refresh" content="0; url=">', None),
        ('<meta name="refresh" content="0; url=/a">', None),
        ('<noscript><meta http-equiv="refresh" content="0; url=/no-scripts"></noscript>', None),
        ('<!-- <meta http-equiv="refresh" content="0; url=/a"> -->', None),
        ("<meta " + "a" * 30_000, None),
    ],
)
def test_where_a_page_leads_is_read_from_its_head(head, to):
    assert refreshed_to(f"<html><head>{head}</head>".encode()) == to


@pytest.mark.parametrize(
    ("reply", "code", "says", "attempts"),
    [
        (Reply(status=404), "not_found", "no page", 1),
        (Reply(status=403), "forbidden", "403", 1),
        (Reply(status=451), "forbidden", "451", 1),
        (Reply(status=429), "upstream_rate_limited", "429", 3),
        (Reply(status=500), "upstream_error", "500", 3),
        (Reply(body=b"x" * 100, how="break_off"), "upstream_error", "cannot be reached", 3),
        (Reply(how="hang"), "upstream_error", "no answer within", 1),
        (Reply(type="application/pdf", body=b"%PDF-1.4"), "unsupported", "application/pdf", 1),
        (Reply(type="image/png", body=b"\x89PNG"), "unsupported", "image/png", 1),
        (Reply(type="application/octet-stream", body=b"\0\1\2"), "unsupported", "not a text", 1),
        (Reply(body=b"<html><body><script>draw()</script></body></html>"), "unsupported", "no text", 1),
    ],
)
async def test_what_can_go_wrong_is_told_apart(played, local, reply, code, says, attempts):
    if reply.how == "hang":
        local["local"]["timeout_s"] = 2.0
    async with played({"/p": reply}, **local) as it:
        result = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/p"})
    assert (result.ok, result.code) == (False, code)
    assert says in result.text
    assert len(it.web.heard) == attempts


async def test_plain_texts_are_read_as_they_are(played, local):
    routes = {
        "/t": Reply(type="text/plain", body=b"a < b\r\n\r\n\r\n\r\nc\x1b[31m\0"),
        "/j": Reply(type="application/json", body=b'{"a": 1}'),
        "/bare": Reply(type="", body=b"<!doctype html><title>T</title><p>Body of it all.</p>"),
    }
    async with played(routes, **local) as it:
        text = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/t"})
        assert text.text == f"{it.web.url}/t\n{it.web.url}/t\n\na < b\n\nc"
        assert '{"a": 1}' in (await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/j"})).text
        assert "Body of it all." in (await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/bare"})).text


async def test_one_broken_host_does_not_close_the_others(played, local):
    routes = {"/p": Reply(status=500), "/q": page()}
    settings = {**local, "breaker": {"failures": 1}, "retries": {"max_attempts": 1}}
    settings["allow_hosts"] = ["{host}", "one.example:{port}", "two.example:{port}"]
    names = {"one.example": ["127.0.0.1"], "two.example": ["127.0.0.1"]}
    async with played(routes, names=names, **settings) as it:
        one, two = (f"http://{name}:{it.web.port}" for name in names)
        await it.sandbox.execute("web:visit", {"url": f"{one}/p"})
        assert "left alone" in (await it.sandbox.execute("web:visit", {"url": f"{one}/q"})).text
        assert (await it.sandbox.execute("web:visit", {"url": f"{two}/q"})).ok


async def test_equal_pages_at_the_same_time_are_fetched_once(played, local):
    async with played({"/p": page()}, **local) as it:
        url = f"{it.web.url}/p"
        result = await it.sandbox.execute("web:visit", {"urls": [url, f"{url}#a", url.replace("http", "HTTP")]})
    assert len(result.data["pages"]) == 3
    assert len(it.web.heard) == 1
