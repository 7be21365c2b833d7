"""Progress displays and the end card."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from agentflow_core.records import Usage
from agentflow_core.records.events import (
    DraftJudged,
    LimitHit,
    ModelCalled,
    Notice,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    ToolCalled,
    UnitFinished,
    UnitStarted,
)
from agentflow_core.runs.card import end_card, rich_card
from agentflow_core.runs.progress import JsonProgress, PlainProgress, RichProgress, open_progress
from agentflow_core.runs.status import exit_code
from agentflow_core.runs.summary import summary_markdown
from agentflow_core.runs.tally import Tally


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


USAGE = Usage(calls=1, prompt_tokens=1500, completion_tokens=500, cost_usd=0.01)
EVENTS = [
    RunStarted(run_dir="runs/a", kind="synthesis"),
    StageStarted(stage="sample", total=10, done=2),
    UnitStarted(stage="sample", unit="seed-1"),
    UnitStarted(stage="sample", unit="seed-2"),
    ModelCalled(model="m", role="explorer", purpose="propose", attempts=3, usage=USAGE, limit=64),
    ModelCalled(model="m", role="explorer", purpose="propose", attempts=0, cached=True, usage=USAGE, limit=64),
    ModelCalled(model="m", role="explorer", purpose="propose", outcome="rate_limit", limit=48),
    ToolCalled(tool="rag:search", code="ok", wall_s=0.5),
    ToolCalled(tool="rag:search", code="timeout", wall_s=1.5),
    ToolCalled(tool="rag:get", code="ok", wall_s=0.1),
    UnitFinished(stage="sample", unit="seed-1", outcome="ok"),
    UnitFinished(stage="sample", unit="seed-2", outcome="error:transient", message="reset"),
    DraftJudged(qa="q1", accepted=True),
    DraftJudged(qa="q2", accepted=False, gate="leak"),
    DraftJudged(qa="q3", accepted=False, gate="leak"),
    DraftJudged(qa="q4", accepted=False, gate="grounded"),
]


def test_the_first_line_comes_at_once_and_then_one_every_ten_seconds():
    stream, clock = io.StringIO(), Clock()
    display = PlainProgress(stream, clock)
    display.observe(RunStarted(run_dir="runs/a", kind="synthesis"))
    display.observe(StageStarted(stage="sample", total=10))
    assert stream.getvalue() == "[0:00] sample 0/10\n"
    for _ in range(25):
        clock.now += 1
        display.observe(UnitStarted(stage="sample", unit="seed-1"))
        display.observe(UnitFinished(stage="sample", unit="seed-1", outcome="ok"))
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["[0:00]", "[0:10]", "[0:20]"]


def test_time_alone_brings_a_line_when_no_event_comes():
    stream, clock = io.StringIO(), Clock()
    display = PlainProgress(stream, clock)
    display.tick()
    assert stream.getvalue() == ""
    display.observe(StageStarted(stage="sample", total=10))
    for _ in range(3):
        clock.now += 5
        display.tick()
    assert len(stream.getvalue().splitlines()) == 2


def test_a_line_has_stages_calls_tokens_cost_verdicts_and_errors():
    stream, clock = io.StringIO(), Clock()
    display = PlainProgress(stream, clock)
    for event in EVENTS:
        display.observe(event)
    clock.now += 10
    display.tick()
    line = stream.getvalue().splitlines()[-1]
    assert "sample 4/10 (1 failed)" in line
    assert "3 calls, 0.3/s, 1 cached, 2 retries, 1 rate limited, limit 48" in line
    assert "2k tokens, $0.0100 of about $0.0400" in line
    assert "accepted 1, rejected 3 (leak 2, grounded 1)" in line
    assert "errors: transient 1" in line
    assert line.endswith("about 0:30 left")


def test_an_unknown_price_is_a_question_mark():
    stream, clock = io.StringIO(), Clock()
    display = PlainProgress(stream, clock)
    display.observe(ModelCalled(model="m", role="solver", purpose="solve", usage=Usage(calls=1, cost_usd=None)))
    display.observe(StageStarted(stage="rollout", total=1))
    assert "$?" in stream.getvalue()


def test_notices_and_limits_are_written_as_they_come():
    stream = io.StringIO()
    display = PlainProgress(stream, Clock())
    display.observe(Notice(message="a unit is done again"))
    display.observe(Notice(message="stopping", level="info"))
    display.observe(LimitHit(kind="usd", message="5 USD are spent"))
    assert stream.getvalue().splitlines() == [
        "warning: a unit is done again",
        "stopping",
        "limit reached (usd): 5 USD are spent",
    ]


def test_closing_writes_the_last_figures_once():
    stream = io.StringIO()
    display = PlainProgress(stream, Clock())
    display.observe(StageStarted(stage="sample", total=1))
    display.observe(UnitFinished(stage="sample", unit="s", outcome="ok"))
    display.close()
    display.close()
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == ["sample 0/1", "sample 1/1"]


def test_json_is_one_object_an_event():
    stream = io.StringIO()
    display = JsonProgress(stream)
    for event in [*EVENTS, RunFinished(run_dir="runs/a", status="complete", summary={"counts": {"a": 1}})]:
        display.observe(event)
    display.close()
    objects = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(objects) == len(EVENTS) + 1
    assert objects[1] == {"event": "stage_started", "stage": "sample", "total": 10, "done": 2}
    assert objects[4]["usage"]["prompt_tokens"] == 1500
    assert objects[-1]["summary"] == {"counts": {"a": 1}}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_bars(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with open_progress("auto", stream) as display:
        assert isinstance(display, RichProgress)
        for event in [*EVENTS, StageFinished(stage="sample"), Notice(message="[bold]not markup[/bold]")]:
            display.observe(event)
    assert "4/10" in stream.getvalue()
    assert "━" in stream.getvalue()
    assert "[bold]not markup[/bold]" in stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "stream", "term", "kind"),
    [
        ("auto", io.StringIO(), "xterm", PlainProgress),
        ("auto", Terminal(), "dumb", PlainProgress),
        ("plain", Terminal(), "xterm", PlainProgress),
        ("json", Terminal(), "xterm", JsonProgress),
    ],
)
def test_the_display_fits_where_it_writes(monkeypatch, mode, stream, term, kind):
    monkeypatch.setenv("TERM", term)
    with open_progress(mode, stream) as display:
        assert isinstance(display, kind)


@pytest.mark.parametrize("kind", [PlainProgress, RichProgress])
def test_text_from_outside_cannot_steer_the_terminal(kind):
    stream = io.StringIO()
    display = kind(stream, Clock())
    display.observe(StageStarted(stage="a\x1b[31mb\nc", total=1))
    display.observe(Notice(message="\x1b]0;title\x07\u202eevil\r[red]x[/red]"))
    display.close()
    assert "\x1b]0" not in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()
    assert "[red]x[/red]" in stream.getvalue()


def test_a_reader_that_went_away_ends_the_display_and_not_the_run():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    for kind in (PlainProgress, JsonProgress):
        display = kind(Gone())
        for event in EVENTS:
            display.observe(event)
        display.close()
        assert display.tally.accepted == 1


def test_the_slowest_tools_are_ranked_by_their_time_in_all():
    tally = Tally(Clock())
    for event in EVENTS:
        tally.add(event)
    first, second = tally.slowest_tools()
    assert (first.tool, first.calls, first.failed, first.slowest_s) == ("rag:search", 2, 1, 1.5)
    assert second.tool == "rag:get"


SYNTHESIS = {
    "kind": "synthesis",
    "status": "complete",
    "counts": {"accepted": 8, "rejected": 3},
    "funnel": {"seeds": 5, "nodes": 60, "rejected": {"leak": 2, "grounded": 1}, "accepted": 8},
    "metrics": {},
    "usage": {
        "by_role": {
            "explorer": {"calls": 20, "prompt_tokens": 9000, "completion_tokens": 1000, "cost_usd": 0.02},
            "synthesizer": {"calls": 5, "prompt_tokens": 100, "completion_tokens": 10, "cost_usd": None},
        },
        "cost_usd": None,
        "cost_per_accepted": None,
    },
    "versions": {"agentflow-core": "0.1.0"},
}
ROLLOUT = {
    "kind": "rollout",
    "status": "complete",
    "counts": {"tasks": 200, "answered": 190},
    "metrics": {
        "f1_score": {
            "mean": 0.4123,
            "ci95": [0.371, 0.455],
            "attempted": 200,
            "graded": 197,
            "errored": 3,
            "limited": 0,
        },
        "llm_judgement": {"mean": 0.4, "mean_graded": 0.5, "ci95": None, "attempted": 200, "ungraded": 40},
        "pass_at_k": {"mean": None, "attempted": 200},
    },
    "usage": {
        "by_role": {"solver": {"calls": 3, "prompt_tokens": 1, "completion_tokens": 1, "cost_usd": 0.5}},
        "cost_usd": 0.5,
    },
}


def test_the_card_of_a_synthesis_has_funnel_cost_places_and_the_next_command(tmp_path):
    (tmp_path / "qa.jsonl").write_text("{}\n")
    (tmp_path / "rejected.jsonl").touch()
    tally = Tally(Clock())
    for event in EVENTS:
        tally.add(event)
    card = end_card(SYNTHESIS, tmp_path, slowest=tally.slowest_tools())
    lines = [" ".join(line.split()) for line in card.splitlines()]
    assert lines[0] == "synthesis complete"
    assert "rejected leak 2, grounded 1" in lines
    assert "explorer 20 calls 10k tokens $0.0200" in lines
    assert "synthesizer 5 calls 110 tokens $?" in lines
    assert "total $?" in lines
    assert "rag:search 2 calls mean 1.00 s max 1.50 s 1 failed" in lines
    assert f"{tmp_path}/qa.jsonl accepted QA" in lines
    assert "rejected.jsonl" not in card
    assert f"agentflow rollout CONFIG --data {tmp_path}/qa.jsonl let an agent answer them" in lines


def test_the_card_of_a_rollout_has_intervals_and_denominators():
    lines = [" ".join(line.split()) for line in end_card(ROLLOUT, Path("runs/a")).splitlines()]
    assert "f1_score 0.412 [0.371, 0.455] of 200 (3 errored)" in lines
    assert "llm_judgement 0.400 of 200 (40 ungraded, 0.500 of the graded)" in lines
    assert "pass_at_k – of 200" in lines
    assert "total $0.5000" in lines


def test_the_card_of_a_synthesis_that_accepted_nothing_does_not_send_the_user_to_an_empty_file():
    card = end_card({**SYNTHESIS, "counts": {"seeds": 1, "accepted": 0}}, Path("runs/a"))
    assert "nothing was accepted" in card
    assert "qa.jsonl" not in card


@pytest.mark.parametrize("status", ["limited", "interrupted", "failed"])
def test_the_card_of_a_run_that_is_not_complete_says_how_to_go_on(status):
    card = end_card({**ROLLOUT, "status": status}, Path("runs/a b"))
    assert "agentflow rollout CONFIG --run 'runs/a b'" in card


@pytest.mark.parametrize("summary", [{}, {"metrics": {"a": None}, "usage": [], "funnel": 3}, {"kind": None}])
def test_a_card_can_be_made_of_any_summary(summary):
    assert end_card(summary, Path("runs/a"))
    assert rich_card(summary, Path("runs/a"))
    assert summary_markdown(summary)


def test_the_card_on_a_terminal_says_the_same():
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120)
    console.print(rich_card({**SYNTHESIS, "counts": {"[red]x": "\x1b[31m"}}, Path("runs/a")))
    output = console.file.getvalue()
    assert "[red]x" in output
    assert "\x1b" not in output
    assert "agentflow rollout CONFIG --data runs/a/qa.jsonl" in output


def test_the_summary_page_has_a_table_for_each_part():
    page = summary_markdown({**ROLLOUT, "versions": {"a|b": "<script>\n"}})
    assert "# rollout complete" in page
    assert "| f1_score | 0.4123 | 0.371 – 0.455 | 200 |" in page
    assert "| solver | 3 |" in page
    assert "| a\\|b | &lt;script>  |" in page
    assert summary_markdown(SYNTHESIS).count("?") == 3


def test_exit_codes_say_how_a_run_ended():
    assert [exit_code(status) for status in ("complete", "failed", "limited", "interrupted")] == [0, 1, 3, 130]
