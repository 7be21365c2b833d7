"""The web site example, run as it stands: the shop is served, and a real Chromium goes through it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from http.cookiejar import CookieJar
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from PIL import Image

from agentflow_core.blobs import BlobStore

EXAMPLES = Path(__file__).parents[2] / "examples" / "gui-web"
SITE = EXAMPLES / "site.py"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def shop():
    """The module `site.py`."""
    spec = spec_from_file_location("gui_web_site", SITE)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def site(shop):
    """The shop, served on a free port."""
    with shop.Site(0) as served:
        thread = Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.fixture
def chromium(needed, missing):
    needed("playwright")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        missing("no Chromium: apt-get install chromium")


@pytest.fixture
def visitor(site):
    """Opens pages as one visitor: with cookies of its own."""

    def enter():
        opener = build_opener(HTTPCookieProcessor(CookieJar()))

        def see(path, **form):
            data = "&".join(f"{name}={value}" for name, value in form.items()).encode() or None
            with opener.open(site.url + path, data) as answer:
                return answer.read().decode()

        return see

    return enter


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def text_of(node, blobs):
    text = node["result"]["text"]
    return text if isinstance(text, str) else blobs.get(text["blob"]).decode()


# ---- the shop


def test_visitors_see_nothing_of_each_other(visitor):
    first, second = visitor(), visitor()
    assert "Added 2 × Alder Kettle" in first("product/alder-kettle/add", quantity=2)
    assert '<span id="cart-count">2</span>' in first("cart")
    assert '<span id="cart-count">0</span>' in second("cart")
    assert "Order 1001" in first("checkout", name="A", street="B", town="C", zone="Islands")
    second("product/dial-clock/add", quantity=1)
    assert "Order 1001" in second("checkout", name="A", street="B", town="C", zone="Islands")


def test_what_a_visitor_types_is_shown_as_text(visitor):
    see = visitor()
    assert "<b>" not in see("search?q=%3Cb%3Ex%3C/b%3E").partition("<main>")[2]
    sent = see("contact", name="%3Cscript%3E", message="%22%3E%3Cscript%3E", topic="Repairs")
    assert "<script>" not in sent
    assert "&lt;script&gt;" in sent


def test_lists_are_sorted_filtered_and_turned(visitor):
    see = visitor()

    def names(path):
        return re.findall(r'/product/[\w-]+">([^<]+)<', see(path))

    assert names("kettles?sort=price&order=desc")[:2] == ["Gorse Kettle", "Cedar Kettle"]
    assert names("kettles?colour=Blue") == ["Alder Kettle", "Elm Kettle"]
    assert len(names("kettles")) == 5
    assert names("kettles?page=2") == ["Fern Kettle", "Gorse Kettle"]


def test_the_answers_of_the_questions_are_what_the_shop_tells(shop):
    of = {row["product"]: row for row in shop.PRODUCT_ROWS}
    makers = {row["maker"]: row for row in shop.MAKER_ROWS}
    shops = {row["town"]: row for row in shop.SHOP_ROWS}

    def first(rows, column):
        return max(rows, key=lambda row: float(row[column]))

    def kind(name):
        return [row for row in shop.PRODUCT_ROWS if row["category"] == name]

    def minutes(time):
        hours, _, rest = time.partition(":")
        return int(hours) * 60 + int(rest)

    price = {name: float(row["price"]) for name, row in of.items()}
    told = [
        f"{of['Cedar Kettle']['weight']} kg",
        makers[of["Dial Clock"]["maker"]]["town"],
        first(kind("lamps"), "rating")["product"],
        next(f"{row['warranty']} years" for row in of.values() if row["article"] == "CH-318"),
        shops[makers[of["Birch Kettle"]["maker"]]["town"]]["telephone"],
        str(sum(row["colour"] == "Blue" for row in kind("kettles"))),
        f"{float(of['Flint Lamp']['weight']) - float(of['Candle Lamp']['weight']):.1f}",
        "yes" if of["Anchor Lamp"]["size"] > of["Drift Lamp"]["size"] else "no",
        first(shop.ZONE_ROWS, "days")["zone"],
        first(kind("chairs"), "weight")["maker"],
        f"{3 * price['Dune Kettle'] + price['Acorn Clock']:.2f}",
        min(shop.MAKER_ROWS, key=lambda row: int(row["founded"]))["maker"],
        next(f"${row['price']}" for row in kind("kettles") if "hot for an hour" in row["description"]),
        str(sum(row["maker"] == "Pellbrook Electrics" for row in of.values())),
        max(shop.SHOP_ROWS, key=lambda row: minutes(row["closes"]) - minutes(row["opens"]))["shop"],
    ]
    asked = [task["answer"] for task in lines(EXAMPLES / "questions.jsonl") if "answer" in task]
    assert told == [answer if isinstance(answer, str) else answer[0] for answer in asked]


def test_a_command_finds_the_port_and_gives_its_exit_code():
    program = "import os, urllib.request as u; print(u.urlopen(f'http://127.0.0.1:{os.environ[\"GUI_WEB_PORT\"]}/').status); exit(7)"
    ran = subprocess.run(
        [sys.executable, SITE, "--port", "0", "--", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.returncode) == ("200\n", 7), ran.stderr


# ---- synthesis and rollout


def test_the_synthesis_example_gives_qa_whose_quotes_stand_on_pages_of_the_shop(agentflow, chromium, site, tmp_path):
    ran = agentflow("synthesize", EXAMPLES / "synthesis.yaml", "--run", "qa", "--plain", GUI_WEB_PORT=site.server_port)

    assert ran.returncode == 0, ran.stderr
    accepted = lines(tmp_path / "qa" / "qa.jsonl")
    assert len(accepted) >= 15, ran.stdout
    blobs = BlobStore(tmp_path / "qa" / "blobs")
    nodes = {node["id"]: node for node in lines(tmp_path / "qa" / "tree.jsonl")}
    for qa in accepted:
        evidence = [item for step in qa["reasoning_steps"] for item in step["evidence"]]
        for item in evidence:
            assert text_of(nodes[item["node"]], blobs)[item["start"] : item["end"]] == item["quote"], qa["id"]
        assert len({item["source"]["url"] for item in evidence}) >= 2
        assert all(item["source"]["url"].startswith(site.url) for item in evidence)
    funnel = json.loads((tmp_path / "qa" / "summary.json").read_text())["funnel"]
    assert funnel["replays"]["nodes"] > 0
    assert funnel["replays"]["nodes_equal"] == funnel["replays"]["nodes"]


def test_the_rollout_example_scores_answers_and_end_states_and_keeps_what_was_seen(agentflow, chromium, site, tmp_path):
    questions = tmp_path / "questions.jsonl"
    text = (EXAMPLES / "questions.jsonl").read_text(encoding="utf-8")
    questions.write_text(text.replace("127.0.0.1:8017", f"127.0.0.1:{site.server_port}"), encoding="utf-8")
    ran = agentflow(
        "rollout",
        EXAMPLES / "rollout.yaml",
        "--set",
        f"data.path={questions}",
        "--run",
        "tasks",
        "--plain",
        GUI_WEB_PORT=site.server_port,
    )

    assert ran.returncode == 0, ran.stderr
    run = tmp_path / "tasks"
    figures = json.loads((run / "summary.json").read_text())["metrics"]
    tasks = lines(questions)
    assert figures["exact_match"]["graded"] == sum("answer" in task for task in tasks)
    ends = {each["task_id"]: each["scores"]["state_match"] for each in lines(run / "results.jsonl")}
    assert [(id, end["reason"]) for id, end in ends.items() if id.startswith("s") and not end["graded"]] == []
    assert figures["state_match"]["graded"] == sum("end_state" in task for task in tasks)
    assert figures["exact_match"]["mean_graded"] >= 0.5
    assert figures["state_match"]["mean_graded"] >= 0.5

    done = {each["task_id"]: each for each in lines(run / "trajectories.jsonl")}
    for task in tasks:
        probes = task.get("end_state", {}).get("browser", {})
        assert set(done[task["id"]]["end_state"].get("browser", {})) == set(probes), task["id"]
    assert done["s01"]["end_state"]["browser"]["text:#cart-count"] == "2"

    blobs = BlobStore(run / "blobs")
    shots = [
        sha256 for each in done.values() for step in each["steps"] for tool in step["tools"] for sha256 in tool["blobs"]
    ]
    assert shots
    assert all(blobs.get(sha256).startswith(b"\x89PNG") for sha256 in shots)


@pytest.fixture
def errand(agentflow, chromium, site, tmp_path):
    """A rollout of one errand, recorded; the shop is closed, and the environment of what follows has no Chromium."""
    task = {
        "id": "one",
        "question": 'Search the shop for "slate".',
        "session": {"browser": {"start_url": site.url}},
        "end_state": {"browser": {"url": {"contains": "q=slate"}, "text:#results": {"contains": "1 result"}}},
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(task), encoding="utf-8")
    arguments = ("rollout", EXAMPLES / "rollout.yaml", "--set", f"data.path={tmp_path / 'one.jsonl'}", "--plain")
    ran = agentflow(*arguments, "--run", "one", "--record", "recording", GUI_WEB_PORT=site.server_port)
    assert ran.returncode == 0, ran.stderr
    site.shutdown()
    site.server_close()

    def again(*more):
        ran = agentflow(*more, PATH=str(tmp_path), GUI_WEB_PORT=site.server_port)
        assert ran.returncode == 0, ran.stderr
        return ran

    again.arguments = arguments
    return again


def test_stored_end_states_are_scored_again_without_a_browser(errand, tmp_path):
    errand("score", "one", "--metric", "state_match")
    (scored,) = lines(tmp_path / "one" / "scores.jsonl")
    assert scored["scores"]["state_match"]["graded"], scored
    assert scored["scores"]["state_match"]["value"] == 1


def test_a_recorded_session_is_replayed_without_a_browser_and_its_screenshots_can_be_looked_at(errand, tmp_path):
    errand(*errand.arguments, "--run", "again", "--replay", "recording")
    one, again = tmp_path / "one", tmp_path / "again"
    for name in ("results.jsonl", "trajectories.jsonl"):
        assert (again / name).read_bytes() == (one / name).read_bytes(), name
    errand("runs", "images", "again")
    shots = sorted((again / "images").iterdir())
    assert [path.name.rpartition("-")[2] for path in shots] == ["browser_screenshot.png"]
    for path in shots:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) >= 600
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 50  # letters and edges: a page was painted
