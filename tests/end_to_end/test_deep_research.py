"""The deep-research example, run as it stands against the miniature web that it serves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples" / "deep-research"
#: What a synthesis derives from its journal.
DERIVED = ("tree.jsonl", "paths.jsonl", "qa.jsonl", "rejected.jsonl", "tools.jsonl", "summary.json")
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def plugins(needed):
    needed("agentflow_websearch")
    needed("trafilatura")
    needed("agentflow_rag")


@contextmanager
def served() -> Iterator[str]:
    """The address of the example's server, in a process of its own."""
    command = [sys.executable, EXAMPLES / "serve.py", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield process.stderr.readline().split("http://")[1].strip()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def orsany():
    with served() as address:
        yield address


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def evidence(qa):
    return [item for step in qa["reasoning_steps"] for item in step["evidence"]]


def fetch(url):
    with urlopen(url, timeout=30) as answer:
        return answer.read().decode()


class Words(HTMLParser):
    """The text of a page's paragraphs, told by nothing but their tags."""

    def __init__(self):
        super().__init__()
        self.text = ""
        self._depth = 0

    def handle_starttag(self, tag, attrs):
        self._depth += tag == "p"

    def handle_endtag(self, tag):
        self._depth -= tag == "p"
        self.text += " " * (tag == "p")

    def handle_data(self, data):
        self.text += data * bool(self._depth)


def check_on_the_web(item):
    """The quote stands on the page as it is served now, and in its text at the offset that the evidence tells."""
    from agentflow_websearch.extraction.texts import extract_page

    source, quote = item["source"], item["quote"]
    html = fetch(source["url"])
    words = Words()
    words.feed(html)
    assert quote in words.text
    text = extract_page(html, source["url"], format="markdown", max_chars=1_000_000, max_links=0)["text"]
    place = source["offset"] + item["start"] - source["at"]
    assert text[place : place + len(quote)] == quote


def test_the_synthesis_example_gives_qa_whose_evidence_is_found_again_on_the_served_pages(agentflow, orsany, tmp_path):
    began = time.monotonic()
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain", ORSANY=orsany)
    seconds = time.monotonic() - began

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 20
    assert seconds < 120
    nodes = {node["id"]: node for node in lines(tmp_path / "qa" / "tree.jsonl")}
    for qa in accepted:
        found = evidence(qa)
        assert len({item["source"]["url"] for item in found}) >= 2, qa["id"]
        for item in found:
            assert nodes[item["node"]]["result"]["text"][item["start"] : item["end"]] == item["quote"]
            check_on_the_web(item)


def test_the_rollout_example_scores_every_question(agentflow, orsany, tmp_path):
    ran = agentflow("rollout", EXAMPLES / "rollout.yaml", "--run", "agent", "--plain", ORSANY=orsany)

    assert ran.returncode == 0, ran.stderr
    metrics = json.loads((tmp_path / "agent" / "summary.json").read_text())["metrics"]
    questions = len(lines(EXAMPLES / "questions.jsonl"))
    for name in ("exact_match", "f1_score"):
        assert metrics[name]["attempted"] == metrics[name]["graded"] == questions
        assert metrics[name]["mean"] >= 0.6


@pytest.mark.parametrize(
    ("recording", "replaying"),
    [
        (["--record", "tape"], ["--replay", "tape"]),
        (
            ["--set", "sandbox.backends.web.cache.mode=record", "--set", "sandbox.backends.web.cache.path=web.sqlite"],
            ["--set", "sandbox.backends.web.cache.mode=replay", "--set", "sandbox.backends.web.cache.path=web.sqlite"],
        ),
    ],
    ids=["of the run", "of the backend"],
)
def test_a_recording_gives_the_same_bytes_when_the_server_is_gone(agentflow, tmp_path, recording, replaying):
    command = ("synthesize", EXAMPLES / "synthesis.yaml", "--set", "seeds.limit=4", "--plain")
    with served() as address:
        ran = agentflow(*command, "--run", "recorded", *recording, ORSANY=address)
        assert ran.returncode == 0, ran.stderr
    with pytest.raises(URLError):
        fetch(f"http://{address}/")
    ran = agentflow(*command, "--run", "replayed", *replaying, ORSANY=address)

    assert ran.returncode == 0, ran.stderr
    assert lines(tmp_path / "recorded" / "qa.jsonl")
    for name in DERIVED:
        assert (tmp_path / "replayed" / name).read_bytes() == (tmp_path / "recorded" / name).read_bytes(), name


def test_the_mixed_example_asks_from_papers_of_the_archive_to_pages_of_the_web(agentflow, orsany, tmp_path):
    ran = agentflow("synthesize", EXAMPLES / "mixed.yaml", "--run", "qa", "--plain", ORSANY=orsany)

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 20
    kinds = [{"url" if "url" in item["source"] else "doc_id" for item in evidence(qa)} for qa in accepted]
    assert sum(kind == {"url", "doc_id"} for kind in kinds) * 3 >= len(accepted)
    papers = {row["id"]: row["text"] for row in lines(EXAMPLES / "archive.jsonl")}
    for item in (item for qa in accepted for item in evidence(qa)):
        if "url" in item["source"]:
            check_on_the_web(item)
        else:
            assert item["quote"] in papers[item["source"]["doc_id"]]


def test_pages_can_come_through_the_reader(agentflow, orsany, tmp_path):
    jina = f"{{base_url: http://{orsany}/reader, requests_per_minute: 6000}}"
    reader = ("--set", "sandbox.backends.web.visit=[jina]", "--set", f"sandbox.backends.web.jina={jina}")
    config = EXAMPLES / "synthesis.yaml"
    ran = agentflow("synthesize", config, *reader, "--set", "seeds.limit=2", "--run", "qa", "--plain", ORSANY=orsany)

    assert ran.returncode == 0, ran.stderr
    assert len(lines(tmp_path / "qa" / "qa.jsonl")) >= 4


def test_a_command_beside_the_server_finds_its_address_and_gives_the_exit_code():
    script = "import os, sys, urllib.request as r; r.urlopen('http://' + os.environ['ORSANY']); sys.exit(7)"
    command = [sys.executable, EXAMPLES / "serve.py", "--port", "0", "--", sys.executable, "-c", script]
    assert subprocess.run(command, check=False, timeout=60).returncode == 7


def test_the_search_answers_as_serper_does(orsany):
    def ask(body, **headers):
        request = Request(
            f"http://{orsany}/search", json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        )
        with urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    first = ask({"q": "Ostrel Bridge", "num": 3}, **{"X-API-KEY": "any"})
    assert [row["position"] for row in first["organic"]] == [1, 2, 3]
    assert set(first["organic"][0]) >= {"title", "link", "snippet"}
    assert first["organic"][0]["link"] == f"http://{orsany}/works/bridge/ostrel-bridge"
    second = ask({"q": "Ostrel Bridge", "num": 3, "page": 2}, **{"X-API-KEY": "any"})
    assert second["organic"][0]["position"] == 4
    assert not {row["link"] for row in first["organic"]} & {row["link"] for row in second["organic"]}
    with pytest.raises(HTTPError, match="403"):
        ask({"q": "Ostrel Bridge"})
    with pytest.raises(HTTPError, match="400"):
        ask([1], **{"X-API-KEY": "any"})


def test_the_script_makes_the_files_that_are_bundled(tmp_path):
    subprocess.run([sys.executable, EXAMPLES / "make_web.py", tmp_path], check=True)
    for name in ("web.jsonl", "archive.jsonl"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes()
    assert sum(path.stat().st_size for path in EXAMPLES.iterdir() if path.is_file()) < 1_000_000


def test_the_pages_are_many_and_every_link_leads_to_one():
    pages = {row["path"]: row for row in lines(EXAMPLES / "web.jsonl")}
    assert len(pages) >= 200
    reached, frontier = {"/"}, ["/"]
    while frontier:
        following = {path for page in frontier for part in pages[page]["paragraphs"] for _, path in LINK.findall(part)}
        frontier = sorted(following - reached)
        reached |= following
    assert reached == set(pages)


def test_the_questions_have_their_answers_on_pages_that_name_one_another():
    pages = {row["path"]: row for row in lines(EXAMPLES / "web.jsonl")}
    tasks = lines(EXAMPLES / "questions.jsonl")
    assert len(tasks) >= 20
    for task in tasks:
        texts = [LINK.sub(r"\1", " ".join(pages[path]["paragraphs"])) for path in task["pages"]]
        if task["answer"] in ("yes", "no"):
            continue
        assert task["answer"] in texts[-1], task["id"]
        assert task["answer"] not in task["question"]
        for path, following in zip(task["pages"], task["pages"][1:], strict=False):
            assert is_linked(pages, path, following), (task["id"], path, following)


def is_linked(pages, left, right):
    """Whether one names the other, or both name a third, such as the town that two things stand in."""
    names = [{path for part in pages[page]["paragraphs"] for _, path in LINK.findall(part)} for page in (left, right)]
    return right in names[0] or left in names[1] or bool(names[0] & names[1])
