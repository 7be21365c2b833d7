"""Bad input at the command line: the exit code says what kind of failure it is, the words say what to do."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Semaphore
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
from attrs import frozen

from agentflow_core.testing.openai_server import OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(120)
DONE, FAILED, USAGE, LIMITED, BELOW, INTERRUPTED = 0, 1, 2, 3, 4, 130


@pytest.fixture(autouse=True)
def here(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a seed file, a benchmark and a configuration for each; nobody's keys are set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTFLOW_STATE", str(state))
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "NOT_SET"):
        monkeypatch.delenv(variable, raising=False)
    put("seeds.jsonl", '"Danube"\n"Oxygen"\n')
    put("tasks.jsonl", *({"question": f"Into which sea does the {river} flow?", "answer": "x"} for river in RIVERS))
    put("synthesis.json", {"seeds": {"path": "seeds.jsonl"}, "tools": ["rag:*"]})
    put("rollout.json", {"data": {"path": "tasks.jsonl"}, "rollout": {"tools": ["rag:*"]}, "max_workers": 2})
    return tmp_path


RIVERS = ("Danube", "Rhine", "Volga", "Elbe")


def put(name: str, *values: Any) -> Path:
    """Write a text, or JSON values a line each."""
    path = Path(name)
    path.write_text("".join(value if isinstance(value, str) else json.dumps(value) + "\n" for value in values))
    return path


def summary(run: str) -> dict[str, Any]:
    return json.loads((Path(run) / "summary.json").read_text())


@pytest.fixture
def says(cli: Callable[..., Any]) -> Callable[..., str]:
    """Run a command and assert its exit code and words of its error; give back the error."""

    def run(code: int, *arguments: object, words: tuple[str, ...] = ()) -> str:
        ran = cli(*arguments)
        assert "Traceback" not in ran.err
        assert ran.code == code, ran.err or ran.out
        for word in words:
            assert word in ran.err
        return ran.err

    return run


# ---- configurations


def test_every_problem_of_a_configuration_is_told_at_once_with_place_and_suggestion(says):
    put("bad.yaml", "modle: offline\nseeds: {items: [Danube]}\nsampling:\n  max_dept: 3\n  branching_factor: two\n")
    told = says(USAGE, "synthesize", "bad.yaml", "--run", "run")
    assert "bad.yaml:1:1  modle  unknown key, did you mean 'model'?" in told
    assert "bad.yaml:4:3  sampling.max_dept  unknown key, did you mean 'max_depth'?" in told
    assert "bad.yaml:5:21  sampling.branching_factor  expected a whole number, got text 'two'" in told
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("selection.selector", "covrage", "unknown selector 'covrage', did you mean 'coverage'?"),
        ("selection.scorers", "{depht: 1}", "unknown scorer 'depht', did you mean 'depth'?"),
        ("qa.gates", "[dublicate]", "unknown gate 'dublicate', did you mean 'duplicate'?"),
        ("model", "ofline", "unknown model 'ofline', did you mean 'offline'?"),
        ("model", "gpt-4.1", "write provider/name, such as openai/gpt-4.1"),
        ("executor", "locl", "unknown executor 'locl', did you mean 'local'?"),
        ("sandbox.backends", "{embodied: {}}", "pip install agentflow-embodied"),
        ("tools", "[rag:serch]", "did you mean 'rag:search'?"),
        ("tools", "[ragg:search]", "did you mean 'rag:search'?"),
        ("tools", "[embodied:move]", "pip install agentflow-embodied"),
    ],
)
def test_an_unknown_name_is_told_with_what_is_probably_meant(says, key, value, words):
    says(USAGE, "synthesize", "synthesis.json", "--run", "run", "--set", f"{key}={value}", words=(words,))


def test_an_unknown_metric_is_told_with_a_suggestion(says):
    says(USAGE, "rollout", "rollout.json", "--metric", "f1_scor", words=("unknown metric", "did you mean 'f1_score'?"))


def test_a_name_that_was_wrong_does_not_hold_the_run_directory(says):
    says(USAGE, "synthesize", "synthesis.json", "--run", "run", "--set", "tools=[rag:serch]")
    says(DONE, "synthesize", "synthesis.json", "--run", "run", "--plain")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("foo", "'foo' is not of the form key=value"),
        ("foo=1", "--set foo  unknown key"),
        ("sampling.max_dpth=1", "did you mean 'max_depth'?"),
        ("sampling.max_depth=x", "expected a whole number, got text 'x'"),
        ("sampling.max_depth=0", "expected at least 1, got 0"),
        ("tools=[a", "--set tools  not YAML"),
        ("model.api_key=${NOT_SET}", "the variable NOT_SET is not set"),
    ],
)
def test_a_wrong_override_is_told(says, override, words):
    says(USAGE, "synthesize", "synthesis.json", "--set", override, words=(words,))


def test_a_variable_that_is_not_set_is_named_with_its_place(says):
    put("var.yaml", 'seeds: {items: [a]}\nmodel: {provider: openai, name: x, api_key: "${NOT_SET}"}\n')
    says(USAGE, "synthesize", "var.yaml", words=("var.yaml:2:45  model.api_key  the variable NOT_SET is not set",))


@pytest.mark.parametrize("budget", ["5euro", "usd", "-3usd", ""])
def test_a_wrong_budget_is_told_with_the_right_form(says, budget):
    says(USAGE, "synthesize", "synthesis.json", "--budget", budget, words=("is not a budget", "write 5usd"))


def test_options_that_exclude_each_other_or_ask_the_impossible_are_refused(says):
    both = ("--record", "a", "--replay", "b")
    says(USAGE, "synthesize", "synthesis.json", *both, words=("--record and --replay exclude each other",))
    says(USAGE, "synthesize", "synthesis.json", "--limit", 0, words=("--limit",))
    for bound in ("f1_score", "f1_score=nan", "f1_score=high"):
        says(USAGE, "rollout", "rollout.json", "--fail-under", bound, words=("such as f1_score=0.6",))
    says(USAGE, "rollout", "rollout.json", "--fail-under", "f1_scor=1", words=("did you mean 'f1_score'?",))
    assert not Path("runs").exists()


def test_an_unknown_command_or_option_is_told_with_a_suggestion(says):
    says(USAGE, "sinthesize", "synthesis.json", words=("did you mean 'synthesize'?",))
    says(USAGE, "synthesize", "synthesis.json", "--limt", "1", words=("--limit",))


def test_a_configuration_that_is_missing_or_none_is_told(says):
    says(USAGE, "synthesize", "sinthesis.json", words=("no such file, did you mean 'synthesis.json'?",))
    says(USAGE, "synthesize", ".", words=("Is a directory",))
    says(USAGE, "synthesize", put("list.json", [1]), words=("list.json:1:1  a configuration is a mapping",))
    says(USAGE, "synthesize", put("broken.yaml", "seeds: {items: [a]\ntools: x\n"), words=("broken.yaml:2:", "YAML"))


# ---- seeds, benchmarks, corpora


def test_a_file_of_seeds_that_is_missing_empty_or_broken_is_told_with_file_and_line(says):
    run = ("synthesize", "synthesis.json", "--run", "run", "--seeds")
    says(USAGE, *run, "sedes.jsonl", words=("sedes.jsonl: no such file, did you mean 'seeds.jsonl'?",))
    says(USAGE, *run, put("bad.jsonl", '"Danube"\n{"content": \n'), words=("bad.jsonl:2: not JSON",))
    says(USAGE, *run, put("bad.jsonl", '"a"\n{"seed": "b"}\n'), words=("bad.jsonl:2: a seed needs a 'content'", "seed"))
    says(
        USAGE, *run, put("bad.jsonl", '{"content": " "}\n'), words=("bad.jsonl:1: the 'content' of the seed is empty",)
    )
    says(USAGE, *run, put("none.jsonl", "\n"), words=("none.jsonl: holds no seed", '{"content": "…"}'))
    assert not Path("run").exists()


def test_no_seeds_at_all_are_told(says):
    says(
        USAGE, "synthesize", put("none.json", {"tools": ["rag:*"]}), words=("give either 'path' or 'items'", "--seeds")
    )


def test_seeds_on_the_command_line_take_the_place_of_those_in_the_file(says):
    put("items.json", {"seeds": {"items": ["Vienna", "Rome", "Paris"]}, "tools": ["rag:*"]})
    says(DONE, "synthesize", "items.json", "--run", "run", "--seeds", "seeds.jsonl", "--plain")
    assert summary("run")["counts"]["seeds"] == 2


def test_a_benchmark_that_is_missing_empty_or_broken_is_told_with_file_and_line(says):
    run = ("rollout", "rollout.json", "--run", "run", "--data")
    says(USAGE, *run, "task.jsonl", words=("task.jsonl: no such file, did you mean 'tasks.jsonl'?",))
    says(USAGE, *run, put("bad.jsonl", {"question": "a"}, "not json\n"), words=("bad.jsonl:2: not JSON",))
    says(USAGE, *run, put("bad.jsonl", {"prompt": "a"}), words=("bad.jsonl:1: no question", "data.fields", "prompt"))
    says(USAGE, *run, put("none.jsonl", ""), words=("none.jsonl: holds no task",))
    assert not Path("run").exists()


def over_corpus(name: str, **corpus: Any) -> Path:
    backends = {"rag": {"corpora": {"mine": {"path": "corpus.jsonl", **corpus}}}}
    return put(name, {"seeds": {"path": "seeds.jsonl"}, "tools": ["rag:*"], "sandbox": {"backends": backends}})


def test_a_corpus_that_is_missing_or_empty_ends_the_run_before_any_seed_is_spent(says):
    config = over_corpus("corpus.json")
    says(USAGE, "synthesize", config, "--run", "run", "--plain", words=("corpus.jsonl: no such file or folder",))
    put("corpus.jsonl", "")
    says(USAGE, "synthesize", config, "--run", "run", "--plain", words=("corpus 'mine' is empty", "corpus.jsonl"))
    assert summary("run")["funnel"]["seeds_failed"] == 0
    put("corpus.jsonl", {"id": "a", "title": "Danube", "text": "The Danube flows into the Black Sea."})
    says(DONE, "synthesize", config, "--run", "run", "--plain")


def test_a_missing_corpus_ends_a_rollout_too(says):
    backends = {"rag": {"corpora": {"mine": {"path": "corpus.jsonl"}}}}
    config = put(
        "corpus.json",
        {"data": {"path": "tasks.jsonl"}, "rollout": {"tools": ["rag:*"]}, "sandbox": {"backends": backends}},
    )
    says(USAGE, "rollout", config, "--run", "run", "--plain", words=("corpus.jsonl: no such file or folder",))


def test_bad_lines_of_a_corpus_are_counted_and_named_and_end_a_strict_run_also_when_the_index_stands(cli, says):
    good = {"id": "a", "title": "Danube", "text": "The Danube flows into the Black Sea."}
    put("corpus.jsonl", good, "nope\n", {"id": "b"})
    ran = cli("synthesize", over_corpus("lax.json"), "--run", "lax", "--plain")
    assert ran.code == DONE, ran.err
    assert "2 bad lines left out" in ran.out
    assert "corpus.jsonl:2  not JSON" in ran.out
    assert "corpus.jsonl:3  no field 'text'" in ran.out
    strict = over_corpus("strict.json", strict=True)
    says(USAGE, "synthesize", strict, "--run", "strict", "--plain", words=("corpus.jsonl:2  not JSON", "strict: false"))


# ---- models


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body: "<answer>x</answer>", api_key="right") as server:
        yield server


def at(url: str, key: str = "right") -> tuple[str, ...]:
    model = {"provider": "openai", "name": "mock", "base_url": url, "api_key": key}
    return ("--set", f"model={json.dumps(model)}", "--set", "retries={base_s: 0, max_attempts: 2}", "--plain")


@pytest.mark.parametrize("command", [("rollout", "rollout.json"), ("synthesize", "synthesis.json"), ("ask", "Why?")])
def test_a_missing_key_for_openai_names_the_variable(says, command):
    model = ("--model", "openai/gpt-4.1") if command[0] == "ask" else ("--set", "model=openai/gpt-4.1")
    says(FAILED, *command, *model, words=("https://api.openai.com", "OPENAI_API_KEY"))


def test_a_wrong_key_ends_the_run_at_once_and_the_right_one_resumes_it(says, server):
    run = ("rollout", "rollout.json", "--run", "run")
    says(FAILED, *run, *at(server.url, "wrong"), words=("401", "check api_key", "OPENAI_API_KEY"))
    assert server.calls <= 2  # those in flight
    assert summary("run")["counts"]["finished"] == 0
    says(DONE, *run, *at(server.url))
    assert summary("run")["counts"]["outcomes"] == {"answered": 4}


@pytest.mark.parametrize("command", [("rollout", "rollout.json"), ("synthesize", "synthesis.json")])
def test_a_server_that_is_not_there_is_named_and_another_one_can_be_given(says, server, command):
    words = ("failed; the first: the connection to http://127.0.0.1:9/v1 failed", "is the server running?")
    says(FAILED, *command, "--run", "run", *at("http://127.0.0.1:9/v1"), words=words)
    if command[0] == "rollout":
        says(DONE, *command, "--run", "run", *at(server.url))


def test_a_model_without_tools_and_one_that_is_unknown_are_told_with_a_remedy(says, server):
    server.without_tools = frozenset({"mock"})
    says(FAILED, "rollout", "rollout.json", "--run", "a", *at(server.url), words=("'mock' cannot call tools", "choose"))
    server.models = ("other",)
    says(FAILED, "synthesize", "synthesis.json", "--run", "b", *at(server.url), words=("does not exist", "/v1/models"))


def test_a_replay_that_misses_shows_the_nearest_request_and_the_difference(says):
    says(USAGE, "synthesize", "synthesis.json", "--replay", "tape", words=("holds no recording", "--record DIR"))
    says(DONE, "synthesize", "synthesis.json", "--run", "a", "--record", "tape", "--plain")
    other = ("--seeds", put("other.jsonl", '"Vienna"\n'))
    words = ("has no answer to this propose request", "the nearest recorded request", "- …", "+ …", "Vienna")
    says(FAILED, "synthesize", "synthesis.json", "--run", "b", "--replay", "tape", *other, "--plain", words=words)


# ---- run directories


def test_a_place_that_is_no_run_is_refused_and_left_as_it_is(says):
    Path("foreign").mkdir()
    put("foreign/letter.txt", "dear")
    says(FAILED, "synthesize", "synthesis.json", "--run", "foreign", words=("not empty and not a run", "letter.txt"))
    assert [path.name for path in Path("foreign").iterdir()] == ["letter.txt"]
    says(FAILED, "synthesize", "synthesis.json", "--run", "seeds.jsonl", words=("seeds.jsonl is a file",))
    says(FAILED, "synthesize", "synthesis.json", "--run", "new", "--resume", words=("holds no run to resume",))
    says(FAILED, "synthesize", "synthesis.json", "--run", "new", "--fork", "foreign", words=("it has no run.json",))
    says(FAILED, "score", "foreign", "--metric", "f1_score", words=("foreign is not a run directory",))
    assert not Path("new").exists()


def test_a_run_of_another_configuration_is_refused_with_the_difference(says):
    run = ("synthesize", "synthesis.json", "--run", "run", "--plain")
    says(DONE, *run)
    kept = Path("run/tree.jsonl").read_bytes()
    told = says(USAGE, *run, "--set", "sampling.max_depth=3", words=("sampling.max_depth: 4 -> 3", "--fork run"))
    assert len(told.splitlines()) == 4
    says(USAGE, "rollout", "rollout.json", "--run", "run", words=("kind 'synthesis', not 'rollout'",))
    says(USAGE, "score", "run", "--metric", "f1_score", words=("kind 'synthesis'; only rollouts are scored",))
    assert Path("run/tree.jsonl").read_bytes() == kept


def test_a_spent_budget_ends_the_run_with_a_summary_and_a_larger_one_completes_it(says):
    run = ("rollout", "rollout.json", "--run", "run", "--plain", "--budget")
    says(LIMITED, *run, "20calls", words=("the budget of 20 model calls is used up", "resume with a larger budget"))
    assert summary("run")["status"] == "limited"
    assert summary("run")["counts"]["finished"] < 4
    says(DONE, *run, "1000calls")
    assert summary("run")["counts"]["finished"] == 4


def test_a_metric_below_its_bound_is_told_by_the_exit_code(says):
    run = ("rollout", "rollout.json", "--run", "run", "--plain", "--fail-under")
    says(BELOW, *run, "exact_match=0.9", words=("exact_match is 0.0, below 0.9",))
    says(DONE, *run, "exact_match=0")


# ---- plugin files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nosuchthing\n", "line 1: ModuleNotFoundError: No module named 'nosuchthing'"),
        ("\nraise RuntimeError('boom')\n", "line 2: RuntimeError: boom"),
        ("def f(:\n", "line 1: SyntaxError"),
    ],
)
def test_a_plugin_file_that_fails_is_told_with_its_line(says, text, words):
    says(FAILED, "synthesize", "synthesis.json", "--load", put("mine.py", text), words=("mine.py fails", words))


def test_a_plugin_file_that_is_missing_is_told(says):
    says(USAGE, "synthesize", "synthesis.json", "--load", "mine.py", words=("no such file", "mine.py"))


# ---- in processes of their own


@pytest.fixture
def start(environ: dict[str, str], here: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``agentflow`` in the background; what is left of it at the end is killed."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "agentflow_core", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, cwd=here, env=environ, **pipes, **options))
        return begun[-1]

    yield start
    for process in begun:
        with process:
            process.kill()


def full_at(limit_bytes: int) -> Callable[[], None]:
    """What a child does first so that no file of its grows beyond the limit, as on a full disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return limit


@pytest.mark.parametrize("limit_kb", [4, 100])
def test_a_full_disk_ends_the_run_and_with_space_it_completes_with_nothing_lost(start, cli, limit_kb):
    put("seeds.jsonl", *({"content": seed} for seed in ("Danube", "Marie Curie", "Oxygen", "Vienna", "Rome")))
    run = ("synthesize", "synthesis.json", "--plain", "--set", "max_workers=2", "--run")
    assert cli(*run, "whole").code == DONE

    _, told = (full := start(*run, "full", preexec_fn=full_at(limit_kb * 1024))).communicate(timeout=60)
    assert full.returncode == FAILED
    assert "Traceback" not in told
    assert "cannot write full" in told
    assert "everything finished before is kept; free some space, then start the same command again" in told
    finished = len(Path("full/journal/ledger").read_text().splitlines()) if Path("full/journal/ledger").exists() else 0
    assert finished > 0 or limit_kb == 4

    again = cli(*run, "full")
    assert again.code == DONE, again.err
    assert f"sample {finished}/5" in again.out  # what was finished is not done again
    for name in ("tree.jsonl", "paths.jsonl", "qa.jsonl", "summary.json"):
        assert (Path("full") / name).read_bytes() == (Path("whole") / name).read_bytes()


@frozen(kw_only=True)
class Gate:
    """Holds every answer of a server back until it is opened; ``arrived`` counts the requests that came."""

    arrived: Semaphore
    opened: Event

    def wait_for(self, requests: int) -> None:
        for _ in range(requests):
            assert self.arrived.acquire(timeout=60)


@pytest.fixture
def gate(server: OpenAIServer) -> Iterator[Gate]:
    gate = Gate(arrived=Semaphore(0), opened=Event())

    async def respond(body: dict[str, Any]) -> str:
        gate.arrived.release()
        await anyio.to_thread.run_sync(gate.opened.wait)
        return "<answer>x</answer>"

    server.responder = respond
    yield gate
    gate.opened.set()


@pytest.fixture
def gated(server: OpenAIServer, gate: Gate) -> tuple[str, ...]:
    """A rollout of four tasks, two at once, whose model answers when the gate is open."""
    return ("rollout", "rollout.json", "--run", "run", *at(server.url))


def test_a_second_process_on_a_run_is_refused_and_the_first_goes_on(start, gated, gate):
    first = start(*gated)
    gate.wait_for(2)

    second = start(*gated)
    _, told = second.communicate(timeout=60)
    assert second.returncode == FAILED
    assert "Traceback" not in told
    assert f"run is being written by process {first.pid} on " in told

    gate.opened.set()
    _, told = first.communicate(timeout=60)
    assert first.returncode == DONE, told
    assert summary("run")["counts"]["outcomes"] == {"answered": 4}


def test_an_interrupt_lets_what_is_in_flight_finish_and_the_same_command_goes_on(start, gated, gate):
    process = start(*gated, "--json")
    gate.wait_for(2)

    process.send_signal(signal.SIGINT)
    notice = next(event for event in map(json.loads, process.stdout) if event["event"] == "notice")
    assert "once more to stop now" in notice["message"]
    gate.opened.set()
    rest, told = process.communicate(timeout=60)
    assert json.loads(rest.splitlines()[-1])["event"] == "run_finished"
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in told
    assert summary("run")["status"] == "interrupted"
    assert summary("run")["counts"]["outcomes"] == {"answered": 2}
    assert len(Path("run/results.jsonl").read_text().splitlines()) == 2

    again = start(*gated)
    again.communicate(timeout=60)
    assert again.returncode == DONE
    assert summary("run")["counts"]["outcomes"] == {"answered": 4}


def test_output_that_is_no_terminal_holds_no_escape_codes(agentflow, here):
    terminal = {"TERM": "xterm-256color", "FORCE_COLOR": os.environ.get("FORCE_COLOR", ""), "NO_COLOR": ""}
    for ran in (
        agentflow("synthesize", "synthesis.json", "--run", "run", **terminal),
        agentflow("synthesize", "synthesis.json", "--set", "modle=x", **terminal),
        agentflow("runs", "show", "run", **terminal),
    ):
        assert "\x1b" not in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
