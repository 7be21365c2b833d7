"""web:visit through a server that answers as Jina Reader does, rightly and wrongly."""

from __future__ import annotations

from typing import Any

import pytest

from agentflow_websearch.small_web import Reply

URL = "https://rivers.example/danube"


def reader(content: str = "The Danube is a river.", **more: Any) -> Reply:
    page = {
        "title": "Danube",
        "description": "",
        "url": URL,
        "content": content,
        "links": {"Ulm": "https://towns.example/ulm", "Mail": "mailto:a@b.example"},
        "usage": {"tokens": 1000},
        **more,
    }
    return Reply.of_json({"code": 200, "status": 20000, "data": page, "meta": {"usage": {"tokens": 1000}}})


def refused(status: int, name: str, message: str, **more: Any) -> Reply:
    told = {"data": None, "code": status, "name": name, "status": status * 100, "message": message, **more}
    return Reply.of_json(told, status=status)


async def test_a_page_is_title_address_and_text(played, jina):
    async with played({"/": reader()}, **jina) as it:
        result = await it.sandbox.execute("web:visit", {"url": f"{URL}#length", "format": "text"})
    assert result.text == f"Danube\n{URL}\n\nThe Danube is a river.\n\nLinks:\n- Ulm: https://towns.example/ulm"
    (page,) = result.data["pages"]
    assert (page["provider"], page["tokens"], page["cost_usd"]) == ("jina", 1000, None)
    assert page["links"] == [{"text": "Ulm", "url": "https://towns.example/ulm"}]
    head, text = result.data["sources"]
    assert "offset" not in head
    assert result.text[text["start"] : text["end"]] == "The Danube is a river."
    (heard,) = it.web.heard
    assert heard.headers["authorization"] == "Bearer jina-key"
    assert heard.headers["x-return-format"] == "text"
    assert heard.json == {"url": URL}


async def test_a_price_makes_a_cost(played, jina):
    jina["jina"]["usd_per_million_tokens"] = 0.05
    async with played({"/": reader()}, **jina) as it:
        result = await it.sandbox.execute("web:visit", {"url": URL})
    assert result.data["cost_usd"] == 0.00005


@pytest.mark.parametrize(
    ("reply", "code", "says", "attempts"),
    [
        (refused(401, "AuthenticationFailedError", "Invalid API key"), "unauthenticated", "Invalid API key", 1),
        (refused(402, "InsufficientBalanceError", "Account balance not enough"), "quota_exceeded", "balance", 1),
        (refused(422, "ParamValidationError", "Domain could not be resolved"), "invalid_argument", "resolved", 1),
        (refused(451, "SecurityCompromiseError", "Domain blocked"), "policy_denied", "blocked", 1),
        (refused(503, "ServiceNodeResourceDrainError", "drained"), "upstream_error", "503", 3),
        (Reply(status=524, body=b"<html>A timeout occurred</html>"), "upstream_error", "524", 3),
        (Reply.of_json({"code": 200, "data": None}), "upstream_error", "without a page", 1),
        (reader("", title=""), "not_found", "no text", 1),
        (reader("Page not found", warning="Target URL returned error 404: Not Found"), "not_found", "404", 1),
        (reader("No", warning="Target URL returned error 403: Forbidden"), "forbidden", "403", 1),
    ],
)
async def test_what_can_go_wrong_is_told_apart(played, jina, reply, code, says, attempts):
    async with played({"/": reply}, **jina) as it:
        result = await it.sandbox.execute("web:visit", {"url": URL})
    assert (result.ok, result.code) == (False, code)
    assert says in result.text
    assert len(it.web.heard) == attempts
    assert "jina-key" not in result.text + str(result.data)


async def test_the_wait_that_its_body_names_is_kept(played, jina):
    limited = refused(429, "RateLimitTriggeredError", "Per IP rate limit exceeded", retryAfter=5)
    async with played({"/": [limited, reader()]}, **jina) as it:
        assert (await it.sandbox.execute("web:visit", {"url": URL})).ok
        assert it.clock.slept[0] >= 5


async def test_one_page_that_fails_leaves_the_others(played, jina):
    def answer(heard):
        return reader() if heard.json["url"] == URL else refused(422, "AssertionFailureError", "Failed to goto")

    async with played({"/": answer}, **jina) as it:
        result = await it.sandbox.execute("web:visit", {"urls": [URL, "https://gone.example/", "ftp://x.example/"]})
    assert result.ok
    assert [each["code"] for each in result.data["failed"]] == ["invalid_argument", "invalid_argument"]
    assert "https://gone.example/\n\nerror [invalid_argument]: jina answered 422" in result.text
    assert len(result.data["pages"]) == 1


async def test_a_long_page_is_read_on_with_its_cursor(played, jina):
    words = " ".join(f"word{number}" for number in range(2000))
    async with played({"/": reader(words)}, **jina) as it:
        read, cursor = "", None
        while True:
            params = {"url": URL, "max_tokens": 700} | ({} if cursor is None else {"cursor": cursor})
            result = await it.sandbox.execute("web:visit", params)
            (page,) = result.data["pages"]
            source = result.data["sources"][1]
            assert source["offset"] == page["start"]
            read += result.text[source["start"] : source["end"]]
            assert page["total_chars"] == len(words)
            cursor = page["next_cursor"]
            if cursor is None:
                break
            assert f"go on with cursor={cursor}]" in result.text
        beyond = await it.sandbox.execute("web:visit", {"url": URL, "cursor": 10**6})
    assert read == words
    assert beyond.code == "invalid_argument"
    assert len(it.web.heard) == 1  # what was read a moment ago is not fetched again


async def test_several_pages_share_the_room(played, jina):
    links = {f"{'link ' * 20}{number}": f"https://towns.example/{number}" for number in range(50)}
    async with played({"/": reader("wörd " * 20_000, links=links)}, **jina) as it:
        urls = [f"https://rivers.example/{number}" for number in range(4)]
        result = await it.sandbox.execute("web:visit", {"urls": urls})
    assert result.shown == result.text  # nothing of it is cut in its middle
    assert all(page["next_cursor"] for page in result.data["pages"])


async def test_places_of_a_text_are_found_with_their_offsets(played, jina):
    text = "The Danube rises. " + "Nothing here. " * 100 + "The  danube\nends. " + "More. " * 200
    async with played({"/": reader(text)}, **jina) as it:
        result = await it.sandbox.execute("web:find", {"url": URL, "pattern": "the danube"})
        missing = await it.sandbox.execute("web:find", {"url": URL, "pattern": "Rhine"})
    first, second = result.data["passages"]
    assert first["start"] == 0
    assert second["start"] == text.index("The  danube")
    for source in result.data["sources"]:
        shown = result.text[source["start"] : source["end"]]
        assert text[source["offset"] :].startswith(shown)
    assert "not found" in missing.text
    assert len(it.web.heard) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://metadata.google.internal/",
        "http://printer/",
        "http://10.1.2.3/",
    ],
)
async def test_nobody_elsewhere_is_asked_for_what_is_inside(played, jina, url):
    async with played({"/": reader()}, **jina) as it:
        result = await it.sandbox.execute("web:visit", {"url": url})
    assert result.code == "network_denied"
    assert not it.web.heard


@pytest.mark.parametrize(
    "url",
    [
        "https://data.example/set",
        "https://www.data.example/",
        "https://archive.example/web/2024/https://data.example/x",
        "https://cache.example/?u=https%3A%2F%2Fdata.example%2F",
        "https://hub.example/datasets/bench/answers",
    ],
)
async def test_blocked_domains_are_not_read(played, jina, url):
    async with played({"/": reader()}, **jina, blocked_domains=["data.example", "hub.example/datasets"]) as it:
        result = await it.sandbox.execute("web:visit", {"url": url})
    assert result.code == "policy_denied"
    assert not it.web.heard


async def test_a_page_that_leads_to_a_blocked_domain_is_not_shown(played, jina):
    async with played({"/": reader(url="https://data.example/")}, **jina, blocked_domains=["data.example"]) as it:
        assert (await it.sandbox.execute("web:visit", {"url": URL})).code == "policy_denied"


async def test_the_local_fetcher_stands_in(played, jina, local):
    routes = {"/": refused(402, "InsufficientBalanceError", "empty"), "/page": Reply(body=b"<p>Here I am.</p>")}
    async with played(routes, **{**local, **jina, "visit": ["jina", "local"]}) as it:
        result = await it.sandbox.execute("web:visit", {"url": f"{it.web.url}/page"})
    assert result.data["pages"][0]["provider"] == "local"
    assert "authorization" not in it.web.heard[-1].headers
    assert "Here I am." in result.text
