"""``agentflow doctor``: checks, broken plugins, and the laws of the sandbox."""

from __future__ import annotations

import json

import pytest

from agentflow_core.testing.laws import LAWS as EVERY

DOCTOR = """
    from agentflow_core import Check, hookimpl

    @hookimpl
    def agentflow_doctor():
        {checks}
"""
CHECKS = """
    import anyio
    from agentflow_core.errors import SandboxError

    async def fine():
        return True, "orchard 2.1"

    async def missing():
        return False, "no ladder; apt-get install ladder"

    async def raising():
        return 1 / 0

    async def leaving():
        raise SystemExit("bye")

    async def refusing():
        raise SandboxError("no fence", hint="apt-get install fence")

    async def grouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refusing)

    async def endless():
        await anyio.sleep_forever()

    async def mumbling():
        return "yes"

    def plain():
        return True, "not awaited"

    async def steering():
        return True, "two\\n  lines \\x1b[2J"

    nothing = None
    met = anyio.Event()

    async def first():
        await met.wait()
        return True, "met"

    async def second():
        met.set()
        return True, "met"
"""
BACKEND = """
    from attrs import frozen

    from agentflow_core import Backend, ToolResult, tool
    from agentflow_core.config import option
    from agentflow_core.testing.conformance import Subject

    @frozen(kw_only=True)
    class Settings:
        crop: str = option("apples", help="what grows")

    class Orchard(Backend):
        '''An orchard.'''

        def __init__(self, settings):
            self.settings = settings

        async def initialize(self, session):
            return (await self.context.launcher()).name

        @tool
        async def pick(self, state) -> ToolResult:
            '''Pick something.'''
            if self.settings.crop == "nothing":
                return ToolResult.failure("not_found", f"nothing grows here under {state}")
            return ToolResult.success({"picked": self.settings.crop})

    SUBJECT = Subject(backend=lambda: Orchard(Settings()), calls=[("pick", {})])

    def make_subject():
        return SUBJECT

    def no_subject():
        return 5
"""


def check(target, name=None):
    return f'Check("{name or target}", target="agentflow_orchard.checks:{target}", summary="about {target}")'


@pytest.fixture
def orchard(fake_dist, only):
    """Install a plugin with these checks; nothing but the core stands beside it."""

    def orchard(*checks):
        only("orchard")
        lines = "\n        ".join(f"yield {one}" for one in checks)
        return fake_dist("agentflow-orchard", DOCTOR.format(checks=lines), modules={"checks.py": CHECKS})

    return orchard


@pytest.fixture
def backend(fake_dist, only):
    """Install a plugin with a backend, whose spec says more."""

    def backend(more='subject="agentflow_orchard.backend:SUBJECT", '):
        only("orchard")
        plugin = f"""
            from agentflow_core import BackendSpec, hookimpl

            @hookimpl
            def agentflow_backends():
                yield BackendSpec("orchard", target="agentflow_orchard.backend:Orchard", {more}
                                  config="agentflow_orchard.backend:Settings", summary="fruit")
        """
        fake_dist("agentflow-orchard", plugin, modules={"backend.py": BACKEND})

    return backend


def rows(ran):
    return {row["name"]: row for row in json.loads(ran.out)}


def test_what_is_missing_is_reported_and_is_no_failure(cli, orchard):
    orchard(check("fine"), check("missing"))
    ran = cli("doctor")
    assert ran.code == 0
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.out.splitlines()}
    assert lines["fine"] == "agentflow-orchard 1.0 ok orchard 2.1"
    assert lines["missing"] == "agentflow-orchard 1.0 failed no ladder; apt-get install ladder"


def test_what_is_named_must_work(cli, orchard):
    orchard(check("fine"), check("missing"))
    assert cli("doctor", "fine").code == 0
    ran = cli("doctor", "fine", "missing")
    assert ran.code == 1
    assert len(ran.out.splitlines()) == 3


def test_strict_makes_any_failure_one_of_the_command(cli, orchard):
    orchard(check("missing"))
    assert cli("doctor", "--strict").code == 1


def test_a_plugin_stands_for_all_of_its_checks(cli, orchard):
    orchard(check("fine"), check("missing"))
    ran = cli("doctor", "orchard", "fine", "--json")
    assert ran.code == 1
    assert [row["name"] for row in json.loads(ran.out)] == ["fine", "missing"]


def test_json_holds_all_that_is_known(cli, orchard):
    orchard(check("fine"))
    assert rows(cli("doctor", "--json"))["fine"] == {
        "name": "fine",
        "plugin": "orchard",
        "provider": "agentflow-orchard 1.0",
        "summary": "about fine",
        "status": "ok",
        "said": "orchard 2.1",
    }


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("raising", "ZeroDivisionError: division by zero"),
        ("leaving", "SystemExit: bye"),
        ("refusing", "no fence; apt-get install fence"),
        ("grouped", "no fence; apt-get install fence"),
        ("mumbling", "a check answers (bool, str), not 'yes'"),
        ("plain", "TypeError: "),
        ("nothing", "TypeError: 'NoneType' object is not callable"),
        ("nowhere", "its target fails: 'agentflow_orchard.checks:nowhere': agentflow_orchard.checks has no 'nowhere'"),
    ],
)
def test_a_check_that_fails_in_any_way_is_a_row_with_the_reason(target, reason, cli, orchard):
    orchard(check(target), check("fine"))
    ran = cli("doctor", "--json")
    assert ran.code == 0
    found = rows(ran)
    assert found[target]["status"] == "failed"
    assert reason in found[target]["said"]
    assert found["fine"]["status"] == "ok"


def test_a_check_has_its_time(cli, orchard):
    orchard(check("endless"))
    ran = cli("doctor", "endless", "--timeout", "0.05")
    assert ran.code == 1
    assert "no answer within 0.05 s" in ran.out


def test_checks_run_at_once(cli, orchard):
    orchard(check("first"), check("second"))
    assert cli("doctor", "first", "second").code == 0


def test_an_answer_stays_on_one_line_and_does_not_steer_the_terminal(cli, orchard):
    orchard(check("steering"))
    assert "ok      two; lines \\x1b[2J\n" in cli("doctor", "steering").out


def test_a_broken_plugin_is_a_row(cli, fake_dist, only):
    only("orchard")
    fake_dist("agentflow-orchard", "1 / 0")
    ran = cli("doctor", "--json")
    assert ran.code == 0
    row = rows(ran)["orchard"]
    assert row["status"] == "failed"
    assert row["said"].startswith("broken: importing agentflow_orchard.plugin fails: ZeroDivisionError")
    assert cli("doctor", "orchard").code == 1


def test_a_plugin_without_checks_is_asked_whether_it_works(cli, backend):
    backend()
    ran = cli("doctor", "orchard")
    assert ran.code == 0
    assert "works, and brings no check" in ran.out


def test_a_blocked_plugin_is_shown_where_it_is_named(cli, orchard, only):
    orchard(check("fine"))
    only("core")
    assert "orchard" not in cli("doctor").out
    ran = cli("doctor", "orchard")
    assert ran.code == 1
    assert "blocked: AGENTFLOW_PLUGINS does not name it" in ran.out


def test_both_claimants_of_a_check_are_named(cli, fake_dist, orchard, only):
    orchard(check("fine"))
    fake_dist("agentflow-grove", DOCTOR.format(checks=f"yield {check('fine')}"), version="7")
    only("orchard", "grove")
    found = rows(cli("doctor", "--json"))
    assert "fine" not in found
    assert found["grove"]["said"] == found["orchard"]["said"]
    ran = cli("doctor", "fine")
    assert ran.code == 1
    assert "agentflow-orchard 1.0" in ran.err
    assert "agentflow-grove 7" in ran.err


def test_an_unknown_name_has_a_suggestion_or_what_to_install(cli, only):
    only("core")
    ran = cli("doctor", "pyhton")
    assert (ran.code, ran.err) == (2, "Error: unknown check 'pyhton'\n  did you mean 'python'?\n")
    assert "pip install agentflow-embodied" in cli("doctor", "embodied").err


def test_a_file_may_bring_checks(cli, only, tmp_path):
    only("core")
    file = tmp_path / "my_checks.py"
    file.write_text(
        "from agentflow_core import Check, hookimpl\n\n"
        "async def look():\n    return True, 'seen'\n\n"
        "@hookimpl\ndef agentflow_doctor():\n"
        "    yield Check('mine', target='agentflow_loaded_my_checks:look', summary='mine')\n"
    )
    assert rows(cli("doctor", "mine", "--load", file, "--json"))["mine"]["said"] == "seen"


def test_the_core_says_what_it_stands_on(cli, only, monkeypatch, tmp_path):
    only("core")
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "state"))
    found = rows(cli("doctor", "--json"))
    assert list(found) == ["bwrap", "docker", "python", "state"]
    assert found["python"]["said"].startswith("CPython 3.")
    assert found["state"]["said"].startswith(f"{tmp_path}/state, ")
    assert list((tmp_path / "state").iterdir()) == []
    for launcher in ("bwrap", "docker"):
        assert found[launcher]["said"]


def test_a_state_directory_that_cannot_be_used_is_named_with_the_way_out(cli, only, monkeypatch, tmp_path):
    only("core")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENTFLOW_STATE", str(tmp_path / "file"))
    ran = cli("doctor", "state")
    assert ran.code == 1
    assert "file cannot be used: File exists; set AGENTFLOW_STATE to a folder on a local disk" in ran.out


LAWS = ("--law", "results_are_clean", "--law", "tools_tell_what_they_take")
#: Laws ask for a launcher here; this one is everywhere.
BARE = ("--set", "launcher.kind=none")


def test_an_installed_backend_is_held_to_the_laws(cli, backend):
    backend()
    ran = cli("doctor", "--conformance", "orchard", *LAWS, *BARE)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "passed   results_are_clean",
        "passed   tools_tell_what_they_take",
        "orchard: 2 passed",
    ]


def test_every_law_is_tried_unless_some_are_named(cli, backend):
    backend()
    ran = cli("doctor", "--conformance", "orchard", *BARE, "--json")
    assert ran.code == 0, ran.out
    found = json.loads(ran.out)
    assert [row["law"] for row in found] == list(EVERY)
    assert {row["status"] for row in found} == {"passed", "skipped"}
    assert all(row["says"] == EVERY[row["law"]].says for row in found)


def test_a_law_that_is_broken_is_exit_1(cli, backend):
    backend()
    ran = cli("doctor", "--conformance", "orchard", *LAWS, *BARE, "--set", "backends.orchard.crop=nothing")
    assert ran.code == 1
    assert "failed   results_are_clean: " in ran.out
    assert "nothing grows here under none" in ran.out  # the settings reached the backend, and its launcher too
    assert ran.out.endswith("orchard: 1 failed, 1 passed\n")


def test_settings_may_stand_in_a_file_of_any_kind(cli, backend, tmp_path):
    backend()
    sandbox = {"backends": {"orchard": {"crop": "nothing"}}, "launcher": {"kind": "none"}}
    for name, config in {
        "sandbox": {**sandbox, "server": {"port": 1}},
        "run": {"seeds": {"items": ["x"]}, "sandbox": sandbox},
    }.items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(config))
        ran = cli("doctor", "--conformance", "orchard", *LAWS, "--config", file)
        assert "nothing grows here under none" in ran.out, name


def test_a_server_elsewhere_is_refused(cli, backend):
    backend()
    ran = cli("doctor", "--conformance", "orchard", "--set", "url=http://127.0.0.1:1")
    assert ran.code == 2
    assert "the laws are tried on a backend in this process" in ran.err


def test_without_a_subject_laws_that_need_calls_are_skipped(cli, backend):
    backend("")
    ran = cli("doctor", "--conformance", "orchard", *LAWS)
    assert ran.code == 0
    assert "names no subject" in ran.err
    assert "skipped  results_are_clean: the subject says no calls" in ran.out
    assert "passed   tools_tell_what_they_take" in ran.out


def test_a_function_may_make_the_subject(cli, backend):
    backend('subject="agentflow_orchard.backend:make_subject", ')
    assert cli("doctor", "--conformance", "orchard", *LAWS, *BARE).code == 0


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("no_subject", "its subject is of type int, not Subject"),
        ("nowhere", "its subject fails: 'agentflow_orchard.backend:nowhere'"),
        ("Orchard", "its subject cannot be made: TypeError"),
    ],
)
def test_a_subject_that_is_none_is_named_with_its_provider(subject, reason, cli, backend):
    backend(f'subject="agentflow_orchard.backend:{subject}", ')
    ran = cli("doctor", "--conformance", "orchard")
    assert ran.code == 1
    assert f"backend 'orchard' of agentflow-orchard 1.0: {reason}" in ran.err
    assert (cli("plugins", "check").code == 1) is (subject == "nowhere")


def test_a_backend_that_is_not_there_and_a_law_that_is_none_have_suggestions(cli, backend):
    backend()
    assert "did you mean 'orchard'?" in cli("doctor", "--conformance", "orhcard").err
    ran = cli("doctor", "--conformance", "orchard", "--law", "results_are_cleen")
    assert ran.code == 2
    assert "did you mean 'results_are_clean'?" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--law", "results_are_clean"),
        ("--set", "a=1"),
        ("--conformance", "rag", "python"),
        ("--conformance", "x", "--strict"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(arguments, cli):
    ran = cli("doctor", *arguments)
    assert ran.code == 2
    assert "--conformance" in ran.err
