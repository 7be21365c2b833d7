"""How sessions begin, and how they are forked, replayed and closed."""

from __future__ import annotations

import pytest

from agentflow_bash.comparing import same_run, the_command, the_path
from agentflow_core.errors import SandboxError
from agentflow_core.records import Observation
from agentflow_core.sandbox import observation_of


async def test_a_session_begins_with_what_the_configuration_and_its_settings_say(opened, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("a,b\n")
    (tmp_path / "one.txt").write_text("one")
    files = {"in/one": tmp_path / "one.txt", "data": tmp_path / "data"}
    async with opened(env={"A": "config", "B": "config"}, files=files, setup="echo $A > from-config") as shells:
        settings = {
            "env": {"A": "session"},
            "files": {"text/ü": "text"},
            "cwd": "text",
            "setup": "x=1; pwd > ../from-session",
        }
        await shells.sandbox.create_session({"bash": settings})
        told = await shells.out(
            "echo $A $B $x ${PWD##*/}; cat ü ../in/one ../data/table.csv ../from-config; touch ../data/new"
        )
        assert told == "session config 1 text\ntextonea,b\nsession\n"
        assert not (tmp_path / "data" / "new").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"envv": {}}, "did you mean 'env'"),
        ({"env": {"A-B": "x"}}, "A-B"),
        ({"env": {"A": 1}}, "env"),
        ({"files": {"../x": ""}}, "../x"),
        ({"files": {"/etc/x": ""}}, "/etc/x"),
        ({"files": "x"}, "files"),
        ({"cwd": "none"}, "cwd"),
        ({"cwd": "a\0"}, "cwd"),
        ({"setup": "echo trouble >&2; exit 3"}, "trouble"),
        ({"setup": "if"}, "syntax error"),
    ],
)
async def test_settings_that_cannot_be_kept_are_refused_and_leave_nothing(confined, tmp_path, settings, said):
    with pytest.raises(SandboxError) as caught:
        await confined.sandbox.create_session({"bash": settings})
    assert caught.value.code == "invalid_argument"
    assert said in str(caught.value)
    assert not list(tmp_path.glob("*/workspaces/*"))


async def test_nothing_of_the_server_is_in_the_environment(confined, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "secret")
    told = await confined.out("env; set; ls /proc/self/fd")
    assert "secret" not in told.lower()
    assert await confined.out("env | grep -c agentflow") == "0\n"


async def test_a_fork_is_a_copy_that_shares_nothing(shells):
    await shells.out(
        "mkdir -p a/b; cd a/b; export E='x y'; plain=$'two\\nlines'; declare -A map=([k]='v w'); declare -ir number=7;"
        ' f() { cat <<< "f $1"; }; set -o pipefail; shopt -s nullglob; alias ll=ls; umask 077; ln -s /etc/passwd link;'
        " echo text > file; ln file hard; mkfifo pipe; echo 'echo hi' > run; chmod 700 run; echo 'x' > ~/top"
    )
    (parent,) = await shells.sandbox.list_sessions()
    child = (await shells.sandbox.fork(parent.id)).id
    look = (
        'echo ${PWD##*/} "$E" "$plain" ${map[k]} $number; f g; [[ -o pipefail ]] && shopt -q nullglob && echo set; alias ll;'
        " umask; readlink link 2>/dev/null || echo /etc/passwd; cat file hard ~/top; ./run 2>/dev/null || sh run; ls pipe 2>/dev/null"
    )
    expected = "b x y two\nlines v w 7\nf g\nset\nalias ll='ls'\n0077\n/etc/passwd\ntext\ntext\nx\nhi\n"
    assert await shells.out(look, child) == expected
    await shells.out("echo child > file; E=child; rm ~/top", child)
    assert (
        await shells.out("cat file ~/top; echo $E; [[ $HOME == ${PWD%/a/b} ]] && echo home", parent.id)
        == "text\nx\nx y\nhome\n"
    )
    await shells.sandbox.close_session(parent.id)
    assert (
        await shells.out("cat file; echo $E; [[ $HOME == ${PWD%/a/b} ]] && echo home; exit 3", child)
        == "child\nchild\nhome\n"
    )
    assert await shells.out("cat file; echo $E", child) == "child\nchild\n"


async def test_a_fork_of_a_fork_and_of_a_session_that_has_done_nothing(confined):
    (first,) = [(await confined.sandbox.create_session("bash"))["bash"].id]
    second = (await confined.sandbox.fork(first)).id
    await confined.out("x=1; echo there > file", second)
    third = (await confined.sandbox.fork(second)).id
    assert await confined.out("echo $x; cat file", third) == "1\nthere\n"


async def test_what_moves_in_the_parent_does_not_disturb_the_fork(confined):
    await confined.out(
        "(while :; do echo $RANDOM > f$((RANDOM % 20)); rm -f f$((RANDOM % 20)); done) &> /dev/null & true"
    )
    (parent,) = await confined.sandbox.list_sessions()
    for _ in range(5):
        child = (await confined.sandbox.fork(parent.id)).id
        assert await confined.out("jobs -p; echo fine", child) == "fine\n"
        await confined.sandbox.close_session(child)
    assert await confined.out("echo fine", parent.id) == "fine\n"


async def test_holes_stay_holes_and_the_limit_counts_what_is_there(opened):
    from agentflow_bash.conformance import SMALL

    async with opened(limits=SMALL) as shells:
        await shells.out(
            "/usr/bin/python3 -c \"f = open('sparse', 'wb'); f.seek(15_000_000); f.write(b'end')\"; cp sparse other 2>/dev/null; rm -f other"
        )
        (parent,) = await shells.sandbox.list_sessions()
        child = (await shells.sandbox.fork(parent.id)).id
        assert await shells.out(
            "tail -c 3 sparse; set -- $(stat -c '%s %b' sparse); echo $1; (($2 < 1000)) && echo small", child
        ) == ("end15000003\nsmall\n")


async def test_a_path_is_replayed_with_equal_observations(shells):
    steps = [
        ("run", {"command": "mkdir x; cd x; date; echo pid $$; time true; mktemp 2>/dev/null; ls -l"}),
        ("write_file", {"path": "x/f", "content": "1"}),
        ("run", {"command": "cat f; exit 3"}),
        ("start", {"command": "echo ready; sleep 60", "ready_regex": "ready"}),
        ("run", {"command": "pwd >/dev/null; false"}),
    ]
    (session,) = (await shells.sandbox.create_session("bash")).values()
    recorded = []
    for tool, params in steps:
        result = await shells.call(tool, session.id, **params)
        recorded.append((f"bash:{tool}", params, observation_of(result, None)))
    replayed = await shells.sandbox.replay(session.id, recorded)
    assert replayed.replay.equal, replayed.results
    await shells.call("run", replayed.session.id, command="echo other > f")
    recorded[2] = ("bash:run", {"command": "cat f; exit 4"}, recorded[2][2])
    assert (await shells.sandbox.replay(session.id, recorded)).replay.step == 2


def test_what_differs_without_meaning_is_left_out_of_the_comparison():
    def seen(stdout: str, exit_code: int = 0) -> Observation:
        return Observation(
            ok=True, code="ok", data={"stdout": stdout, "stderr": "", "exit_code": exit_code}, text=stdout
        )

    assert same_run(seen("3 passed in 0.12s\n2026-01-02 10:11:12"), seen("3 passed in 0.34s\n2026-02-03 11:12:13"))
    assert same_run(seen("<object at 0x7f3a12bc>, pid 12"), seen("<object at 0x7f3a99ff>, pid 99"))
    assert not same_run(seen("3 passed in 0.12s"), seen("2 passed in 0.12s"))
    assert not same_run(seen("x"), seen("x", exit_code=1))
    assert the_command({"command": " ls \n", "timeout_s": 5, "cwd": None}) == {"command": "ls"}
    assert the_path({"path": "./a//b/"}) == the_path({"path": "/workspace/a/b"})


async def test_the_files_are_gone_when_the_session_is_closed(confined, tmp_path):
    await confined.out("mkdir -p a/b; chmod 000 a; echo x > file")
    (workspace,) = tmp_path.glob("*/workspaces/*")
    assert workspace.exists()
    await confined.sandbox.close_session((await confined.sandbox.list_sessions())[0].id)
    assert not workspace.exists()


async def test_a_shell_that_is_not_there_is_named_with_what_to_do(opened):
    async with opened(shell="/no/such/bash") as shells:
        with pytest.raises(SandboxError) as caught:
            await shells.sandbox.create_session("bash")
        assert caught.value.code == "provider_unavailable"
        assert "shell" in caught.value.hint
