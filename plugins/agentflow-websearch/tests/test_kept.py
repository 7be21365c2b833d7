"""Cache, recording and replay: what is asked again, and what comes back byte for byte."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from agentflow_core.errors import SandboxError
from agentflow_websearch.small_web import Heard, Reply, SmallWeb


def answers(counts: dict[str, int]) -> Any:
    """Serper and pages that say how often they were asked, so that a second look differs."""

    async def answer(heard: Heard) -> Reply:
        number = counts[heard.path] = counts.get(heard.path, 0) + 1
        if heard.path == "/search":
            if heard.json["q"] == "bad":
                return Reply.of_json({"message": "no"}, status=400)
            row = {"title": f"T{number}", "link": "https://a.example/", "snippet": "s"}
            return Reply.of_json({"organic": [row], "credits": 1})
        if heard.path == "/gone":
            return Reply(status=404)
        return Reply(body=f"<p>The page of {heard.path}, asked {number} times. Größe 漢字</p>".encode())

    return answer


CALLS = (
    ("web:search", {"query": "a"}),
    ("web:search", {"queries": ["a", "bad", "b"]}),
    ("web:search", {"query": "bad"}),
    ("web:visit", {"url": "{url}/one"}),
    ("web:visit", {"urls": ["{url}/one", "{url}/gone", "{url}/two"], "max_tokens": 100}),
    ("web:find", {"url": "{url}/one", "pattern": "page"}),
    ("web:visit", {"url": "{url}/gone"}),
    ("web:search", {"query": "a"}),
)


def with_mode(mode: str, serper: dict[str, Any], local: dict[str, Any], path: Any) -> dict[str, Any]:
    return {**serper, **local, "cache": {"mode": mode, "path": str(path)}, "retries": {"max_attempts": 1}}


async def run_all_calls(it: Any) -> list[bytes]:
    seen = []
    for tool, params in CALLS:
        filled = orjson.loads(orjson.dumps(params).replace(b"{url}", it.web.url.encode()))
        result = await it.sandbox.execute(tool, filled)
        seen.append(orjson.dumps([result.ok, result.code, result.text, result.data, result.retry_after_s]))
    return seen


async def test_a_recording_replays_to_the_same_bytes_with_the_servers_gone(played, serper, local, tmp_path):
    counts: dict[str, int] = {}
    file = tmp_path / "web.sqlite"
    web = SmallWeb(answers(counts))
    async with web, played(web, **with_mode("record", serper, local, file)) as it:
        recorded = await run_all_calls(it)
    before = dict(counts)
    assert all(number == 1 for path, number in counts.items() if path != "/search")
    async with played(web, **with_mode("replay", serper, local, file)) as it:  # the server is shut down
        replayed = await run_all_calls(it)
    assert replayed == recorded
    assert counts == before


async def test_what_a_recording_lacks_is_told_with_what_is_nearest(played, serper, local, tmp_path):
    file = tmp_path / "web.sqlite"
    web = SmallWeb(answers({}))
    async with web, played(web, **with_mode("record", serper, local, file)) as it:
        await it.sandbox.execute("web:search", {"query": "the danube"})
    async with played(web, **with_mode("replay", serper, local, file)) as it:
        result = await it.sandbox.execute("web:search", {"query": "the danubE"})
    assert result.code == "provider_unavailable"
    assert "the danubE" in result.message
    assert "the danube" in result.hint


async def test_a_replay_without_its_recording_does_not_start(played, serper, local, tmp_path):
    async with played({}, **with_mode("replay", serper, local, tmp_path / "none.sqlite")) as it:
        with pytest.raises(SandboxError, match=r"no recording .*none\.sqlite"):
            await it.sandbox.warmup()
    assert not (tmp_path / "none.sqlite").exists()


async def test_a_cache_answers_what_succeeded_and_asks_again_for_what_failed(played, serper, local, tmp_path):
    counts: dict[str, int] = {}
    web = SmallWeb(answers(counts))
    settings = with_mode("cache", serper, local, tmp_path / "cache.sqlite")
    async with web:
        for _ in range(2):
            async with played(web, **settings) as it:
                good = await it.sandbox.execute("web:visit", {"url": f"{web.url}/one"})
                bad = await it.sandbox.execute("web:visit", {"url": f"{web.url}/gone"})
                found = await it.sandbox.execute("web:search", {"query": "a"})
    assert counts == {"/one": 1, "/gone": 2, "/search": 1}
    assert bad.code == "not_found"
    assert good.data["pages"][0]["cached"]
    assert found.data["cached"]
    assert found.data["cost_usd"] == 0.0


async def test_live_mode_asks_every_time(played, serper, local):
    counts: dict[str, int] = {}
    web = SmallWeb(answers(counts))
    async with web, played(web, **serper, **local) as it:
        for _ in range(2):
            await it.sandbox.execute("web:visit", {"url": f"{web.url}/one"})
            await it.sandbox.execute("web:find", {"url": f"{web.url}/one", "pattern": "page"})
    assert counts == {"/one": 2}


async def test_a_page_is_not_remembered_for_ever(played, local):
    counts: dict[str, int] = {}
    web = SmallWeb(answers(counts))
    async with web, played(web, **local, remember_s=60, remember_pages=1) as it:
        await it.sandbox.execute("web:visit", {"url": f"{web.url}/one"})
        it.clock.at += 61
        await it.sandbox.execute("web:find", {"url": f"{web.url}/one", "pattern": "page"})
        assert counts == {"/one": 2}
        await it.sandbox.execute("web:visit", {"url": f"{web.url}/two"})
        await it.sandbox.execute("web:find", {"url": f"{web.url}/one", "pattern": "page"})
        assert counts == {"/one": 3, "/two": 1}
